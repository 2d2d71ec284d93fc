"""Streams of replies, read from real web processes while a real worker generates."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import redis
import requests
from psycopg import sql

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser, Event
from tests.support.waiting import eventually

PIECES = [
    "Zwölf ",
    "👩‍👩‍👧‍👦",
    " e\u0301",
    "\r\n",
    "\u0301 combining",
    " 🏳️‍🌈\r",
    "\n\ttab ",
    "\u2028 end",
]

KEY = "AIzaSy-not-to-be-seen-anywhere"

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("stream")


@pytest.fixture(scope="module")
def stacks(
    make_stack: Callable[..., Stack], gemini_server: FakeGemini
) -> Iterator[tuple[Stack, Stack]]:
    """Two of every process, on the same stores."""
    environ = {
        "GOOGLE_API_KEY": KEY,
        "GEMINI_API_BASE": gemini_server.url,
        "BASIC_DAILY_LIMIT": "1000",
        "BASIC_SENDS_PER_MINUTE": "1000",
        "BASIC_WAITING_REPLIES": "1000",
        "BASIC_CHATROOMS": "1000",
        "BASIC_CHATROOMS_PER_MINUTE": "1000",
    }
    with make_stack(**environ) as first, make_stack(**environ) as second:
        yield first, second


@pytest.fixture(scope="module")
def stack(stacks: tuple[Stack, Stack]) -> Stack:
    return stacks[0]


@pytest.fixture(scope="module")
def second_web(stacks: tuple[Stack, Stack]) -> str:
    return stacks[1].url


@pytest.fixture
def person(stack: Stack) -> ApiUser:
    return ApiUser(stack.url).sign_in()


def joined(events: list[Event]) -> str:
    return "".join(event.body["text"] for event in events if event.name == "reply.delta")


def test_stream_gives_the_deltas_then_the_whole_message(person: ApiUser) -> None:
    answer = Answer(chunks=PIECES, chunk_delay=0.1)
    reply = person.send(person.open_room(), directive(answer))

    events = list(person.stream(reply))

    assert [event.name for event in events[:-1]] == ["reply.delta"] * (len(events) - 1)
    assert len(events) > 3
    assert events[-1].name == "reply.completed"
    assert events[-1].body == person.get(f"message/{reply}")
    assert joined(events) == events[-1].body["content"] == "".join(PIECES)


def test_stream_that_is_cut_twenty_times_joins_to_the_same_bytes(
    person: ApiUser, second_web: str, gemini_server: FakeGemini
) -> None:
    answer = Answer(chunks=PIECES * 10, gate="cut")
    reply = person.send(person.open_room(), directive(answer))
    webs = [person.url.removesuffix("/api/v1"), second_web]
    seen: list[Event] = []
    connections = 0

    while not seen or seen[-1].name == "reply.delta":
        after = seen[-1].id if seen else ""
        stream = person.stream(reply, after=after, url=webs[connections % 2])
        connections += 1
        seen.append(next(stream))
        stream.close()
        gemini_server.allow("cut")

    assert connections > 20
    assert seen[-1].name == "reply.completed"
    assert joined(seen) == "".join(PIECES * 10)
    assert joined(seen).encode() == person.get(f"message/{reply}")["content"].encode()


def test_finished_reply_gives_its_whole_text_and_the_end(person: ApiUser) -> None:
    reply = person.send(person.open_room(), "Hello")
    content = person.reply(reply)["content"]

    assert joined(list(person.stream(reply))) == content


def test_text_that_redis_has_lost_comes_from_the_row(
    person: ApiUser, stack_stores: dict[str, str]
) -> None:
    reply = person.send(person.open_room(), directive(Answer(chunks=PIECES, chunk_delay=0.05)))
    first = next(stream := person.stream(reply))
    stream.close()
    person.reply(reply)
    redis.Redis.from_url(stack_stores["REDIS_URL"]).delete(f"reply:{reply}")

    rest = list(person.stream(reply, after=first.id))

    assert joined([first, *rest]) == "".join(PIECES)
    assert [event.name for event in rest] == ["reply.delta", "reply.completed"]


def test_redis_that_is_flushed_in_mid_reply_loses_nothing(
    person: ApiUser, stack_stores: dict[str, str]
) -> None:
    answer = Answer(chunks=PIECES * 3, chunk_delay=0.08)
    reply = person.send(person.open_room(), directive(answer))
    events = []

    for event in person.stream(reply):
        events.append(event)
        if len(events) == 2:
            redis.Redis.from_url(stack_stores["REDIS_URL"]).delete(f"reply:{reply}")

    assert joined(events) == "".join(PIECES * 3)
    assert events[-1].name == "reply.completed"


def test_end_that_was_seen_is_not_given_again(person: ApiUser) -> None:
    reply = person.send(person.open_room(), "Hello")
    last = list(person.stream(reply))[-1]

    answer = person.session.get(
        f"{person.url}/message/{reply}/stream", headers={"Last-Event-ID": last.id}, timeout=10
    )

    assert answer.status_code == 204


def test_stop_ends_the_stream_within_a_second_with_the_text_so_far(person: ApiUser) -> None:
    answer = Answer(chunks=["Once", " upon"], chunk_delay=0.05, ending="hang")
    reply = person.send(person.open_room(), directive(answer))
    events: list[Event] = []
    stream: Iterator[Event] = person.stream(reply)
    while joined(events) != "Once upon":
        events.append(next(stream))

    first = person.post(f"message/{reply}/stop")
    events += list(stream)
    second = person.post(f"message/{reply}/stop")

    assert events[-1].name == "reply.stopped"
    assert events[-1].body["content"] == joined(events) == "Once upon"
    assert first["success"]
    assert second["data"]["status"] == "stopped"


def test_failed_reply_ends_its_stream_with_the_reason(person: ApiUser) -> None:
    reply = person.send(person.open_room(), directive(Answer(chunks=["Half"], ending="drop")))

    events = list(person.stream(reply))

    assert events[-1].name == "reply.failed"
    assert events[-1].body["error"]["code"] == "interrupted"
    assert events[-1].body["error"]["retryable"] is True
    assert joined(events) == events[-1].body["content"] == "Half"


def test_wait_answers_as_soon_as_the_reply_has_ended(person: ApiUser) -> None:
    reply = person.send(person.open_room(), directive(Answer(chunks=["Done"], first_delay=0.5)))

    message = person.get(f"message/{reply}?wait=30")

    assert message["content"] == "Done"


def test_wait_answers_with_the_message_as_it_is_when_time_is_up(person: ApiUser) -> None:
    reply = person.send(person.open_room(), directive(Answer(chunks=["So"], ending="hang")))

    message = person.get(f"message/{reply}?wait=1")

    assert message["status"] in ("queued", "generating")
    person.post(f"message/{reply}/stop")


@pytest.mark.parametrize("wait", ["31", "-1", "x", "", "²", "1.5"])
def test_wait_of_a_bad_length_is_unprocessable(wait: str, person: ApiUser) -> None:
    answer = person.session.get(f"{person.url}/message/{uuid.uuid4()}?wait={wait}", timeout=10)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait"


@pytest.mark.parametrize("path", ["stream", "?wait=1", "stream/"])
def test_strangers_and_the_anonymous_read_nothing(path: str, person: ApiUser, stack: Stack) -> None:
    reply = person.send(person.open_room(), "Hello")
    url = f"{person.url}/message/{reply}/{path}"
    stranger = ApiUser(stack.url).sign_in()

    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, timeout=10).headers["WWW-Authenticate"] == "Bearer"
    assert stranger.session.get(url, timeout=10).status_code == 404
    refused = person.session.post(f"{person.url}/message/{reply}/stream", timeout=10)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("given", ["x", "1", "1-", "-1", "1-²", "9" * 40, "1-2-3"])
def test_event_id_that_was_not_given_out_is_refused(given: str, person: ApiUser) -> None:
    reply = person.send(person.open_room(), "Hello")
    url = f"{person.url}/message/{reply}/stream"

    answers = [
        person.session.get(url, headers={"Last-Event-ID": given.encode()}, timeout=10),
        person.session.get(url, params={"last_event_id": given}, timeout=10),
        # The header counts, but nothing that is given is passed over.
        person.session.get(
            url, headers={"Last-Event-ID": "0-0"}, params={"last_event_id": given}, timeout=10
        ),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_event_id")


def test_prompt_is_not_streamed(person: ApiUser) -> None:
    room = person.open_room()
    sent = person.post(f"message/chatroom/{room}/message", {"prompt": "Hello"})["data"]

    answer = person.session.get(f"{person.url}/message/{sent['message']['id']}/stream", timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_reply")


def test_request_id_comes_back_on_live_answers(person: ApiUser) -> None:
    reply = person.send(person.open_room(), "Hello")

    answer = person.session.get(
        f"{person.url}/message/{reply}?wait=0", headers={"X-Request-ID": "abc.1"}, timeout=10
    )

    assert answer.headers["X-Request-ID"] == "abc.1"


def test_fifty_sends_at_once_to_one_room_are_answered_in_order(
    person: ApiUser, gemini_server: FakeGemini
) -> None:
    room = person.open_room()
    prompts = [f"{person.mobile} number {number}" for number in range(50)]

    with ThreadPoolExecutor(10) as threads:
        replies = list(threads.map(lambda prompt: person.send(room, prompt), prompts))
    for reply in replies:
        assert person.reply(reply)["status"] == "complete"

    shown = person.get(f"message/chatroom/{room}/message?limit=100")["results"]
    in_order = [message["content"] for message in shown if message["sender"] == "user"]
    asked = [request.prompt for request in gemini_server.requests if request.prompt in prompts]
    assert sorted(in_order) == sorted(prompts)
    assert asked == in_order


def test_room_is_named_after_its_first_exchange(person: ApiUser) -> None:
    room = person.post("chatroom/", {})["id"]
    given = person.post("chatroom/", {"title": "Mine"})["id"]

    for each in (room, given):
        person.reply(person.send(each, "Tell me about the history of tea in Assam"))

    def title(of: str) -> str:
        return person.get(f"chatroom/{of}")["title"]

    eventually(lambda: title(room) != "New chat")
    assert "tea in Assam" in title(room)
    assert title(given) == "Mine"


def test_key_and_what_people_say_are_in_no_log_and_no_foreign_row(
    person: ApiUser,
    stacks: tuple[Stack, Stack],
    stack_stores: dict[str, str],
    gemini_server: FakeGemini,
) -> None:
    secret = "a-word-of-mine-that-is-nobody-elses"
    room = person.open_room()
    answers = []
    for answer in (
        Answer(chunks=["Fine"]),
        Answer.bad_key(),
        Answer(status=400, error_message=f"{KEY} {secret}"),
        Answer(raw_body=f"<html>{KEY} {secret}</html>", status=403),
    ):
        gemini_server.script(answer)
        reply = person.send(room, secret)
        answers.append(json.dumps(person.reply(reply)))

    written = "\n".join(line for stack in stacks for line in stack.output)
    assert secret not in written
    assert KEY not in written
    assert KEY not in "".join(answers)
    assert secret not in "".join(answers)
    assert tables_with(KEY, stack_stores) == []
    assert tables_with(secret, stack_stores) == ["messaging_message"]


def tables_with(text: str, stores: dict[str, str]) -> list[str]:
    with psycopg.connect(stores["DATABASE_URL"]) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        ).fetchall()
        return [
            name
            for (name,) in names
            if connection.execute(
                sql.SQL("SELECT 1 FROM {} row WHERE row::text LIKE %s LIMIT 1").format(
                    sql.Identifier(name)
                ),
                [f"%{text}%"],
            ).fetchone()
        ]


def test_account_is_erased_while_a_reply_is_being_made(
    person: ApiUser, stack_stores: dict[str, str]
) -> None:
    answer = Answer(chunks=["secret "] * 600, chunk_delay=0.1)
    reply = person.send(person.open_room(), directive(answer))
    stream = person.stream(reply)
    next(stream)
    user_id = person.get("user/me")["id"]

    closed = person.session.delete(f"{person.url}/user/me", timeout=20)
    after = person.session.get(f"{person.url}/user/me", timeout=20)
    list(stream)

    with psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as database:
        kept = "SELECT 1 FROM accounts_user WHERE id = %s"
        eventually(lambda: database.execute(kept, [user_id]).fetchone() is None, seconds=60)
        messages = "SELECT count(*) FROM messaging_message WHERE user_id = %s"
        ledger = "SELECT user_id, outcome FROM billing_usagerecord WHERE reply_id = %s"
        assert database.execute(messages, [user_id]).fetchone() == (0,)
        assert database.execute(ledger, [reply]).fetchone() == (None, "stopped")
    assert (closed.status_code, after.status_code) == (202, 401)
