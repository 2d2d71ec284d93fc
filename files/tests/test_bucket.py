"""Files in a bucket of a real S3 server, with redirects for downloads."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from files import deletions
from files.models import BlobDeletion, File
from files.models.keys import FILES
from files.personal_data import export_blobs
from files.storage import blobs
from messaging.conversation import actions
from messaging.models import GeminiModel
from tests.support.fakes.gemini import FakeGemini
from tests.support.files import corpus
from tests.support.files.bucket import Bucket, get
from tests.support.files.gemini_files import inline_in, uris_in
from tests.support.files.uploads import HELLO, examined, post, uploaded
from tests.support.marks import transactional
from tests.support.messaging.asgi import ask
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import run
from tests.support.plugins.files import stored_names, use_storage

pytestmark = [transactional, pytest.mark.usefixtures("files_in_bucket")]


def test_picture_goes_through_the_bucket(alice: User, bucket: Bucket) -> None:
    file = examined(alice, corpus.photo(), name="photo \u202e.jpg")

    status, headers, _ = ask(f"/api/v1/file/{file.pk}/content", alice)
    small = ask(f"/api/v1/file/{file.pk}/thumbnail", alice)
    sent = get(headers["location"])

    assert (file.status, status, small[0]) == ("ready", 302, 302)
    assert (sent.status_code, len(sent.content)) == (200, file.size)
    assert sent.headers["Content-Type"] == "image/jpeg"
    assert b"Exif" not in sent.content
    assert get(small[1]["location"]).content[8:12] == b"WEBP"
    assert {str(file.pk), f"{file.pk}.thumbnail"} <= stored_names(bucket.folder)


def test_large_file_is_read_by_a_process_that_received_none(
    alice: User, settings: Any, tmp_path: Path
) -> None:
    # More than a blob in memory may have.
    file = uploaded(alice, b"ID3\x03" + b"a" * 1_500_000, name="song.mp3")
    settings.FILES_TEMP_DIR = str(tmp_path / "missing")

    with blobs.opened(file.key) as stored:
        assert len(stored.read()) == file.size


def test_bucket_is_closed_without_a_signature(alice: User) -> None:
    file = examined(alice)
    address = ask(f"/api/v1/file/{file.pk}/content", alice)[1]["location"]

    plain = get(address.partition("?")[0])
    forged = get(address[:-4] + "0000")

    assert get(address).content == HELLO
    assert plain.status_code in (400, 403)
    assert forged.status_code == 403


def test_deleted_file_leaves_the_bucket(alice: User, bucket: Bucket) -> None:
    file = examined(alice, corpus.photo(), name="photo.jpg")

    File.objects.filter(pk=file.pk).mark_deleted()
    deleted = deletions.delete_due()

    assert deleted == 1
    assert not [name for name in stored_names(bucket.folder) if str(file.pk) in name]
    assert not BlobDeletion.objects.exists()


def test_bytes_without_a_row_leave_the_bucket(
    alice: User, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lost = examined(alice), examined(alice, b"lost")
    File.objects.filter(pk=lost.pk).delete()
    BlobDeletion.objects.all().delete()

    young = deletions.delete_orphans(FILES, File.objects.all(), "pk")
    monkeypatch.setattr(deletions, "LEAST_ORPHAN_AGE", timedelta(seconds=-5))
    old = deletions.delete_orphans(FILES, File.objects.all(), "pk")
    deletions.delete_due()

    assert young == 0
    assert old >= 1
    assert str(lost.pk) not in stored_names(bucket.folder)
    assert str(file.pk) in stored_names(bucket.folder)


def test_thumbnail_without_its_picture_leaves_the_bucket(alice: User, bucket: Bucket) -> None:
    lost = examined(alice, corpus.photo(), name="photo.jpg")
    blobs.storage().delete(lost.key)
    File.objects.filter(pk=lost.pk).delete()
    BlobDeletion.objects.all().delete()

    deletions.delete_orphans(FILES, File.objects.all(), "pk")
    deletions.delete_due()

    assert f"{lost.pk}.thumbnail" not in stored_names(bucket.folder)


def test_export_reads_the_bucket(alice: User) -> None:
    file = examined(alice)

    found = {
        name: stored.read() for name, stored in export_blobs(alice, left_out=File.objects.none())
    }

    assert found == {f"files/{file.pk}/report.txt": HELLO}


def test_bucket_down_answers_503_and_a_deletion_waits(alice: User, settings: Any) -> None:
    file = examined(alice)
    use_storage(settings, "s3://uploads?endpoint_url=http://127.0.0.1:1")

    status, _, body = post(alice, b"another")
    File.objects.filter(pk=file.pk).mark_deleted()
    deletions.delete_due()
    waiting = BlobDeletion.objects.get(key=file.key)

    assert (status, body["code"]) == (503, "storage_unavailable")
    assert File.objects.filter(user=alice).count() == 1
    assert waiting.tries == 1
    assert waiting.due_at > timezone.now()


def test_missing_bytes_are_missing(alice: User) -> None:
    file = examined(alice)
    blobs.delete(file.key)

    with pytest.raises(blobs.BlobMissing), blobs.opened(file.key):
        pass

    assert not blobs.exists(file.key)


def test_files_in_a_bucket_reach_gemini(carol: User, gemini: FakeGemini, settings: Any) -> None:
    fields = {"modalities": ["text", "image", "pdf"]}
    GeminiModel.objects.update_or_create(name=settings.GEMINI_MODEL, defaults=fields)
    small = examined(carol, corpus.photo(), name="photo.jpg")
    large = examined(carol, corpus.pdf(attached_bytes=1_300_000), name="report.pdf")
    room = make_room(carol)

    def ask_about(file: File) -> Any:
        sent = actions.post_message(user=carol, chatroom_id=room.pk, prompt="", files=[file.pk])
        assert run(sent.reply).status == "complete"
        return gemini.requests[-1].body

    assert len(inline_in(ask_about(small))) == 1
    [uri, _] = sorted(uris_in(ask_about(large)), key=lambda uri: -len(gemini.files.content_of(uri)))
    assert len(gemini.files.content_of(uri)) == large.size
