"""Permits, with real threads."""

import threading

import pytest

from gemchat.serving.permits import NoPermit, Permits


def hold(permits: Permits, entered: threading.Event, leave: threading.Event) -> threading.Thread:
    def work() -> None:
        with permits.taken():
            entered.set()
            leave.wait(timeout=30)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_permit_beyond_the_count_is_refused_at_once():
    permits, entered, leave = Permits(1), threading.Event(), threading.Event()
    worker = hold(permits, entered, leave)
    assert entered.wait(timeout=30)

    with pytest.raises(NoPermit), permits.taken():
        pass

    leave.set()
    worker.join()
    with permits.taken():
        pass


def test_waiting_thread_gets_the_permit_of_a_thread_that_ends():
    permits = Permits(1, waiting=1, patience_seconds=30)
    first, leave, second = threading.Event(), threading.Event(), threading.Event()
    workers = [hold(permits, first, leave)]
    assert first.wait(timeout=30)

    workers.append(hold(permits, second, leave))

    assert not second.is_set()
    leave.set()
    assert second.wait(timeout=30)
    for worker in workers:
        worker.join()


def test_patience_ends():
    permits, entered, leave = (
        Permits(1, waiting=1, patience_seconds=0.01),
        threading.Event(),
        threading.Event(),
    )
    worker = hold(permits, entered, leave)
    assert entered.wait(timeout=30)

    with pytest.raises(NoPermit), permits.taken():
        pass

    leave.set()
    worker.join()


def test_error_within_the_block_gives_the_permit_back():
    permits = Permits(1)

    with pytest.raises(ValueError), permits.taken():
        raise ValueError

    with permits.taken():
        pass
