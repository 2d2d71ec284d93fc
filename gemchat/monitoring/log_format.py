"""Log lines without secrets: JSON, or readable text in development.

The program and its libraries log through the standard library; structlog renders every line.
"""

import logging
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog

from gemchat.api.request_id import client_request_id, request_id
from gemchat.monitoring.redaction import redacted_deep

Line = MutableMapping[str, Any]

# The record's standard attributes, and Django's request, since its text has the query string.
LEFT_OUT = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "request"})

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
    return LineFormatter(
        structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
        if readable
        else structlog.processors.JSONRenderer()
    )


class LineFormatter(logging.Formatter):
    """Formats records with a renderer of structlog.

    structlog's own formatter copies each record and calls ten functions: 5 % of a read of the API.
    """

    def __init__(self, renderer: Callable[[Any, str, Line], Any]) -> None:
        super().__init__()
        self.renderer = renderer

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        line: dict[str, Any] = {"event": record.getMessage(), "level": level, "logger": record.name}
        for name, value in vars(record).items():
            if name not in LEFT_OUT:
                line[name] = value
        created = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line["timestamp"] = created.replace("+00:00", "Z")
        line["request_id"] = request_id.get()
        if client_id := client_request_id.get():
            line["client_request_id"] = client_id
        if record.exc_info:
            # As text, so that the quotes of an exception are redacted too.
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack_info"] = record.stack_info
        return str(self.renderer(None, level, redact(line)))


def redact(line: Line) -> Line:
    is_access = line.get("logger") == ACCESS_LOGGER
    safe = SAFE_ACCESS_FIELDS if is_access else SAFE_FIELDS
    return {
        name: value if name in safe else redacted_deep(value, name) for name, value in line.items()
    }
