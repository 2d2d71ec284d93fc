"""Messages with files: sends, edits, deletions, and the end of the files."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota
from billing.tests.plans import with_plan
from chatrooms.models import Chatroom
from files.models import BlobDeletion, File
from files.tasks import sweep_files
from files.uses import FileUnknown
from messaging.conversation import actions
from messaging.conversation.deletion import erase_room
from messaging.models import GeminiModel, Message, MessageFile
from messaging.tasks import sweep_rooms
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.files.rows import ready_file
from tests.support.marks import transactional
from tests.support.messaging.rooms import complete, make_room, url_of
from tests.support.messaging.worker import run


def send(api: APIClient, room: Chatroom, *files: File, prompt: str = "Read this.") -> Any:
    sent = {"prompt": prompt, "files": [str(file.pk) for file in files]}
    return api.post(url_of(room), sent)


@pytest.mark.django_db
def test_message_has_the_files_in_order(alice: User, alice_api: APIClient) -> None:
    room = make_room(alice)
    erase_at = timezone.now() + timedelta(hours=1)
    files = [ready_file(alice, name=name, erase_at=erase_at) for name in ("b.txt", "a.txt")]

    answer = send(alice_api, room, *files)
    message_id = answer.json()["data"]["message"]["id"]
    shown = [
        answer.json()["data"]["message"],
        alice_api.get(url_of(room)).json()["results"][0],
        alice_api.get(f"/api/v1/chatroom/{room.pk}").json()["messages"][0],
        alice_api.post(f"/api/v1/message/{message_id}/select").json()["data"],
    ]

    assert answer.status_code == 202
    assert [[file["name"] for file in each["files"]] for each in shown] == [["b.txt", "a.txt"]] * 4
    assert all("signature=" in file["url"] for each in shown for file in each["files"])
    assert answer.json()["data"]["reply"]["files"] == []
    assert not File.objects.filter(erase_at__isnull=False).exists()


@pytest.mark.django_db
def test_prompt_without_text_needs_a_file(alice: User, alice_api: APIClient) -> None:
    room = make_room(alice)

    refused = send(alice_api, room, prompt=" ")
    accepted = send(alice_api, room, ready_file(alice), prompt="")

    assert (refused.status_code, accepted.status_code) == (422, 202)
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [("prompt", "blank")]
    assert accepted.json()["data"]["message"]["content"] == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"status": "received", "tokens": None}, 409, "file_not_ready"),
        ({"status": "deleted"}, 409, "file_deleted"),
        ({"status": "refused", "refusal_code": "file_encrypted"}, 422, "file_refused"),
        ({"status": "receiving", "lease_expires_at": timezone.now()}, 422, "file_unknown"),
        ({"tokens": 20_001}, 422, "too_many_file_tokens"),
    ],
)
def test_unfit_file_is_refused_before_the_quota(
    alice: User, alice_api: APIClient, fields: dict[str, Any], status: int, code: str
) -> None:
    room = make_room(alice)
    fit, unfit = ready_file(alice), ready_file(alice, **fields)

    answer = send(alice_api, room, fit, unfit)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("1" if code == "file_not_ready" else None)
    assert DailyQuota.objects.usage(user=alice).used == 0
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_strangers_file_is_unknown(alice: User, bob: User, alice_api: APIClient) -> None:
    room, own = make_room(alice), ready_file(alice)
    accepted = send(alice_api, room, own).json()["data"]["message"]["id"]

    sent = send(alice_api, room, ready_file(bob))
    edited = alice_api.post(
        f"/api/v1/message/{accepted}/edit", {"prompt": "", "files": [str(ready_file(bob).pk)]}
    )

    assert [sent.json()["code"], edited.json()["code"]] == ["file_unknown"] * 2
    assert MessageFile.objects.get().file_id == own.pk


@pytest.mark.django_db
def test_files_of_a_message_are_limited_by_the_plan(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    with_plan(settings, "basic", files_per_message=2)
    room, files = make_room(alice), [ready_file(alice) for _ in range(3)]

    refused = send(alice_api, room, *files)
    # The same file twice is one file.
    accepted = send(alice_api, room, *files[:2], files[0])

    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_files")
    assert accepted.status_code == 202


@pytest.mark.django_db
def test_full_quota_leaves_the_file_unused(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    with_plan(settings, "basic", daily_limit=0)
    file = ready_file(alice, erase_at=timezone.now() + timedelta(hours=1))

    answer = send(alice_api, make_room(alice), file)

    file.refresh_from_db()
    assert answer.status_code == 429
    assert file.erase_at is not None
    assert not MessageFile.objects.exists()


@pytest.mark.django_db
def test_model_that_reads_no_pictures_gets_none(
    alice: User, alice_api: APIClient, gemini: FakeGemini, settings: Any
) -> None:
    GeminiModel.objects.filter(name=settings.GEMINI_MODEL).update(modalities=["text"])
    room = make_room(alice)
    picture, text = ready_file(alice, kind="image"), ready_file(alice)

    refused = send(alice_api, room, picture, text)
    accepted = send(alice_api, room, text)

    assert (refused.status_code, refused.json()["code"]) == (422, "unsupported_by_model")
    assert accepted.status_code == 202
    assert DailyQuota.objects.usage(user=alice).used == 1


@pytest.mark.django_db
def test_picture_is_not_regenerated_by_a_model_without_pictures(
    carol: User, carol_api: APIClient, gemini: FakeGemini
) -> None:
    picture = ready_file(carol, kind="image")
    reply = send(carol_api, make_room(carol), picture).json()["data"]["reply"]["id"]
    complete(Message.objects.get(pk=reply))
    GeminiModel.objects.filter(name="gemini-3.8-flash").update(modalities=["text"])

    answers = [
        carol_api.post(f"/api/v1/message/{reply}/regenerate", {"model": model})
        for model in ("gemini-3.8-flash", "gemini-3.6-flash")
    ]

    assert [answer.status_code for answer in answers] == [422, 202]
    assert answers[0].json()["code"] == "unsupported_by_model"


@pytest.mark.django_db
def test_edit_keeps_changes_or_drops_the_files(alice: User, alice_api: APIClient) -> None:
    first, second, gone = (ready_file(alice, name=f"{n}.txt") for n in range(3))
    sent = send(alice_api, make_room(alice), first, gone).json()["data"]
    complete(Message.objects.get(pk=sent["reply"]["id"]))
    path = f"/api/v1/message/{sent['message']['id']}/edit"
    File.objects.filter(pk=gone.pk).mark_deleted()

    def names(**fields: Any) -> list[str]:
        data = alice_api.post(path, {"prompt": "Again.", **fields}).json()["data"]
        complete(Message.objects.get(pk=data["reply"]["id"]))
        return [file["name"] for file in data["message"]["files"]]

    assert names() == ["0.txt"]
    assert names(files=[str(second.pk)]) == ["1.txt"]
    assert names(files=[]) == []


@pytest.mark.django_db
def test_deleted_file_leaves_its_name_in_the_message(alice: User, alice_api: APIClient) -> None:
    room, file = make_room(alice), ready_file(alice)
    send(alice_api, room, file)

    File.objects.filter(pk=file.pk).mark_deleted()
    [message, _] = alice_api.get(url_of(room)).json()["results"]

    [shown] = message["files"]
    assert {name: value for name, value in shown.items() if value is not None} == {
        "id": str(file.pk),
        "name": "report.txt",
        "kind": "text",
        "status": "deleted",
    }
    assert BlobDeletion.objects.get().key == file.key


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["room", "temporary room", "branch"])
def test_files_end_with_their_last_message(alice: User, end: str) -> None:
    room, other = make_room(alice), make_room(alice)
    alone, shared = ready_file(alice), ready_file(alice)
    for each, files in [(room, [alone, shared]), (other, [shared])]:
        ids = [file.pk for file in files]
        sent = actions.post_message(user=alice, chatroom_id=each.pk, prompt="", files=ids)
        complete(sent.reply)

    if end == "room":
        actions.delete(room=room)
        erase_room(chatroom_id=room.pk)
    elif end == "temporary room":
        Chatroom.objects.filter(pk=room.pk).update(expires_at=timezone.now())
        sweep_rooms()
        erase_room(chatroom_id=room.pk)
    else:
        Message.objects.filter(chatroom=room).delete()
    sweep_files()

    assert list(File.objects.values_list("pk", flat=True)) == [shared.pk]
    assert BlobDeletion.objects.get().key == alone.key
    assert File.objects.get().erase_at is None


@transactional
def test_sweep_and_sends_at_once_lose_no_file(carol: User) -> None:
    files = [ready_file(carol, erase_at=timezone.now()) for _ in range(12)]
    rooms = [make_room(carol) for _ in files]

    def work(number: int) -> bool:
        try:
            if number % 2:
                sweep_files()
                return False
            room, file = rooms[number // 2], files[number // 2]
            actions.post_message(user=carol, chatroom_id=room.pk, prompt="", files=[file.pk])
            return True
        except FileUnknown:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(work, range(24)))

    sent = Message.objects.filter(sender="user").count()
    assert sent == sum(accepted)
    assert MessageFile.objects.count() == sent
    assert File.objects.filter(pk__in=MessageFile.objects.values("file")).count() == sent


@transactional
def test_room_is_named_after_its_file(alice: User, gemini: FakeGemini) -> None:
    room, file = make_room(alice), ready_file(alice, name="Budget 2026.txt")
    gemini.script(Answer(status=400))

    sent = actions.post_message(user=alice, chatroom_id=room.pk, prompt="", files=[file.pk])
    run(sent.reply)

    room.refresh_from_db()
    assert room.title == "Budget 2026.txt"
