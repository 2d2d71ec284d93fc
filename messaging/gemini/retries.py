"""One reply of Gemini, with retries and deadlines; a second cancellation ends each try."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from time import monotonic

from django.conf import settings
from django.utils.module_loading import import_string

from messaging.gemini.base import (
    SIGN_OF_LIFE,
    Backend,
    Cancellation,
    Cancelled,
    Completion,
    Delta,
    GeminiError,
    NoSystemRole,
    OnDelta,
    Request,
    Usage,
)
from messaging.gemini.deadlines import Deadline, Limits
from messaging.gemini.process import PerProcess

OnWait = Callable[[GeminiError, float], None]

_backends: PerProcess[Backend] = PerProcess()

_TIMEOUTS = {
    "first_byte": "Gemini did not begin to answer in time. Try again in a moment.",
    "idle": "Gemini went silent in mid-answer. Regenerate it to get a whole one.",
    "total": "Gemini took too long over this answer. Ask for a shorter one.",
}


@dataclass(frozen=True, slots=True)
class Retries:
    """The number of tries for a reply, and the waits between tries in seconds.

    A wait is random between `shortest` and a bound. The bound doubles up to `longest`. So replies
    of the same outage do not return together. `budget` bounds the sum of the waits of a reply. A
    reply with a longer wait goes back to the queue, and another reply gets the slot.
    """

    tries: int = 4
    shortest: float = 0.5
    longest: float = 8.0
    budget: float = 45.0

    def wait_before_next(self, error: GeminiError, *, tried: int, waited: float) -> float | None:
        """Return the seconds to wait after try number `tried`; None after the last try.

        A broken answer without text gets one more try, since Gemini bills such an answer.
        """
        most = min(self.tries, 2) if error.code == "empty" else self.tries
        if error.permanent or tried >= most:
            return None
        bound = min(self.longest, self.shortest * 2 ** (tried + 1))
        wait = random.uniform(self.shortest, bound)  # noqa: S311 no secret
        if error.retry_after is not None:
            wait = error.retry_after + random.uniform(0, self.shortest)  # noqa: S311
        return wait if waited + wait <= self.budget else None


_RETRIES = Retries()


def get_backend() -> Backend:
    """Return the backend of the settings; each process has a single instance."""
    path = settings.GEMINI_BACKEND
    return _backends.get(path, lambda: import_string(path)())


def stream_reply(
    request: Request,
    *,
    cancelled: Cancellation,
    on_delta: OnDelta,
    on_wait: OnWait = lambda error, seconds: None,
    retries: Retries = _RETRIES,
) -> Completion:
    """Stream a reply: each delta goes to `on_delta`, and `on_delta` must not block.

    `on_wait` gets the failure and the seconds before each wait for the next try.

    Temporary failures (408, 429, 5xx, broken connections) are retried until the first delta. After
    the first delta nothing is retried, since a second generation does not continue the first. A
    failure with a `retry_after` beyond the budget is raised, and the caller waits. A model without
    a system role gets the instructions as the first turn of the user.

    Raises `GeminiError`, and `Cancelled` once `cancelled` is set. A SIGN_OF_LIFE restarts the
    first-byte and idle clocks, but nothing puts off the total clock. The usage includes failed
    tries: Gemini bills the thoughts of a try that breaks off before the first text.
    """
    failed: list[Usage] = []
    try:
        completion = _stream_with_retries(
            request, cancelled, on_delta, on_wait, retries=retries, failed=failed
        )
    except (GeminiError, Cancelled) as ended:
        ended.usage = _sum(ended.usage, *failed)
        raise
    usage = _sum(completion.usage, *failed) or completion.usage
    return replace(completion, usage=usage, requests=completion.requests + len(failed))


def _sum(*usages: Usage | None) -> Usage | None:
    reported = [usage for usage in usages if usage is not None]
    return reduce(Usage.plus, reported) if reported else None


def _stream_with_retries(
    request: Request,
    cancelled: Cancellation,
    on_delta: OnDelta,
    on_wait: OnWait,
    *,
    retries: Retries,
    failed: list[Usage],
) -> Completion:
    """Try until a try ends the reply; the usage of earlier tries goes to `failed`."""
    limits = Limits.from_settings()
    ends_at = monotonic() + limits.total
    waited = 0.0
    tried = 0
    has_begun = False

    def pass_on(delta: Delta) -> None:
        nonlocal has_begun
        has_begun = True
        on_delta(delta)

    while True:
        # Before Gemini has the prompt, a stop costs nothing.
        cancelled.raise_if_set()
        tried += 1
        try:
            return _try_once(request, cancelled, pass_on, limits=limits, ends_at=ends_at)
        except NoSystemRole:
            if not request.system or has_begun:
                raise
            request = request.without_system_role()
            continue
        except GeminiError as error:
            wait = retries.wait_before_next(error, tried=tried, waited=waited)
            if has_begun or wait is None or monotonic() + wait >= ends_at:
                raise
            failure = error
            if error.usage is not None:
                failed.append(error.usage)
        waited += wait
        on_wait(failure, wait)
        if cancelled.wait(wait):
            raise Cancelled(cancelled.reason)


def _try_once(
    request: Request, cancelled: Cancellation, on_delta: OnDelta, *, limits: Limits, ends_at: float
) -> Completion:
    """Make a single try; a deadline ends the try by a second cancellation."""
    attempt = Cancellation()
    deadline = Deadline(attempt, limits=limits, ends_at=ends_at)

    def restart_and_pass_on(delta: Delta) -> None:
        deadline.restart()
        if delta != SIGN_OF_LIFE:
            on_delta(delta)

    try:
        with cancelled.on_cancel(lambda: attempt.cancel(cancelled.reason)), deadline.running():
            return get_backend().stream(request, cancelled=attempt, on_delta=restart_and_pass_on)
    except Cancelled as ended:
        if cancelled.is_set:
            raise
        timeout = GeminiError("timeout", _TIMEOUTS[ended.reason], clock=ended.reason)
        timeout.usage, timeout.model_version = ended.usage, ended.model_version
        raise timeout from None
