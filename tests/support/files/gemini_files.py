"""Google's Files API of the fake Gemini: resumable uploads, states, deletions, expiry."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.fakes.gemini_messages import Answer, Received

_START = "/upload/v1beta/files"
_SESSION = "/upload/session/"
_FILE = re.compile(r"/v1beta/(files/[a-z0-9-]{1,40})")


@dataclass
class Copy:
    name: str
    media_type: str
    size: int
    content: bytearray = field(default_factory=bytearray)
    polls_left: int = 0  # until the state ACTIVE


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class GeminiFiles:
    """The copies by name. Google answers a request with an absent copy by 403."""

    def __init__(self) -> None:
        self.copies: dict[str, Copy] = {}
        self.uploads = 0
        # The answer to each upload and deletion in place of a success.
        self.refusal: Answer | None = None
        self.processing_polls = 0
        self._sessions: dict[str, Copy] = {}

    def takes(self, path: str) -> bool:
        return path.startswith("/upload/") or _FILE.fullmatch(path) is not None

    @staticmethod
    def is_bytes(path: str) -> bool:
        return path.startswith(_SESSION)

    def expire(self) -> None:
        """Delete all copies, as Google does after 48 hours."""
        self.copies.clear()

    def answer(self, received: Received, content: bytes, *, url: str) -> Reply | Answer:
        """Answer a request to the Files API; an Answer is an error."""
        if self.refusal is not None:
            return self.refusal
        if received.path == _START:
            return self._start(received, url=url)
        if received.path.startswith(_SESSION):
            return self._continue(received, content, url=url)
        match = _FILE.fullmatch(received.path)
        copy = self.copies.get(match[1]) if match else None
        if copy is None:
            return missing()
        if received.method == "DELETE":
            del self.copies[copy.name]
            return Reply(200, {})
        copy.polls_left = max(0, copy.polls_left - 1)
        return Reply(200, self._shown(copy, url=url))

    def refusal_of(self, body: Any) -> Answer | None:
        """Return the answer to a request that names an absent copy."""
        for uri in uris_in(body):
            if uri.partition("/v1beta/")[2] not in self.copies:
                return missing()
        return None

    def content_of(self, uri: str) -> bytes:
        return bytes(self.copies[uri.partition("/v1beta/")[2]].content)

    def _start(self, received: Received, *, url: str) -> Reply | Answer:
        asked = received.body["file"]
        if asked["name"] in self.copies:
            return Answer(status=409, error_status="ALREADY_EXISTS")
        session = f"{_SESSION}{len(self._sessions)}"
        size = int(received.headers["x-goog-upload-header-content-length"])
        media_type = received.headers["x-goog-upload-header-content-type"]
        self._sessions[session] = Copy(
            asked["name"], media_type, size, polls_left=self.processing_polls
        )
        headers = {"X-Goog-Upload-Status": "active", "X-Goog-Upload-URL": f"{url}{session}"}
        return Reply(200, {}, headers)

    def _continue(self, received: Received, content: bytes, *, url: str) -> Reply | Answer:
        copy = self._sessions[received.path]
        if int(received.headers["x-goog-upload-offset"]) != len(copy.content):
            return Answer(status=400, error_message="The offset is not the end.")
        copy.content += content
        if "finalize" not in received.headers["x-goog-upload-command"]:
            return Reply(200, {}, {"X-Goog-Upload-Status": "active"})
        if len(copy.content) != copy.size:
            return Answer(status=400, error_message="The size is not the announced size.")
        self.copies[copy.name] = copy
        self.uploads += 1
        shown = {"file": self._shown(copy, url=url)}
        return Reply(200, shown, {"X-Goog-Upload-Status": "final"})

    @staticmethod
    def _shown(copy: Copy, *, url: str) -> dict[str, Any]:
        return {
            "name": copy.name,
            "mimeType": copy.media_type,
            "sizeBytes": str(copy.size),
            "uri": f"{url}/v1beta/{copy.name}",
            "state": "PROCESSING" if copy.polls_left else "ACTIVE",
        }


def missing() -> Answer:
    return Answer(
        status=403,
        error_message="You do not have permission to access the File or it may not exist.",
    )


def parts_of(body: Any) -> Iterator[dict[str, Any]]:
    for content in body.get("contents", []):
        yield from content.get("parts", [])


def uris_in(body: Any) -> list[str]:
    """List the addresses of copies in a request."""
    found = [part.get("fileData") or part.get("file_data") or {} for part in parts_of(body)]
    return [str(data.get("fileUri") or data.get("file_uri")) for data in found if data]


def inline_in(body: Any) -> list[dict[str, Any]]:
    """List the inline data of a request, as `mimeType` and base64 `data`."""
    found = [part.get("inlineData") or part.get("inline_data") or {} for part in parts_of(body)]
    return [
        {"mimeType": data.get("mimeType") or data.get("mime_type"), "data": data["data"]}
        for data in found
        if data
    ]
