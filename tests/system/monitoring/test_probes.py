"""Probes answer in time in every state of the stores, and name the fault."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import requests
from django.core.handlers.exception import response_for_exception
from django.db import OperationalError
from django.test import RequestFactory

from dev.servers.stack import Stack
from tests.support.fakes.wire import Wire
from tests.support.stack.api_client import ApiUser
from tests.support.stack.processes import threads_of
from tests.support.stack.stores import Wires
from tests.support.waiting import eventually

PROMISED_SECONDS = 2.0
# What the probes come to on a machine that is busy with other tests.
SLACK_SECONDS = 1.0
THREADS = 4

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("probes")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], wired_stores: dict[str, str]) -> Iterator[Stack]:
    bounds = {"WEB_THREADS": str(THREADS), "WEB_STATEMENT_SECONDS": "3"}
    with make_stack(parts=["web", "worker"], **wired_stores, **bounds) as stack:
        eventually(lambda: probe(stack, "api/v1/health").status_code == 200, seconds=30)
        yield stack


@pytest.fixture(autouse=True)
def mended(wires: Wires, stack: Stack) -> Iterator[None]:
    yield
    wires.database.fault = wires.redis.fault = None
    eventually(lambda: probe(stack, "api/v1/health").status_code == 200, seconds=40)


def probe(stack: Stack, path: str) -> requests.Response:
    answer = requests.get(f"{stack.url}/{path}", timeout=10)
    assert answer.elapsed.total_seconds() < PROMISED_SECONDS + SLACK_SECONDS, path
    return answer


def many_probes(stack: Stack) -> dict[str, set[int]]:
    """The statuses that each probe answers with when sixty come at once."""
    paths = ["livez", "readyz", "api/v1/health"] * 20
    with ThreadPoolExecutor(len(paths)) as threads:
        answers = list(threads.map(lambda path: (path, probe(stack, path).status_code), paths))
    return {path: {code for of, code in answers if of == path} for path in set(paths)}


def test_probes_are_well_when_all_is(stack: Stack) -> None:
    assert probe(stack, "livez").json() == {"status": "ok"}
    assert probe(stack, "readyz/").json() == {"status": "ok", "database": "connected"}
    assert probe(stack, "api/v1/health/").json() == {
        "status": "ok",
        "database": "connected",
        "redis": "connected",
        "celery": "connected",
    }


@pytest.mark.parametrize("fault", [Wire.DOWN, Wire.HOLE, 4.0])
def test_probes_answer_in_time_with_every_store_at_fault(
    fault: float | str, wires: Wires, stack: Stack
) -> None:
    wires.database.fault = wires.redis.fault = fault

    for _ in range(2):
        answered = many_probes(stack)
        assert answered == {"livez": {200}, "readyz": {503}, "api/v1/health": {503}}
    health = probe(stack, "api/v1/health")
    assert health.headers["Cache-Control"] == "no-store"
    assert health.json() == {
        "status": "degraded",
        "database": "disconnected",
        "redis": "disconnected",
        "celery": "disconnected",
    }


def test_slow_store_that_answers_in_time_is_connected(wires: Wires, stack: Stack) -> None:
    wires.redis.fault = 0.1

    assert probe(stack, "api/v1/health").json()["redis"] == "connected"


def test_redis_alone_at_fault_leaves_the_process_ready(wires: Wires, stack: Stack) -> None:
    wires.redis.fault = Wire.HOLE

    assert probe(stack, "readyz").status_code == 200
    told = probe(stack, "api/v1/health").json()
    assert (told["database"], told["redis"]) == ("connected", "disconnected")


def test_hung_database_takes_no_thread_for_each_probe(wires: Wires, stack: Stack) -> None:
    web = stack.processes["web"].pid
    wires.database.fault = Wire.HOLE
    many_probes(stack)
    before = threads_of(web)

    for _ in range(5):
        many_probes(stack)

    assert threads_of(web) <= before + 1


@pytest.mark.parametrize("path", ["admin/", "admin/accounts/user/", "admin/login/"])
def test_pages_of_staff_say_that_the_database_is_down(
    path: str, wires: Wires, stack: Stack
) -> None:
    wires.database.fault = Wire.DOWN

    answer = requests.get(
        f"{stack.url}/{path}", cookies={"sessionid": "a" * 32}, timeout=20, allow_redirects=False
    )

    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "Traceback" not in answer.text


def test_middleware_without_its_database_is_no_fault_of_the_server(rf: RequestFactory) -> None:
    try:
        raise OperationalError("the connection is lost")
    except OperationalError as error:
        answer = response_for_exception(rf.get("/admin/"), error)

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_livez_answers_while_every_thread_waits_for_the_database(
    wires: Wires, stack: Stack
) -> None:
    person = ApiUser(stack.url).sign_in()
    wires.database.fault = Wire.HOLE

    with ThreadPoolExecutor(3 * THREADS) as threads:
        waiting = [
            threads.submit(person.session.get, f"{person.url}/user/me", timeout=40)
            for _ in range(3 * THREADS)
        ]
        assert not wait(waiting, timeout=1).done
        assert probe(stack, "livez").status_code == 200
        assert probe(stack, "readyz").status_code == 503
        answers = [answer.result() for answer in waiting]
    wires.database.fault = None

    assert {answer.status_code for answer in answers} == {503}
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    eventually(lambda: person.session.get(f"{person.url}/user/me", timeout=40).ok, seconds=20)
