"""The metrics of the program's processes, and who may read them."""

from collections.abc import Callable, Iterator

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.fakes.wire import Wire
from tests.support.stack.api_client import ApiUser
from tests.support.stack.processes import free_port
from tests.support.stack.start import EVERY_PART
from tests.support.stack.stores import Wires
from tests.support.waiting import eventually

TOKEN = "metrics-token-of-the-tests"
API = "/api/v1"

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("metrics")


@pytest.fixture(scope="module")
def port() -> int:
    """Web's; the worker's follows it, and beat's."""
    return free_port(successors=2)


@pytest.fixture(scope="module")
def stack(
    make_stack: Callable[..., Stack],
    wired_stores: dict[str, str],
    gemini_server: FakeGemini,
    port: int,
) -> Iterator[Stack]:
    with make_stack(
        parts=EVERY_PART,
        **wired_stores,
        METRICS_TOKEN=TOKEN,
        METRICS_PORT=str(port),
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
    ) as stack:
        # The worker is there as well.
        health = f"{stack.url}/api/v1/health"
        eventually(lambda: requests.get(health, timeout=10).ok, seconds=30)
        yield stack


class Figures:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert found or not labels, f"{name} {labels} is not told"
        return sum(found)


def web(stack: Stack) -> Figures:
    answer = requests.get(
        f"{stack.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    assert answer.elapsed.total_seconds() < 3
    return Figures(answer.text)


def worker(port: int) -> Figures:
    return Figures(requests.get(f"http://127.0.0.1:{port + 1}/metrics", timeout=10).text)


def test_requests_are_counted_by_pattern_and_status(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()
    person.get(f"chatroom/{room}")
    person.session.get(f"{person.url}/chatroom/{room}x", timeout=10)
    for number in range(3):
        person.session.get(f"{stack.url}/nowhere/{number}?secret={number}", timeout=10)
    requests.request("PROPFIND", f"{stack.url}/coffee", timeout=10)

    after = web(stack)

    ours = {"method": "GET", "route": f"{API}/chatroom/<pk>"}
    routes = {sample.labels["route"] for sample in after.samples if "route" in sample.labels}
    assert after("gemchat_request_seconds_count", status="2xx", **ours) >= 1, routes
    assert after("gemchat_request_seconds_count", route="unknown", status="4xx") >= 3
    assert after("gemchat_request_seconds_count", method="OTHER", status="4xx") == 1
    assert not any("nowhere" in route or room in route for route in routes)


def test_replies_and_codes_are_counted_by_the_worker(stack: Stack, port: int) -> None:
    person = ApiUser(stack.url).sign_in()
    person.reply(person.send(person.open_room(), directive(Answer(chunks=["Fine"]))))
    person.reply(person.send(person.open_room(), directive(Answer.bad_key())))

    # One that nobody has entered before its task comes to send it.
    newcomer = ApiUser(stack.url)
    newcomer.post("auth/send-otp", {"mobile": newcomer.mobile})
    eventually(lambda: worker(port)("gemchat_code_deliveries_total") > 0, seconds=20)
    told = worker(port)

    assert told("gemchat_reply_seconds_count", status="complete") == 1
    assert told("gemchat_reply_seconds_count", status="failed") == 1
    assert told("gemchat_reply_first_token_seconds_count") == 1
    assert told("gemchat_reply_failures_total", code="misconfigured") == 1
    assert told("gemchat_code_deliveries_total", outcome="sent") >= 1
    assert web(stack)("gemchat_code_checks_total", outcome="verified") >= 1


def test_queue_streams_and_pool_are_told_by_web(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()
    first = person.send(room, directive(Answer(chunks=["So"], ending="hang")))
    person.send(room, "And then?")
    stream = person.stream(first)
    next(stream)

    eventually(lambda: web(stack)("gemchat_replies_under_way", status="queued") == 1, seconds=15)
    told = web(stack)
    person.post(f"message/{first}/stop")
    list(stream)

    assert told("gemchat_replies_under_way", status="generating") == 1
    assert told("gemchat_reply_queue_age_seconds") > 0
    assert told("gemchat_replies_stuck") == 0
    assert told("gemchat_open_streams") == 1
    assert told("gemchat_pool_open") >= 1
    assert told("gemchat_queue_tasks", queue="gemini") >= 0
    assert told("gemchat_store_up") == 2
    eventually(lambda: web(stack)("gemchat_open_streams") == 0, seconds=10)


@pytest.mark.parametrize("fault", [Wire.DOWN, Wire.HOLE])
def test_scrape_answers_without_the_stores(fault: str, stack: Stack, wires: Wires) -> None:
    wires.database.fault = wires.redis.fault = fault

    eventually(lambda: web(stack)("gemchat_store_up") == 0, seconds=15)
    told = web(stack)
    wires.database.fault = wires.redis.fault = None

    assert told("gemchat_request_seconds_count") > 0
    assert told("process_resident_memory_bytes") > 0
    assert told("gemchat_replies_under_way") == 0
    eventually(lambda: web(stack)("gemchat_store_up") == 2, seconds=30)


def test_stranger_is_told_nothing(stack: Stack) -> None:
    for given in ("", "Bearer x", TOKEN, f"Basic {TOKEN}", "Bearer é"):
        answer = requests.get(
            f"{stack.url}/metrics", headers={"Authorization": given.encode()}, timeout=10
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


@pytest.mark.django_db
def test_metrics_are_closed_without_a_token(client, settings) -> None:
    settings.METRICS_TOKEN = ""

    answer = client.get("/metrics", headers={"Authorization": "Bearer "})

    assert answer.status_code == 404


def test_web_and_worker_report_the_skew_of_their_clocks(stack: Stack, port: int) -> None:
    for number in (port, port + 1):
        text = requests.get(f"http://127.0.0.1:{number}/metrics", timeout=10).text

        # The stores are on this machine.
        assert abs(Figures(text)("gemchat_clock_skew_seconds")) < 1
