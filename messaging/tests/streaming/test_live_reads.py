"""Live reads end with their session."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from django.db.backends.signals import connection_created

from accounts.api.live_reads import SessionEnded
from accounts.models import Session, User
from files.api.downloads import pieces
from gemchat.serving.async_views import end_task
from gemchat.stores.redis import client
from messaging.api import export
from messaging.api.stream import render
from messaging.models import Message
from messaging.streaming import buffer
from messaging.streaming.buffer import Position
from messaging.streaming.events import events
from messaging.streaming.hub import StreamHub
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import post
from tests.support.plugins.cast import api_for
from tests.support.privacy.exports import make

pytestmark = transactional

STREAMS = 5


class Reading:
    """Streams that tasks read, as the web process serves them."""

    def __init__(self) -> None:
        self.hub = StreamHub()
        self.tasks: dict[Session, list[asyncio.Task[list[bytes]]]] = {}

    def open(self, session: Session, reply: Message) -> None:
        for _ in range(STREAMS):
            task = asyncio.create_task(self._read(session, reply))
            self.tasks.setdefault(session, []).append(task)

    async def _read(self, session: Session, reply: Message) -> list[bytes]:
        read = self.hub.reads.open(session)
        stream = events(reply, Position(0, 0), hub=self.hub, render=render, read=read)
        return [part async for part in stream]

    async def all_are_open(self) -> None:
        while sum(map(len, self.hub._subscribers.values())) < STREAMS * len(self.tasks):
            await asyncio.sleep(0.01)

    async def parts_of(self, session: Session) -> list[list[bytes]]:
        return await asyncio.wait_for(asyncio.gather(*self.tasks[session]), 10)

    def are_open(self, session: Session) -> bool:
        return not any(task.done() for task in self.tasks[session])

    async def close(self) -> None:
        for task in [task for tasks in self.tasks.values() for task in tasks]:
            await end_task(task)
        await self.hub.close()


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Statements that other threads send to the database."""
    sent: list[str] = []
    own = threading.get_ident()

    def note(execute: Any, sql: str, *args: Any) -> Any:
        sent.append(sql)
        return execute(sql, *args)

    def watch(connection: Any, **kwargs: Any) -> None:
        if threading.get_ident() != own and note not in connection.execute_wrappers:
            connection.execute_wrappers.append(note)

    connection_created.connect(watch, weak=False, dispatch_uid="statements")
    yield sent
    connection_created.disconnect(dispatch_uid="statements")


def session_of(user: User) -> Session:
    api_for(user)
    return Session.objects.filter(user=user).latest("pk")


def publish(reply: Message, offset: int, text: str) -> None:
    pipe = client().pipeline(transaction=False)
    buffer.append(pipe, reply.pk, Position(1, offset), text)
    pipe.execute(raise_on_error=False)


def test_streams_end_with_their_session_by_one_query_for_all(
    alice: User, bob: User, carol: User, statements: list[str]
) -> None:
    signed_out, banned, other = (session_of(user) for user in (alice, bob, carol))
    replies = {session: post(make_room(session.user)) for session in (signed_out, banned, other)}

    async def run() -> None:
        reading = Reading()
        reading.hub.open()
        for session, reply in replies.items():
            reading.open(session, reply)
        await reading.all_are_open()
        await asyncio.to_thread(signed_out.end, Session.Ending.LOGOUT)
        await asyncio.to_thread(User.objects.filter(pk=bob.pk).update, is_active=False)
        statements.clear()
        await reading.hub.reads.end_reads_of_ended_sessions()

        assert len([sql for sql in statements if "accounts_session" in sql]) == 1
        assert len(await reading.parts_of(signed_out)) == STREAMS
        assert len(await reading.parts_of(banned)) == STREAMS
        assert reading.are_open(other)
        await reading.close()

    asyncio.run(run())


def test_busy_stream_ends_with_its_session(alice: User) -> None:
    session, reply = session_of(alice), post(make_room(alice))

    async def run() -> None:
        reading = Reading()
        reading.hub.open()
        reading.open(session, reply)
        await reading.all_are_open()
        is_over = threading.Event()

        def go_on_publishing() -> None:
            offset = 0
            while not is_over.wait(0.005):
                offset += 1
                publish(reply, offset, "x")

        publishing = asyncio.create_task(asyncio.to_thread(go_on_publishing))
        try:
            await asyncio.to_thread(session.end, Session.Ending.ENDED_BY_STAFF)
            await reading.hub.reads.end_reads_of_ended_sessions()
            parts = await reading.parts_of(session)
        finally:
            is_over.set()
            await publishing
        assert not [part for each in parts for part in each if b"reply.completed" in part]
        await reading.close()

    asyncio.run(run())


def test_read_whose_task_has_ended_counts_no_more(alice: User, settings: Any) -> None:
    settings.LIVE_READS_PER_SESSION = settings.LIVE_READS_PER_USER = STREAMS
    session, reply = session_of(alice), post(make_room(alice))

    async def run() -> None:
        reading = Reading()
        reading.hub.open()
        for _ in range(3):
            reading.open(session, reply)
            await reading.all_are_open()
            for task in reading.tasks.pop(session):
                await end_task(task)
        assert not reading.hub.reads._by_session
        assert not reading.hub.reads._count_by_user
        await reading.close()

    asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize("kind", ["room", "account or file"])
def test_download_is_cut_when_its_session_has_ended(kind: str, alice: User) -> None:
    session = session_of(alice)
    made = make(alice)

    async def run() -> None:
        read = StreamHub().reads.open(session)
        downloads: dict[str, AsyncGenerator[bytes]] = {
            "room": export.send_parts(iter(["one", "two"]), read),
            "account or file": pieces(made.key, 0, (made.size or 0) - 1, read),
        }
        read.end()
        with pytest.raises(SessionEnded):
            await anext(downloads[kind])

    asyncio.run(run())
