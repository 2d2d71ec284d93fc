"""Ask a backend as the reply task does, and collect the outcome."""

import threading
from dataclasses import dataclass, field

from messaging.gemini import (
    Cancellation,
    Cancelled,
    Completion,
    Content,
    Delta,
    GeminiError,
    Request,
    Retries,
    TextPart,
    stream_reply,
)

KEY = "test-key-b7f1c0"
MODEL = "gemini-3.5-flash-lite"
QUICK = Retries(shortest=0.01, longest=0.02)


@dataclass
class Outcome:
    """The result of one stream: its deltas, and one of final, error and cancelled."""

    deltas: list[str] = field(default_factory=list)
    completion: Completion | None = None
    error: GeminiError | None = None
    cancelled: Cancelled | None = None

    @property
    def text(self) -> str:
        return "".join(self.deltas)


def request_for(prompt: str, *, system: str = "", before: tuple[Content, ...] = ()) -> Request:
    contents = (*before, Content("user", (TextPart(prompt),)))
    return Request(model=MODEL, system=system, contents=contents, max_output_tokens=256)


def ask(
    prompt: str | Request = "Hello",
    *,
    cancelled: Cancellation | None = None,
    retries: Retries = QUICK,
    outcome: Outcome | None = None,
) -> Outcome:
    """Read one reply to its end. Another thread may read `outcome` in the meantime."""
    request = request_for(prompt) if isinstance(prompt, str) else prompt
    outcome = outcome or Outcome()
    deltas = outcome.deltas

    def on_delta(delta: Delta) -> None:
        deltas.append(delta.text)

    try:
        outcome.completion = stream_reply(
            request,
            cancelled=cancelled or Cancellation(),
            on_delta=on_delta,
            retries=retries,
        )
    except GeminiError as error:
        outcome.error = error
    except Cancelled as ended:
        outcome.cancelled = ended
    return outcome


class Asking(threading.Thread):
    """One `ask` in another thread."""

    def __init__(self, prompt: str | Request = "Hello", *, retries: Retries = QUICK) -> None:
        super().__init__(daemon=True)
        self.cancelled = Cancellation()
        self.outcome = Outcome()
        self._prompt = prompt
        self._retries = retries
        self.start()

    def run(self) -> None:
        ask(self._prompt, cancelled=self.cancelled, retries=self._retries, outcome=self.outcome)

    def finish(self, seconds: float = 10.0) -> Outcome:
        self.join(seconds)
        assert not self.is_alive(), f"the stream did not end within {seconds} s"
        return self.outcome
