"""A user of the API over HTTP, for tests of whole processes."""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

_numbers = itertools.count(9_810_000_000)


@dataclass(frozen=True)
class Event:
    """One Server-Sent Event."""

    id: str
    name: str
    body: Any


class ApiUser:
    """Signs up at `url` by mobile and code (with OTP_ECHO) and stores the token."""

    def __init__(self, url: str, mobile: str = "") -> None:
        self.site = url
        self.url = f"{url}/api/v1"
        self.mobile = mobile or f"+91{next(_numbers)}"
        self.session = requests.Session()
        self.session.trust_env = False
        # Each user has another address, so that no limit of one address applies.
        number = int(self.mobile[1:])
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.session.headers["X-Forwarded-For"] = address
        self.refresh_token = ""

    def sign_in(self) -> "ApiUser":
        self.post("auth/signup", {"mobile": self.mobile})
        otp = self.post("auth/send-otp", {"mobile": self.mobile})["data"]["otp"]
        # Sign in as the pages do, so that a browser can continue this session.
        answer = self.session.post(
            f"{self.site}/web/session",
            json={"mobile": self.mobile, "otp": otp},
            headers={"Origin": self.site},
            timeout=40,
        )
        assert answer.ok, f"{answer.status_code} {answer.text}"
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.refresh_token = answer.cookies["gemchat_refresh"]
        self.session.cookies.clear()
        return self

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self._answer("POST", path, json=body if body is not None else {}, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self._answer("GET", path, **options)

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        answer = self.session.request(method, f"{self.url}/{path}", timeout=40, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def open_room(self, title: str = "Room") -> str:
        return self.post("chatroom/", {"title": title})["id"]

    def send(self, room: str, prompt: str, **options: Any) -> str:
        """Send a prompt; return the id of its reply."""
        sent = self.post(f"message/chatroom/{room}/message", {"prompt": prompt}, **options)
        return sent["data"]["reply"]["id"]

    def reply(self, reply_id: str, seconds: float = 60) -> Any:
        """Return the reply after its end."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.get(f"message/{reply_id}?wait=5")
            if message["status"] not in ("queued", "generating"):
                return message
            assert time.monotonic() < deadline, f"the reply is still {message['status']}"

    def stream(self, reply_id: str, *, after: str = "", url: str = "") -> Iterator[Event]:
        """Read the reply's events after the event `after`, from the web process at `url`."""
        headers = {"Last-Event-ID": after} if after else {}
        base = f"{url}/api/v1" if url else self.url
        with self.session.get(
            f"{base}/message/{reply_id}/stream", headers=headers, stream=True, timeout=40
        ) as answer:
            assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
            yield from parse(answer.iter_content(chunk_size=None))


def parse(chunks: Iterator[bytes]) -> Iterator[Event]:
    """Server-Sent Events, https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    buffer = b""
    for chunk in chunks:
        *whole, buffer = (buffer + chunk).split(b"\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if "event" in fields:
                yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
