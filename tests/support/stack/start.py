"""Start the processes of the program for tests."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dev.servers.stack import Stack
from tests.support.stack.processes import Log, free_port

DEVELOPMENT = {"DEBUG": "true", "OTP_ECHO": "true", "TRUSTED_PROXY_COUNT": "1"}
# A start of a process takes more than a second of CPU, and beat is seldom needed.
EVERY_PART = ("web", "worker", "beat")
# The origin whose pages may read the answers of the shared stack.
ORIGIN = "https://chat.example.com"


def stack_on(stores: dict[str, str], *, var: Path, parts: Collection[str], **environ: Any) -> Stack:
    """Make a stack on those stores; `with` runs and ends it."""
    return Stack(
        var=var,
        environ={**os.environ, **stores, **DEVELOPMENT, **environ},
        port=free_port(),
        output=Log(),
        parts=parts,
    )
