"""Threads that run functions for coroutines."""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """A fixed number of threads, from the construction to the end of the process.

    `run_in_executor` has a second future with locks, which takes 4 % of a read of the API.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._calls: SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], Any]] = (
            SimpleQueue()
        )
        for number in range(count):
            Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """Return what the function returns, or raise what the function raises."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._calls.put((future, function, args))
        return await future

    def _work(self) -> None:
        while True:
            # A separate function, so that the thread keeps nothing of a call during the wait.
            _call(*self._calls.get())


def _call(future: "asyncio.Future[Any]", function: Callable[..., Any], args: Any) -> None:
    settle: Callable[[Any], None] = future.set_result
    try:
        outcome = function(*args)
    except BaseException as error:  # Otherwise the thread ends, and the coroutine waits for ever.
        settle, outcome = future.set_exception, error
    future.get_loop().call_soon_threadsafe(_settle, future, settle, outcome)


def _settle(future: "asyncio.Future[Any]", settle: Callable[[Any], None], outcome: Any) -> None:
    if not future.cancelled():
        settle(outcome)
