"""Stripe's wire: form encoding, signatures, errors, and the HTTP server of the fake."""

import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.fakes.stripe_objects import Object


@dataclass
class Request:
    method: str
    path: str
    params: dict[str, Any]
    idempotency_key: str | None


class Refusal(Exception):
    def __init__(self, status: int, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        kind = fields.pop("type", "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, **fields}}


def signed(
    event: Object | bytes,
    secret: str,
    *,
    timestamp: float | None = None,
    scheme: str = "v1",
) -> tuple[bytes, dict[str, str]]:
    """The body of a delivery and its headers: docs.stripe.com/webhooks#verify-manually."""
    body = event if isinstance(event, bytes) else json.dumps(event, indent=2).encode()
    at = int(time.time() if timestamp is None else timestamp)
    signature = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return body, {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": f"t={at},{scheme}={signature}",
    }


def public(body: Object) -> Object:
    """Without what the fake keeps for itself."""
    if isinstance(body, dict):
        return {k: public(v) for k, v in body.items() if not k.startswith("_")}
    if isinstance(body, list):
        return [public(each) for each in body]
    return body


def read_params(encoded: str) -> dict[str, Any]:
    """Stripe's form encoding: `a[b]=1`, `list[0][c]=2`, `list[]=3`."""
    read: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        parts = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        at = read
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1] or str(len(at))] = value
    return _with_lists(read)


def _with_lists(read: Any) -> Any:
    if not isinstance(read, dict):
        return read
    if read and all(key.isdigit() for key in read):
        return [_with_lists(read[key]) for key in sorted(read, key=int)]
    return {key: _with_lists(value) for key, value in read.items()}


def handler_for(fake: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in two packets would wait for the client's delayed acknowledgement.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_DELETE = do_GET

        def _serve(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if not url.path.startswith("/v1/"):
                self._serve_people(url.path, body)
                return
            request = Request(
                method=self.command,
                path=url.path,
                params=read_params("&".join(filter(None, [url.query, body]))),
                idempotency_key=self.headers.get("Idempotency-Key"),
            )
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, answer, fault = fake.answer(request, key)
            if fault:
                if fault.gate:
                    fault.gate.wait(30)
                time.sleep(fault.delay)
                if fault.drop:
                    self.close_connection = True
                    return
            self._send(status, json.dumps(answer), "application/json")

        def _serve_people(self, path: str, body: str) -> None:
            """The Checkout page, the portal, and the control of a fake in another process."""
            *_, place, subject = path.split("/")
            if place == "_control":
                try:
                    answer = getattr(fake, subject)(**json.loads(body or "{}"))
                except Refusal as refusal:
                    self._send(refusal.status, json.dumps(refusal.body), "application/json")
                    return
                self._send(200, json.dumps(public(answer)), "application/json")
            elif self.command == "POST" and place == "pay":
                session = fake.objects["checkout/sessions"][subject]
                fake.pay(subject)
                to = session["success_url"].replace("{CHECKOUT_SESSION_ID}", subject)
                self._send(303, "", "text/html", Location=to)
            elif self.command == "POST":
                fake.cancel_in_portal(subject)
                self._send(200, "It ends with what is paid for.", "text/html")
            else:
                verb = "Pay" if place == "pay" else "Cancel"
                self._send(200, f"<form method=post><button>{verb}</button></form>", "text/html")

        def _send(self, status: int, text: str, content_type: str, **headers: str) -> None:
            sent = text.encode()
            self.send_response(status)
            for name, value in (headers | {"Content-Type": content_type}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)
            self.wfile.flush()

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
