"""Examine one file: `python -m files.examination KIND MEDIA_TYPE CONTENT THUMBNAIL < RECEIVED`.

CONTENT and THUMBNAIL are inherited descriptors of empty files. One line of JSON is the answer: the
findings, `{"refused": CODE}`, or `{"full_disk": ERRNO}`, which is no fault of the file. Any other
end of the process is a failed examination.
"""

import errno
import json
import os
import resource
import sys
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from files.examination.findings import Findings

MEMORY_BYTES = 1024**3
CPU_SECONDS = 30
# A tenth of the weight of another process.
NICENESS = 10
# Of a write alone: a hostile file may provoke other errors of the system.
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(kind: str, media_type: str, content: str, thumbnail: str) -> None:
    limit_resources()
    # Under the limits, and only the decoder that the file needs.
    from files.examination.findings import Unfit

    try:
        with (
            open(0, "rb", closefd=False) as received,
            os.fdopen(int(content), "wb") as written,
            os.fdopen(int(thumbnail), "wb") as small,
        ):
            answer = asdict(examine(kind, media_type, received, written, small))
    except (Unfit, OSError) as error:
        cause = error.__cause__ if isinstance(error, Unfit) else error
        if isinstance(cause, OSError) and cause.errno in FULL_DISK:
            answer = {"full_disk": cause.errno}
        elif isinstance(error, Unfit):
            answer = {"refused": error.code}
        else:
            raise
    except MemoryError:
        answer = {"refused": "file_unreadable"}
    print(json.dumps(answer))


def examine(
    kind: str, media_type: str, received: IO[bytes], content: IO[bytes], thumbnail: IO[bytes]
) -> "Findings":
    """Run the decoder of the kind. Raises Unfit."""
    if kind == "image":
        from files.examination.images import examine_image

        return examine_image(received, media_type=media_type, content=content, thumbnail=thumbnail)
    if kind == "audio":
        from files.examination.audio import examine_audio

        return examine_audio(received, media_type=media_type, content=content)
    from files.examination import documents

    if kind == "pdf":
        return documents.examine_pdf(received, content=content)
    return documents.examine_text(received, content=content)


def limit_resources() -> None:
    """Limit memory and CPU, and let the streams of the worker go first.

    macOS does not enforce the limit of memory.
    """
    os.nice(NICENESS)
    for name, most in (("AS", MEMORY_BYTES), ("CPU", CPU_SECONDS), ("CORE", 0)):
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(
            kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
