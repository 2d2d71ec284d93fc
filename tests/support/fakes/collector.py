"""A fake of Sentry and of an OpenTelemetry collector: a real HTTP server on loopback.

    with FakeCollector() as collector:
        ...  # SENTRY_DSN=collector.dsn, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        assert collector.errors[0]["exception"]

Wire formats: https://develop.sentry.dev/sdk/data-model/envelopes/ and
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace_id: str
    attributes: dict[str, str]


@dataclass
class FakeCollector:
    errors: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    # All that came, as text, to look for what should not have.
    received: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self._server.server_address[1]}/1"

    def __enter__(self) -> "FakeCollector":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            self._take_traces(ExportTraceServiceRequest.FromString(body))
        elif path.startswith("/api/1/envelope"):
            self._take_envelope(body)

    def _take_envelope(self, body: bytes) -> None:
        self.received.append(body.decode())
        lines = body.decode().split("\n")[1:]
        for header, payload in zip(lines[::2], lines[1::2], strict=False):
            if header and json.loads(header)["type"] == "event":
                self.errors.append(json.loads(payload))

    def _take_traces(self, request: ExportTraceServiceRequest) -> None:
        self.received.append(str(request))
        for resource in request.resource_spans:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        told["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        {each.key: each.value.string_value for each in span.attributes},
                    )
                    for span in scope.spans
                ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                fake.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
