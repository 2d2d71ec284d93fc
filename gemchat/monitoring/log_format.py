"""Log lines: JSON for machines, or readable ones in development, and none with a secret in it.

The program and its libraries log through the standard library; structlog's formatter makes the
lines of all of them.
"""

import json
import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog

from gemchat.api.request_id import client_request_id, request_id
from gemchat.monitoring.redaction import redacted, redacted_deep

Line = MutableMapping[str, Any]

# Made by this program, never of what people send. To look through them as well would cost as much
# as all the rest.
OURS = frozenset({"timestamp", "level", "logger", "request_id"})
# The lines of requests and their fields, all made by `gemchat.monitoring.access_log`.
ACCESS = "gemchat.access"
FIELDS = ("method", "route", "status", "milliseconds", "user_id")


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
    kind = structlog.stdlib.ProcessorFormatter if readable else Lines
    return kind(
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
            # As text, so that what an exception quotes is redacted too.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


class Lines(structlog.stdlib.ProcessorFormatter):
    """JSON. Of a request, in a quarter of the time: there is nothing in it to look for."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name != ACCESS:
            return super().format(record)
        told = {name: getattr(record, name) for name in FIELDS}
        made = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": ACCESS,
            **told,
            "timestamp": made.replace("+00:00", "Z"),
            "request_id": request_id.get(),
        }
        # A caller can choose what looks like a secret or a number.
        if client_id := client_request_id.get():
            line["client_request_id"] = redacted(client_id)
        return json.dumps(line)


def leave_request_out(logger: Any, method: str, line: Line) -> Line:
    """Django gives the whole request along with a line; as text, it has the query string."""
    line.pop("request", None)
    return line


def add_request_id(logger: Any, method: str, line: Line) -> Line:
    line["request_id"] = request_id.get()
    if client_id := client_request_id.get():
        line["client_request_id"] = client_id
    return line


def redact(logger: Any, method: str, line: Line) -> Line:
    return {
        name: value if name in OURS else redacted_deep(value, name) for name, value in line.items()
    }
