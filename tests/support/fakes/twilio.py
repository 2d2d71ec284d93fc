"""A fake Twilio: a real HTTP server on loopback that speaks its Messages resource.

    with FakeTwilio() as twilio:
        twilio.script(503, 503)          # the answers to come; 201 when the script is over
        settings.TWILIO_API_BASE = twilio.url
        ...
        assert twilio.messages[0]["To"] == "+911234567890"

Wire format: https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

import base64
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

ACCOUNT, TOKEN, SENDER = "AC" + "0" * 32, "twilio-test-token", "+15005550006"
_AUTHORIZATION = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
# https://www.twilio.com/docs/api/errors
_ERRORS = {400: 21211, 401: 20003, 404: 20404, 429: 20429, 500: 20500, 503: 20503}


class FakeTwilio:
    def __init__(self) -> None:
        # What was sent, also when it was refused: the form's fields.
        self.attempts: list[dict[str, str]] = []
        self.messages: list[dict[str, str]] = []
        self._statuses: deque[int] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, *statuses: int) -> None:
        self._statuses.extend(statuses)

    def __enter__(self) -> "FakeTwilio":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, authorization: str, form: dict[str, str]) -> tuple[int, object]:
        if path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return self._error(404)
        if authorization != _AUTHORIZATION:
            return self._error(401)
        self.attempts.append(form)
        status = self._statuses.popleft() if self._statuses else 201
        if status >= 400:
            return self._error(status)
        self.messages.append(form)
        return status, {"sid": f"SM{len(self.messages):032d}", "status": "queued", **form}

    def account(self, path: str, authorization: str) -> tuple[int, object]:
        """https://www.twilio.com/docs/iam/api/account#fetch-an-account-resource"""
        if path != f"/2010-04-01/Accounts/{ACCOUNT}.json":
            return self._error(404)
        if authorization != _AUTHORIZATION:
            return self._error(401)
        return 200, {"sid": ACCOUNT, "status": "active"}

    def _error(self, status: int) -> tuple[int, object]:
        return status, {"code": _ERRORS[status], "message": "Refused.", "status": status}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(*fake.account(self.path, self.headers.get("Authorization", "")))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = dict(parse_qsl(self.rfile.read(length).decode()))
                given = self.headers.get("Authorization", "")
                self.reply(*fake.answer(self.path, given, form))

            def reply(self, status: int, body: object) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
