"""A real Valkey that refuses the commands of the worker during a failover."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser
from tests.support.stack.processes import free_port
from tests.support.stack.start import stack_on
from tests.support.waiting import eventually

ANSWER = Answer(chunks=["One ", "two ", "three ", "four ", "five."], chunk_delay=0.3)
WHOLE = "One two three four five."

pytestmark = pytest.mark.xdist_group("failover")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    stack_stores: dict[str, str],
    gemini_server: FakeGemini,
) -> Iterator[Stack]:
    """A stack with a separate Valkey, and the PostgreSQL of the tests."""
    with stack_on(
        {"DATABASE_URL": stack_stores["DATABASE_URL"], "REDIS_URL": ""},
        var=tmp_path_factory.mktemp("var"),
        parts=("web", "worker", "beat"),
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
        REPLY_SWEEP_SECONDS="2",
    ) as stack:
        yield stack


def refusals(valkey: Redis) -> dict[str, int]:
    return {name: counts["count"] for name, counts in valkey.info("errorstats").items()}


@contextmanager
def replica(valkey: Redis) -> Iterator[str]:
    """Make a replica of the server: BRPOP ends with UNBLOCKED, writes with READONLY."""
    valkey.execute_command("REPLICAOF", "127.0.0.1", free_port())
    try:
        yield "errorstat_READONLY"
    finally:
        valkey.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def stale_replica(valkey: Redis) -> Iterator[str]:
    """Make a replica that answers MASTERDOWN to reads as well."""
    with configured(valkey, "replica-serve-stale-data", "no"), replica(valkey):
        yield "errorstat_MASTERDOWN"


@contextmanager
def without_replicas(valkey: Redis) -> Iterator[str]:
    """Require a replica for each write: NOREPLICAS."""
    with configured(valkey, "min-replicas-to-write", 1):
        yield "errorstat_NOREPLICAS"


@contextmanager
def full(valkey: Redis) -> Iterator[str]:
    """Refuse each write for want of memory: OOM."""
    with configured(valkey, "maxmemory", 1):
        yield "errorstat_OOM"


@contextmanager
def configured(valkey: Redis, name: str, value: str | int) -> Iterator[None]:
    before = valkey.config_get(name)[name]
    valkey.config_set(name, value)
    try:
        yield
    finally:
        valkey.config_set(name, before)


@pytest.mark.parametrize("fault", [replica, stale_replica, without_replicas, full])
def test_worker_survives_a_refusing_redis_and_loses_and_doubles_nothing(
    stack: Stack, gemini_server: FakeGemini, fault: Callable[[Redis], Iterator[str]]
) -> None:
    person = ApiUser(stack.url).sign_in()
    rooms = [person.open_room() for _ in range(3)]
    valkey = Redis.from_url(stack.servers["Valkey"].url)
    asked = len(gemini_server.requests)
    worker = stack.processes["worker"]

    active = person.send(rooms[0], directive(ANSWER))
    next(person.stream(active))
    with fault(valkey) as counter:
        before = refusals(valkey).get(counter, 0)
        meanwhile = person.send(rooms[1], directive(ANSWER))
        eventually(lambda: refusals(valkey).get(counter, 0) > before + 6, seconds=20)
    later = person.send(rooms[2], directive(ANSWER))

    assert {person.reply(reply)["content"] for reply in (active, meanwhile, later)} == {WHOLE}
    assert worker.poll() is None
    assert len(gemini_server.requests) - asked == 3
    assert person.get("subscription/status")["daily_usage"] == 3
