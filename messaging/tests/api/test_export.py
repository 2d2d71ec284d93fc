"""GET /chatroom/{id}/export, through the whole ASGI application."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from files.models import File
from messaging.api import export
from messaging.conversation import actions
from messaging.conversation.deletion import erase_room
from tests.support.files.rows import ready_file
from tests.support.marks import transactional
from tests.support.messaging import asgi
from tests.support.messaging.rooms import complete, exchange, make_room
from tests.support.plugins.cast import api_for

pytestmark = transactional


def ask(path: str, user: User | None, **options: Any) -> Any:
    """Status, headers and text that the application answers with."""
    status, headers, body = asgi.ask(path, user, **options)
    return status, headers, body.decode()


def url_of(room: Any, query: str = "") -> str:
    return f"/api/v1/chatroom/{getattr(room, 'pk', room)}/export{query}"


@pytest.mark.parametrize(("batch", "query"), [(1, ""), (2, ""), (3, ""), (200, "?as=json")])
def test_json_has_the_room_and_every_message(
    batch: int, query: str, carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", batch)
    room = make_room(carol, title="Rivers", system_prompt="Be brief.")
    first = exchange(room, 'Q1 "quoted"', "A1 ✓\n")
    exchange(room, "Q2", "A2")
    complete(actions.edit(user=carol, message=first.parent, prompt="Q1 again").reply, "A1b")

    status, headers, body = ask(url_of(room, query), carol)

    assert status == 200
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["content-disposition"] == f'attachment; filename="chatroom-{room.pk}.json"'
    exported = json.loads(body)
    assert exported["chatroom"]["title"] == "Rivers"
    assert exported["chatroom"]["system_prompt"] == "Be brief."
    contents = [message["content"] for message in exported["messages"]]
    assert contents == ['Q1 "quoted"', "A1 ✓\n", "Q2", "A2", "Q1 again", "A1b"]
    read = api_for(carol).get(f"/api/v1/message/{first.pk}").json()
    assert exported["messages"][1] == read


def test_export_has_the_files_without_addresses(carol: User) -> None:
    room = make_room(carol, title="Rivers")
    files = [ready_file(carol, name=name) for name in ("Nile.txt", "Rhine.txt")]
    ids = [file.pk for file in files]
    sent = actions.post_message(user=carol, chatroom_id=room.pk, prompt="Longer?", files=ids)
    complete(sent.reply, "The Nile.")
    File.objects.filter(pk=ids[1]).mark_deleted()

    exported = json.loads(ask(url_of(room), carol)[2])
    markdown = ask(url_of(room, "?as=markdown"), carol)[2]

    shown = [
        [file["name"], file["status"], file["url"]] for file in exported["messages"][0]["files"]
    ]
    assert shown == [["Nile.txt", "ready", None], ["Rhine.txt", "deleted", None]]
    assert exported["messages"][1]["files"] == []
    assert "\nFiles: Nile.txt, Rhine.txt\n\nLonger?\n" in markdown


@pytest.mark.parametrize("batch", [1, 2, 200])
def test_markdown_has_the_branch_that_is_shown(
    batch: int, carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", batch)
    room = make_room(carol, title="Rivers")
    first = exchange(room, "Q1", "A1")
    exchange(room, "Q2", "A2")
    edited = actions.edit(user=carol, message=first.parent, prompt="Q1 again")
    complete(edited.reply, "A1b")
    actions.select(user=carol, message=first)

    status, headers, body = ask(url_of(room, "?as=markdown"), carol)

    at = f"{first.created_at:%Y-%m-%d %H:%M} UTC"
    assert status == 200
    assert headers["content-type"] == "text/markdown; charset=utf-8"
    assert headers["content-disposition"].endswith('.md"')
    assert body == "# Rivers\n" + "".join(
        f"\n## {sender}, {at}\n\n{text}\n"
        for sender, text in [("You", "Q1"), ("Gemini", "A1"), ("You", "Q2"), ("Gemini", "A2")]
    )


@pytest.mark.parametrize(("kind", "body"), [("json", '"messages":[]}\n'), ("markdown", "# R\n")])
def test_empty_room_is_exported(kind: str, body: str, carol: User) -> None:
    status, _, exported = ask(url_of(make_room(carol, title="R"), f"?as={kind}"), carol)

    assert status == 200
    assert exported.endswith(body)


@pytest.mark.parametrize("slash", ["", "/"])
def test_both_forms_of_the_path_answer(slash: str, carol: User) -> None:
    assert ask(f"{url_of(make_room(carol))}{slash}", carol)[0] == 200


@pytest.mark.parametrize("kind", ["", "pdf", "JSON"])
def test_unknown_kind_is_unprocessable(kind: str, carol: User) -> None:
    status, headers, body = ask(url_of(make_room(carol), f"?as={kind}"), carol)

    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert json.loads(body)["errors"][0]["field"] == "as"


def test_temporary_room_is_not_exported(carol: User) -> None:
    status, _, body = ask(url_of(make_room(carol, temporary=True)), carol)

    assert (status, json.loads(body)["code"]) == (409, "temporary_chatroom")


def test_export_is_for_the_owner_alone(carol: User, bob: User) -> None:
    room = make_room(carol)
    deleted = make_room(carol)
    actions.delete(room=deleted)

    assert ask(url_of(room), bob)[0] == 404
    assert ask(url_of(room), None)[0] == 401
    assert ask(url_of(uuid.uuid4()), carol)[0] == 404
    assert ask(url_of(deleted), carol)[0] == 404
    assert ask(url_of(room), carol, method="POST")[0] == 405


def test_room_that_is_deleted_meanwhile_ends_in_a_broken_file(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read ahead of the reader: a row deleted meanwhile does not go out."""
    monkeypatch.setattr(export, "BATCH", 2)
    room = make_room(carol)
    for number in range(5):
        exchange(room, f"Q{number}", f"A{number}")
    sent: list[str] = []

    def delete() -> None:
        actions.delete(room=room)
        erase_room(chatroom_id=room.pk)
        connection.close()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b"").decode())
        if "Q1" in sent[-1]:
            await asyncio.to_thread(delete)

    with pytest.raises(export.RoomGone):
        ask(url_of(room), carol, send=send)

    assert "Q1" in "".join(sent)
    assert "Q2" not in "".join(sent)
    assert not "".join(sent).endswith("]}\n")
