"""A hanging Stripe takes neither the threads of a web process nor the webhooks' turn."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.fakes.stripe_api import FakeStripe, Fault
from tests.support.fakes.stripe_wire import signed
from tests.support.payments import SECRET
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually
from tests.system.monitoring.test_metrics import TOKEN, web

THREADS, PERMITS, CALLS_AN_HOUR = 8, 2, 30
SUBSCRIBE = "subscription/subscribe/pro"

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("stripe_hangs")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], selling: dict[str, str]) -> Iterator[Stack]:
    with make_stack(
        parts=["web"],
        **selling,
        WEB_THREADS=str(THREADS),
        STRIPE_CALLS_PER_HOUR=str(CALLS_AN_HOUR),
        METRICS_TOKEN=TOKEN,
    ) as stack:
        yield stack


class Hung:
    """Requests that Stripe takes and does not answer until `release`."""

    def __init__(self, stripe_server: FakeStripe) -> None:
        self._stripe = stripe_server
        self._gate = threading.Event()
        self._faults = [
            Fault(method, "/v1/", times=1_000, gate=self._gate) for method in ("GET", "POST")
        ]

    def __enter__(self) -> "Hung":
        self._stripe._faults += self._faults
        return self

    def __exit__(self, *error: object) -> None:
        for fault in self._faults:
            if fault in self._stripe._faults:
                self._stripe._faults.remove(fault)
        self._gate.set()


def subscribe(person: ApiUser) -> requests.Response:
    # A session is no matter of several threads.
    return requests.post(
        f"{person.url}/{SUBSCRIBE}", headers=dict(person.session.headers), timeout=60
    )


def is_open(stack: Stack) -> bool:
    return web(stack)("gemchat_breaker_open", service="Stripe") == 1


def deliver(stack: Stack, event: Any) -> requests.Response:
    body, headers = signed(event, SECRET)
    url = f"{stack.url}/api/v1/subscription/webhook/stripe"
    return requests.post(url, data=body, headers=headers, timeout=60)


def test_hung_stripe_takes_few_threads_until_a_probe_is_answered(
    stack: Stack, stripe_server: FakeStripe
) -> None:
    attacker, other = ApiUser(stack.url).sign_in(), ApiUser(stack.url).sign_in()

    with Hung(stripe_server), ThreadPoolExecutor(3 * THREADS) as threads:
        asked = len(stripe_server.requests)
        waiting = [threads.submit(subscribe, attacker) for _ in range(3 * THREADS)]
        eventually(lambda: sum(each.done() for each in waiting) == len(waiting) - PERMITS)
        eventually(lambda: len(stripe_server.requests) > asked)
        assert other.get("user/me")["mobile"] == other.mobile
        assert sum(each.done() for each in waiting) == len(waiting) - PERMITS
        at_once = [each.result() for each in waiting if each.done()]
        answers = [each.result() for each in waiting]
        assert is_open(stack)
        asked = len(stripe_server.requests)
        in_vain = subscribe(other)
        assert len(stripe_server.requests) == asked

    for answer in [*at_once, *answers, in_vain]:
        assert (answer.status_code, answer.json()["code"]) == (503, "payment_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    eventually(lambda: subscribe(other).ok, seconds=30)
    assert not is_open(stack)
    with ThreadPoolExecutor(PERMITS) as threads:
        again = list(threads.map(subscribe, [attacker, other]))
    assert {answer.status_code for answer in again} == {200}


def test_webhooks_get_in_while_people_hold_every_permit(
    stack: Stack, stripe_server: FakeStripe
) -> None:
    payer = ApiUser(stack.url).sign_in()
    stripe_server.pay(payer.post(SUBSCRIBE)["session_id"])
    slow = [ApiUser(stack.url).sign_in() for _ in range(PERMITS)]
    events = list(stripe_server.events)

    with (
        stripe_server.hold("POST", "/v1/customers") as first,
        stripe_server.hold("POST", "/v1/customers") as second,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        waiting = [threads.submit(subscribe, person) for person in slow]
        assert first.arrived.wait(10) and second.arrived.wait(10)
        assert subscribe(payer).status_code == 503
        delivered = list(threads.map(lambda event: deliver(stack, event), events))
        first.release.set()
        second.release.set()
        answers = [each.result() for each in waiting]

    assert {answer.status_code for answer in delivered} == {200}
    assert payer.get("subscription/status")["tier"] == "pro"
    assert {answer.status_code for answer in answers} == {200}


def test_calls_of_a_person_are_counted_and_replays_are_not(
    stack: Stack, stripe_server: FakeStripe
) -> None:
    person, other = ApiUser(stack.url).sign_in(), ApiUser(stack.url).sign_in()
    key = {"Idempotency-Key": "one"}
    first = person.post(SUBSCRIBE, headers=key)

    for _ in range(CALLS_AN_HOUR):
        assert person.post(SUBSCRIBE, headers=key) == first
    for _ in range(CALLS_AN_HOUR - 1):
        person.post("subscription/portal")
    asked = len(stripe_server.requests)
    refused = [subscribe(person)]
    refused += [
        person.session.post(f"{person.url}/subscription/{name}", timeout=40)
        for name in ("portal", "cancel", "resume")
    ]

    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert int(answer.headers["Retry-After"]) > 0
    assert len(stripe_server.requests) == asked
    assert subscribe(other).ok
