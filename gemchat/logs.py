"""Log lines: JSON for machines, or readable ones in development, and none with a secret in it.

The program and its libraries log through the standard library; structlog's formatter makes the
lines of all of them.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from gemchat.redaction import redacted_deep
from gemchat.request_id import request_id

Line = MutableMapping[str, Any]

# Made by this program, never of what people send: here for each line, and of a request's line all.
# To look through them as well would cost as much as all the rest.
OURS = frozenset({"timestamp", "level", "logger", "request_id"})
ACCESS = "gemchat.access"


def formatter(*, readable: bool) -> logging.Formatter:
    """For LOGGING. A line costs about 30 µs. Python's warnings become lines, too."""
    logging.captureWarnings(not readable)
    # What no line tells need not be found out for each: where it was logged, and by whom. The
    # private name is the one that Python's documentation gives for this.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    times = structlog.processors.TimeStamper(fmt="iso", utc=True)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
        if readable
        else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            times,
            add_request_id,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # As text, so that what an exception quotes is redacted too.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


def add_request_id(logger: Any, method: str, line: Line) -> Line:
    line["request_id"] = request_id.get()
    return line


def redact(logger: Any, method: str, line: Line) -> Line:
    if line["logger"] == ACCESS:
        return line
    return {
        name: value if name in OURS else redacted_deep(value, name) for name, value in line.items()
    }
