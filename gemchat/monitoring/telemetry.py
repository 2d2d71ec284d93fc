"""Error reports to Sentry and traces to an OpenTelemetry collector, if configured.

The libraries are imported only then: the import costs each process megabytes and a second of its
start. No report names a person or a person's messages: no bodies, headers, query strings,
addresses, arguments of tasks or values of variables. The rest is redacted as log lines are.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings

from gemchat.api.request_id import client_request_id, request_id
from gemchat.monitoring.redaction import redacted, redacted_deep

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

# The rest of the instrumentations' attributes on spans is addresses, URLs and user agents.
KEPT_ATTRIBUTES = (
    *("http.method", "http.request.method", "http.route", "http.status_code"),
    *("http.response.status_code", "celery.", "messaging.", "exception."),
)
UNTRACED = "livez,readyz,metrics,health"
# The time limit of an ending process for its last reports.
SHUTDOWN_SECONDS = 2


def start(process: str) -> None:
    """Begin to report from a process, `web`, `worker` or `beat`, before it serves anything."""
    if settings.SENTRY_DSN:
        _report_errors(process)
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        _trace(process)


def _report_errors(process: str) -> None:
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        integrations=[
            DjangoIntegration(middleware_spans=False, signals_spans=False),
            CeleryIntegration(propagate_traces=False),
            LoggingIntegration(level=logging.WARNING, event_level=logging.ERROR),
        ],
        auto_enabling_integrations=False,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        auto_session_tracking=False,
        before_send=lambda event, hint: reported(event),
        before_breadcrumb=lambda breadcrumb, hint: redacted_deep(breadcrumb),
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    sentry_sdk.set_tag("process", process)


def reported(event: Any) -> Any:
    """An event of Sentry's before the send."""
    event.pop("user", None)
    request = event.pop("request", None)
    tags = {**(event.get("tags") or {}), "request_id": request_id.get()}
    if client_id := client_request_id.get():
        tags["client_request_id"] = client_id
    if request:
        tags["method"] = request.get("method", "")
    # Django's loggers give the request along, and Sentry converts the request to text with the
    # query.
    (event.get("extra") or {}).pop("request", None)
    celery = (event.get("extra") or {}).get("celery-job")
    if celery:
        event["extra"]["celery-job"] = {"task_name": celery.get("task_name", "")}
    return {**redacted_deep(event), "tags": redacted_deep(tags)}


def _trace(process: str) -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"gemchat-{process}"}))
    # The exporter reads the endpoint, headers and the like from OTEL_… itself.
    exporter: SpanExporter = RedactingExporter(OTLPSpanExporter())  # type: ignore[assignment]
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(excluded_urls=UNTRACED)
    CeleryInstrumentor().instrument()


class RedactingExporter:
    """A SpanExporter: removes private attributes from spans, then passes the spans on."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        return self._exporter.export([without_persons(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def without_persons(span: "ReadableSpan") -> "ReadableSpan":
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Status

    return ReadableSpan(
        name=redacted(span.name),
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_kept(span.attributes),
        events=[
            Event(event.name, _kept(event.attributes), event.timestamp) for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, redacted(span.status.description or "") or None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _kept(attributes: Any) -> dict[str, Any]:
    return {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in (attributes or {}).items()
        if name.startswith(KEPT_ATTRIBUTES)
    }
