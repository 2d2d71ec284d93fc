"""The people of a measurement: sign-in, rooms and sends, over the API."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from dev.bench.support.connection import Connection

API = "/api/v1"
PROMPT = "Describe what a river does on its way from the mountains to the sea."
FIRST_MOBILE = 9_810_000_000

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Person:
    headers: dict[str, str]
    mobile: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    owner: Person
    id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted prompt."""

    owner: Person
    reply_id: str

    @property
    def stream_path(self) -> str:
        return f"{API}/message/{self.reply_id}/stream"


async def sign_in(connection: Connection, number: int) -> Person:
    """Sign a new person in; OTP_ECHO puts the code into the answer."""
    mobile = f"+91{FIRST_MOBILE + number}"
    # Each person has another address, or the limits of a single address would apply.
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    headers = {"X-Forwarded-For": address}
    await connection.ask("POST", f"{API}/auth/signup", {"mobile": mobile}, headers)
    code = await connection.ask("POST", f"{API}/auth/send-otp", {"mobile": mobile}, headers)
    proof = {"mobile": mobile, "otp": code["data"]["otp"]}
    tokens = await connection.ask("POST", f"{API}/auth/verify-otp", proof, headers)
    return Person({**headers, "Authorization": f"Bearer {tokens['access_token']}"}, mobile)


async def open_room(connection: Connection, owner: Person) -> Room:
    """Make a room with a title, so Gemini gets no request for a title."""
    room = await connection.ask("POST", f"{API}/chatroom/", {"title": "Rivers"}, owner.headers)
    return Room(owner, room["id"])


async def send(connection: Connection, room: Room) -> Sent:
    path = f"{API}/message/chatroom/{room.id}/message"
    sent = await connection.ask("POST", path, {"prompt": PROMPT}, room.owner.headers)
    return Sent(room.owner, sent["data"]["reply"]["id"])


def for_each(
    port: int,
    items: Iterable[Item],
    act: Callable[[Connection, Item], Awaitable[Result]],
    *,
    connections: int = 8,
) -> list[Result]:
    """Call `act` on each item over some connections; return results in order."""
    numbered = enumerate(items)
    results: dict[int, Any] = {}

    async def work() -> None:
        async with Connection(port) as connection:
            for number, item in numbered:
                results[number] = await act(connection, item)

    async def work_together() -> None:
        await asyncio.gather(*(work() for _ in range(connections)))

    asyncio.run(work_together())
    return [results[number] for number in sorted(results)]
