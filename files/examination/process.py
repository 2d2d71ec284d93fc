"""The start of the process of an examination, and the reading of its answer."""

import json
import os
import subprocess
import sys
from typing import IO

from django.conf import settings

from files.examination.findings import Findings, Unfit

# A process takes less: it may use 30 s of CPU.
PROCESS_SECONDS = 300


def examine_in_process(
    received: IO[bytes], *, kind: str, media_type: str, content: IO[bytes], thumbnail: IO[bytes]
) -> Findings:
    """Examine a file, and write the bytes to store.

    Raises Unfit, also for a crash of the decoder and a reached limit. Raises OSError on a full
    disk.
    """
    received.seek(0)
    outputs = [content.fileno(), thumbnail.fileno()]
    try:
        ended = subprocess.run(  # noqa: S603
            [
                *(sys.executable, "-m", "files.examination", kind, media_type),
                *map(str, outputs),
            ],
            stdin=received.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=outputs,
            cwd=settings.BASE_DIR,
            # No secret of the program.
            env={"PATH": os.environ.get("PATH", "")},
            timeout=PROCESS_SECONDS,
            check=True,
        )
        answer = json.loads(ended.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise Unfit("file_unreadable") from error
    if number := answer.get("full_disk"):
        raise OSError(number, os.strerror(number))
    if refused := answer.get("refused"):
        raise Unfit(refused)
    return Findings(**answer)
