"""Workers, Redis and PostgreSQL are killed in the middle of replies; nobody loses one."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser
from tests.support.stack.start import EVERY_PART

KILLS = 20
PEOPLE = 8
ANSWER = Answer(chunks=["One ", "two ", "three ", "four ", "five."], chunk_delay=0.3)
WHOLE = "One two three four five."

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("crash")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_server: FakeGemini) -> Iterator[Stack]:
    with make_stack(
        parts=EVERY_PART,
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
        BASIC_DAILY_LIMIT="1000",
        BASIC_SENDS_PER_MINUTE="1000",
        BASIC_WAITING_REPLIES="1000",
        BASIC_CHATROOMS_PER_MINUTE="1000",
        BASIC_CONCURRENT_REPLIES="3",
        REPLY_LEASE_SECONDS="3",
        REPLY_SWEEP_SECONDS="2",
    ) as stack:
        yield stack


def test_worker_killed_twenty_times_loses_and_doubles_no_reply(
    stack: Stack, stack_stores: dict[str, str]
) -> None:
    people = [ApiUser(stack.url).sign_in() for _ in range(PEOPLE)]
    rooms = {person: [person.open_room() for _ in range(3)] for person in people}
    replies: list[tuple[ApiUser, str]] = []
    chance = random.Random(7)

    for _ in range(KILLS):
        for person in chance.sample(people, 3):
            room = chance.choice(rooms[person])
            replies.append((person, person.send(room, directive(ANSWER))))
        time.sleep(chance.uniform(0.1, 0.8))  # The kill comes at any moment of a reply.
        stack.restart("worker")

    ended = [person.reply(reply, seconds=60) for person, reply in replies]

    assert [reply["status"] for reply in ended] == ["complete"] * len(replies)
    assert {reply["content"] for reply in ended} == {WHOLE}
    for person in people:
        sent = sum(sender is person for sender, _ in replies)
        assert person.get("subscription/status")["daily_usage"] == sent
    assert ledger(stack_stores) == dict.fromkeys((reply for _, reply in replies), 1)


def test_stream_over_a_lost_worker_says_that_the_reply_starts_anew(
    stack: Stack, gemini_server: FakeGemini
) -> None:
    person = ApiUser(stack.url).sign_in()
    answer = replace(ANSWER, chunk_delay=0, gate="lost-worker")
    reply = person.send(person.open_room(), directive(answer))
    stream = person.stream(reply)
    events = [next(stream)]

    stack.restart("worker")
    gemini_server.open("lost-worker")
    events += list(stream)

    names = [event.name for event in events]
    anew = names.index("reply.restarted")
    texts = [event.body["text"] for event in events[anew:] if event.name == "reply.delta"]
    assert names[:anew] == ["reply.delta"] * anew
    assert names[-1] == "reply.completed"
    assert "".join(texts) == events[-1].body["content"] == WHOLE


def test_worker_told_to_end_in_mid_reply_finishes_it(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    reply = person.send(person.open_room(), directive(ANSWER))
    next(person.stream(reply))

    worker = stack.processes["worker"]
    worker.send_signal(signal.SIGTERM)
    message = person.reply(reply)
    worker.wait(10)
    stack.restart("worker")

    assert (message["status"], message["content"]) == ("complete", WHOLE)


def test_redis_emptied_under_load_loses_no_reply(
    stack: Stack, stack_stores: dict[str, str]
) -> None:
    person = ApiUser(stack.url).sign_in()
    rooms = [person.open_room() for _ in range(6)]
    replies = [person.send(room, directive(ANSWER)) for room in rooms]

    for _ in range(3):
        redis.Redis.from_url(stack_stores["REDIS_URL"]).flushdb()
        replies += [person.send(room, directive(ANSWER)) for room in rooms]

    assert {person.reply(reply)["content"] for reply in replies} == {WHOLE}
    assert person.get("subscription/status")["daily_usage"] == len(replies)


def test_database_that_drops_every_connection_loses_no_prompt(
    stack: Stack, stack_stores: dict[str, str]
) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()
    replies = [person.send(room, directive(ANSWER)) for _ in range(3)]
    next(person.stream(replies[0]))

    drop_connections(stack_stores)

    assert {person.reply(reply)["content"] for reply in replies} == {WHOLE}


def drop_connections(stores: dict[str, str]) -> None:
    """Returns when they are gone: the test's next statement must not be lost too."""
    with psycopg.connect(stores["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10_000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def ledger(stores: dict[str, str]) -> dict[Any, int]:
    """How many attempts of each reply have come to an end."""
    with psycopg.connect(stores["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT reply_id::text, count(*) FROM billing_usagerecord"
            " WHERE purpose = 'reply' AND outcome <> 'lost' GROUP BY 1"
        ).fetchall()
    return dict(rows)
