"""Threads that run functions for coroutines."""

import asyncio
import threading

import pytest

from gemchat.serving.threads import Threads


@pytest.fixture(scope="module")
def threads() -> Threads:
    return Threads(1, name="tested")


def test_result_comes_back_from_another_thread(threads: Threads) -> None:
    name = asyncio.run(threads.run(lambda: threading.current_thread().name))

    assert name == "tested-0"


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_raised_exception_comes_back_and_the_thread_goes_on(
    threads: Threads, kind: type[BaseException]
) -> None:
    def fail() -> None:
        raise kind("of the function")

    async def run() -> int:
        with pytest.raises(kind, match="of the function"):
            await threads.run(fail)
        return await threads.run(int, "7")

    assert asyncio.run(run()) == 7


def test_thread_goes_on_after_a_cancelled_call(threads: Threads) -> None:
    started, gate = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert gate.wait(20)

    async def run() -> int:
        call = asyncio.create_task(threads.run(wait))
        await asyncio.to_thread(started.wait, 20)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gate.set()
        return await threads.run(int, "7")

    assert asyncio.run(run()) == 7
