"""Log lines without secrets: JSON, or readable text in development.

The program and its libraries log through the standard library; structlog formats every line.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from gemchat.api.request_id import client_request_id, request_id
from gemchat.monitoring.redaction import redacted_deep

Line = MutableMapping[str, Any]

# The program makes these values, so a search for secrets is a waste: the cost is as high as the
# rest of a line.
SAFE_FIELDS = frozenset({"timestamp", "level", "logger", "request_id"})
# The line of a request; only a client's own request id comes from outside.
ACCESS_LOGGER = "gemchat.access"
SAFE_ACCESS_FIELDS = SAFE_FIELDS | {"event", "method", "route", "status", "milliseconds", "user_id"}


def formatter(*, readable: bool) -> logging.Formatter:
    """Make the formatter for LOGGING. Python's warnings become log lines too."""
    logging.captureWarnings(not readable)
    # Lines do not have these fields, so Python need not collect the fields. Python's documentation
    # names the private attribute for this purpose.
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
            leave_request_out,
            times,
            add_request_id,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # As text, so that the quotes of an exception are redacted too.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


def leave_request_out(logger: Any, method: str, line: Line) -> Line:
    """Remove Django's request object, since its text has the query string."""
    line.pop("request", None)
    return line


def add_request_id(logger: Any, method: str, line: Line) -> Line:
    line["request_id"] = request_id.get()
    if client_id := client_request_id.get():
        line["client_request_id"] = client_id
    return line


def redact(logger: Any, method: str, line: Line) -> Line:
    is_access = line.get("logger") == ACCESS_LOGGER
    safe = SAFE_ACCESS_FIELDS if is_access else SAFE_FIELDS
    return {
        name: value if name in safe else redacted_deep(value, name) for name, value in line.items()
    }
