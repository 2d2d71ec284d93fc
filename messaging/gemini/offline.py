"""The backend of an installation without a key; the reply says "no AI answer"."""

import re

from messaging.gemini.base import (
    FILE_KINDS,
    Cancellation,
    Completion,
    OnDelta,
    Request,
    TextDelta,
    Usage,
)
from messaging.gemini.base import Backend as BaseBackend

MODEL_VERSION = "offline"
_ECHOED_CHARACTERS = 120


class Backend(BaseBackend):
    """Streams a fixed reply: no AI answer, and the way to a real answer.

    The backend needs no network and costs nothing. Only settings choose the offline backend: no
    failure of another backend falls back to the fixed reply. The reply quotes the names of files.
    """

    capabilities = FILE_KINDS

    def stream(self, request: Request, *, cancelled: Cancellation, on_delta: OnDelta) -> Completion:
        for piece in re.findall(r"\S+\s*|\s+", _reply_to(request.contents[-1].text)):
            cancelled.raise_if_set()
            on_delta(TextDelta(piece))
        return Completion("stop", Usage(0, 0, 0, 0, estimated=True), MODEL_VERSION)


def _reply_to(prompt: str) -> str:
    words = " ".join(prompt.split())
    echoed = words[:_ECHOED_CHARACTERS] + ("…" if len(words) > _ECHOED_CHARACTERS else "")
    return (
        "This is not an AI answer: this server has no Gemini API key, so it replied by itself. "
        f"You wrote: “{echoed}”. "
        "For real answers, make a key at https://aistudio.google.com/apikey, set GOOGLE_API_KEY "
        "to it and start the server again."
    )
