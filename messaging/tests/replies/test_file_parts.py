"""Files reach Gemini: as text, inline, or through the Files API."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.auth.closing import close_account
from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from chatrooms.models import Chatroom
from files.models import File
from files.storage import blobs
from files.tasks import sweep_files
from messaging.conversation import actions
from messaging.conversation.deletion import erase_room
from messaging.gemini.files_api import key_digest
from messaging.models import GeminiCopy, GeminiModel, Message
from messaging.models.gemini_copies import COPY_LIFETIME
from messaging.replies.claims import claim_reply
from messaging.replies.requeue import requeue_expired
from messaging.tasks import delete_copies, generate_reply
from privacy.erasure import erase_user
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.files import corpus
from tests.support.files.gemini_files import inline_in, parts_of, uris_in
from tests.support.files.uploads import HELLO, examined
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import in_thread, run
from tests.support.plugins.files import use_storage
from tests.support.waiting import eventually

pytestmark = transactional

LARGE = 1_300_000


@pytest.fixture(autouse=True)
def model_of_every_kind(db: None, settings: Any) -> None:
    """The table of models is empty after a transactional test."""
    fields = {"modalities": ["text", "image", "pdf", "audio"]}
    GeminiModel.objects.update_or_create(name=settings.GEMINI_MODEL, defaults=fields)


def post(room: Chatroom, *files: File, prompt: str = "Read this.") -> Message:
    ids = [file.pk for file in files]
    return actions.post_message(user=room.user, chatroom_id=room.pk, prompt=prompt, files=ids).reply


def read(file: File) -> bytes:
    with blobs.opened(file.key) as stored:
        content: bytes = stored.read()
    return content


def texts(body: Any) -> list[str]:
    return [part["text"] for part in parts_of(body) if "text" in part]


def large_pdf(user: User) -> File:
    return examined(user, corpus.pdf(attached_bytes=LARGE), name="report.pdf")


def used_today(user: User) -> int:
    return DailyQuota.objects.usage(user=user).used


def test_small_files_go_inline(carol: User, google: FakeGemini) -> None:
    files = [
        examined(carol, corpus.photo(), name="photo.jpg"),
        examined(carol, corpus.pdf(), name="report.pdf"),
        examined(carol, corpus.wav(), name="voice.wav"),
        examined(carol, HELLO, name="figures.txt"),
    ]

    reply = run(post(make_room(carol), *files))
    body = google.requests[-1].body

    assert (reply.status, reply.error_code) == ("complete", "")
    assert [part["mimeType"] for part in inline_in(body)] == [
        *("image/jpeg", "application/pdf", "audio/wav"),
    ]
    assert [base64.urlsafe_b64decode(part["data"]) for part in inline_in(body)] == [
        *map(read, files[:3])
    ]
    assert texts(body) == [f"figures.txt:\n\n{HELLO.decode()}\n\n", "Read this."]
    assert google.files.uploads == 0


def test_large_file_goes_once_through_the_files_api(carol: User, google: FakeGemini) -> None:
    room, file = make_room(carol), large_pdf(carol)

    first = run(post(room, file))
    second = run(post(room, prompt="And the second page?"))
    [uri] = uris_in(google.requests[-1].body)

    assert [first.status, second.status] == ["complete"] * 2
    assert google.files.content_of(uri) == read(file)
    assert google.files.uploads == 1
    assert inline_in(google.requests[-1].body) == []


def test_copy_that_google_has_deleted_is_made_again(carol: User, google: FakeGemini) -> None:
    room, file = make_room(carol), large_pdf(carol)
    run(post(room, file))
    google.files.expire()

    reply = run(post(room, prompt="And now?"))

    assert reply.status == "complete"
    assert google.files.uploads == 2
    assert len(uris_in(google.requests[-1].body)) == 1


def test_copy_of_two_days_ago_is_not_named(carol: User, gemini: FakeGemini) -> None:
    room, file = make_room(carol), large_pdf(carol)
    run(post(room, file))
    [old] = gemini.files.copies
    GeminiCopy.objects.update(expires_at=timezone.now())

    reply = run(post(room, prompt="And now?"))
    delete_copies()

    assert reply.status == "complete"
    assert uris_in(gemini.requests[-1].body) != []
    assert old not in gemini.files.copies
    [copy] = GeminiCopy.objects.all()
    assert copy.expires_at is not None
    assert copy.expires_at - timezone.now() > COPY_LIFETIME - timedelta(minutes=1)


def test_answer_that_refuses_the_model_is_no_lost_copy(carol: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(status=403), Answer(status=403))

    reply = run(post(make_room(carol), large_pdf(carol)))

    assert (reply.status, reply.error_code) == ("failed", "misconfigured")
    assert gemini.files.uploads == 2


def test_replies_at_once_copy_a_file_once(carol: User, gemini: FakeGemini) -> None:
    file = large_pdf(carol)
    gemini.files.processing_polls = 2
    replies = [post(make_room(carol), file) for _ in range(4)]

    threads = [in_thread(generate_reply, str(reply.pk)) for reply in replies]
    for thread in threads:
        thread.join(30)

    assert set(Message.objects.filter(sender="gemini").values_list("status", flat=True)) == {
        "complete"
    }
    assert gemini.files.uploads == 1


def test_stop_ends_an_upload(carol: User, gemini: FakeGemini) -> None:
    gemini.files.processing_polls = 1_000_000
    reply = post(make_room(carol), large_pdf(carol))
    thread = in_thread(generate_reply, str(reply.pk))
    eventually(lambda: gemini.files.uploads)

    reply.refresh_from_db()
    actions.stop(reply=reply)
    thread.join(10)
    delete_copies()

    reply.refresh_from_db()
    assert reply.status == "stopped"
    assert used_today(carol) == 0
    assert gemini.files.copies == {}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_refused_upload_gives_the_message_back(
    carol: User, gemini: FakeGemini, status: int
) -> None:
    gemini.files.refusal = Answer(status=status)

    reply = run(post(make_room(carol), large_pdf(carol)))

    assert (reply.status, reply.error_code) == ("failed", "unavailable")
    assert used_today(carol) == 0


def test_key_without_files_is_the_operators_fault(carol: User, gemini: FakeGemini) -> None:
    gemini.files.refusal = Answer(status=403)

    reply = run(post(make_room(carol), large_pdf(carol)))

    assert (reply.status, reply.error_code) == ("failed", "misconfigured")
    assert "may not store files" in reply.error_detail
    assert used_today(carol) == 0


@pytest.mark.parametrize(
    "content",
    [corpus.photo(), corpus.pdf(attached_bytes=LARGE), HELLO],
    ids=["inline", "copied", "text"],
)
def test_storage_that_is_down_gives_the_message_back(
    carol: User, gemini: FakeGemini, settings: Any, content: bytes
) -> None:
    reply = post(make_room(carol), examined(carol, content))
    use_storage(settings, "s3://uploads?endpoint_url=http://127.0.0.1:1")

    reply = run(reply)

    assert (reply.status, reply.error_code) == ("failed", "unavailable")
    assert used_today(carol) == 0
    assert gemini.requests == []


def test_lost_bytes_leave_the_name(carol: User, gemini: FakeGemini) -> None:
    files = [examined(carol, corpus.photo(), name="photo.jpg"), large_pdf(carol)]
    for file in files:
        blobs.delete(file.key)

    reply = run(post(make_room(carol), *files))

    assert reply.status == "complete"
    assert texts(gemini.requests[-1].body) == [
        *("(photo.jpg is not here.)\n", "(report.pdf is not here.)\n", "Read this."),
    ]
    assert not GeminiCopy.objects.filter(discarded=False).exists()


def test_deleted_file_is_not_sent_again(carol: User, gemini: FakeGemini) -> None:
    room, file = make_room(carol), examined(carol, corpus.photo(), name="photo.jpg")
    run(post(room, file))
    File.objects.filter(pk=file.pk).mark_deleted()

    run(post(room, prompt="And now?"))

    assert inline_in(gemini.requests[-1].body) == []
    assert "(photo.jpg is not here.)\n" in texts(gemini.requests[-1].body)


def test_model_without_pictures_gets_no_older_picture(
    carol: User, gemini: FakeGemini, settings: Any
) -> None:
    room = make_room(carol)
    run(post(room, examined(carol, corpus.photo(), name="photo.jpg")))
    GeminiModel.objects.filter(name=settings.GEMINI_MODEL).update(modalities=["text"])

    reply = run(post(room, prompt="And now?"))

    assert reply.status == "complete"
    assert inline_in(gemini.requests[-1].body) == []


@pytest.mark.parametrize("end", ["file", "room", "account"])
def test_copy_at_google_ends_with_the_file(carol: User, gemini: FakeGemini, end: str) -> None:
    room, file = make_room(carol), large_pdf(carol)
    run(post(room, file))
    delete_copies()
    before = len(gemini.files.copies)

    if end == "file":
        File.objects.filter(pk=file.pk).mark_deleted()
    elif end == "room":
        actions.delete(room=room)
        erase_room(chatroom_id=room.pk)
        sweep_files()
    else:
        erase_user(erasure_id=close_account(user=carol).pk)
    delete_copies()

    assert (before, len(gemini.files.copies)) == (1, 0)
    assert not GeminiCopy.objects.exists()


def test_copy_waits_for_a_google_that_answers(carol: User, gemini: FakeGemini) -> None:
    file = large_pdf(carol)
    run(post(make_room(carol), file))
    File.objects.filter(pk=file.pk).mark_deleted()
    gemini.files.refusal = Answer(status=503)

    delete_copies()
    waiting = GeminiCopy.objects.count()
    gemini.files.refusal = None
    delete_copies()

    assert waiting == 1
    assert not GeminiCopy.objects.exists()


def test_copy_of_a_dead_worker_is_deleted_and_made_again(carol: User, gemini: FakeGemini) -> None:
    file = large_pdf(carol)
    key = key_digest()
    dead = GeminiCopy.objects.claim(file_id=file.pk, key=key)
    assert dead is not None
    GeminiCopy.objects.update(lease_expires_at=timezone.now())

    reply = run(post(make_room(carol), file))
    delete_copies()

    assert reply.status == "complete"
    assert list(gemini.files.copies) == [GeminiCopy.objects.get().name]
    assert dead.name not in gemini.files.copies


def test_copy_of_another_key_is_not_used(carol: User, gemini: FakeGemini, settings: Any) -> None:
    room, file = make_room(carol), large_pdf(carol)
    run(post(room, file))
    settings.GOOGLE_API_KEY = "another-key"

    reply = run(post(room, prompt="And now?"))

    assert reply.status == "complete"
    assert gemini.files.uploads == 2


def test_budget_counts_the_files_of_older_turns(
    carol: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_CONTEXT_TOKENS = 2_000
    room = make_room(carol)

    replies = [
        run(post(room, examined(carol, corpus.encoded(corpus.halves(10 + n), "PNG"))))
        for n in range(3)
    ]

    # The newest picture is not counted, an older picture is; two older pictures are too much.
    assert [reply.context_messages for reply in replies] == [1, 3, 3]
    assert [reply.context_truncated for reply in replies] == [False, False, True]
    assert [reply.context_tokens // 1_120 for reply in replies] == [1, 2, 2]
    assert len(inline_in(gemini.requests[-1].body)) == 2


def test_files_leave_the_rooms_characters_per_token(carol: User, gemini: FakeGemini) -> None:
    room = make_room(carol)
    before = room.characters_per_token

    run(post(room, examined(carol, corpus.photo())))

    room.refresh_from_db()
    assert room.characters_per_token == before


def test_usage_without_a_report_counts_the_files(carol: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["A photo."], usage=False))

    reply = run(post(make_room(carol), examined(carol, corpus.photo())))

    assert reply.prompt_tokens is not None
    assert 1_120 <= reply.prompt_tokens < 1_130


def test_usage_without_a_report_counts_a_text_once(carol: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["Growth."], usage=False))
    content = b"river " * 2_000

    reply = run(post(make_room(carol), examined(carol, content)))

    assert reply.prompt_tokens is not None
    assert 3_000 <= reply.prompt_tokens < 3_030


def test_attempt_of_a_dead_worker_counts_the_pictures(carol: User, gemini: FakeGemini) -> None:
    reply = post(make_room(carol), examined(carol, corpus.photo()))
    assert claim_reply(reply_id=reply.pk, now=timezone.now())
    Message.objects.filter(pk=reply.pk).update(lease_expires_at=timezone.now())

    requeue_expired(now=timezone.now())

    assert UsageRecord.objects.get().prompt_tokens > 1_120


def test_offline_reply_names_the_files(carol: User, settings: Any) -> None:
    settings.GEMINI_BACKEND = "messaging.gemini.offline.Backend"
    file = examined(carol, corpus.photo(), name="photo.jpg")

    reply = run(post(make_room(carol), file, prompt=""))

    assert reply.status == "complete"
    assert "You wrote: “(photo.jpg)”" in reply.content
