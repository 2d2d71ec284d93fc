"""Files in the export, in the retention and in the erasure; and what staff see."""

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from accounts.auth.closing import close_account
from accounts.models import User
from backoffice.management.doctor import CheckFailed, storage_answers
from chatrooms.models import Chatroom
from files import deletions
from files.models import BlobDeletion, File
from files.models.files import UNUSED_LIFETIME
from files.personal_data import export_blobs, export_sections
from files.tasks import sweep_files, sweep_uploads
from messaging.conversation import actions
from messaging.personal_data import temporary_files
from privacy.erasure import erase_user
from privacy.retention import purge_expired
from tests.support.files import corpus
from tests.support.files.uploads import HELLO, examined, post, uploaded
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.plugins.files import stored_names
from tests.support.privacy.exports import make, stored_zip

pytestmark = transactional


def age(file: File, period: timedelta) -> None:
    erase_at = timezone.now() + UNUSED_LIFETIME - period
    File.objects.filter(pk=file.pk).update(erase_at=erase_at)


def test_export_has_the_rows_and_the_bytes(alice: User, bob: User) -> None:
    file = examined(alice, name="../notes.txt")
    examined(bob, b"of another person")

    archive = zipfile.ZipFile(io.BytesIO(stored_zip(make(alice))))
    [row] = json.loads(archive.read("files.json"))
    entry = archive.getinfo(f"files/{file.pk}/notes.txt")

    assert (row["name"], row["size"], row["status"]) == ("notes.txt", len(HELLO), "ready")
    assert archive.read(entry) == HELLO
    assert entry.compress_type == zipfile.ZIP_STORED
    assert len([name for name in archive.namelist() if name.startswith("files/")]) == 1


def test_export_leaves_files_of_temporary_rooms_out(alice: User) -> None:
    lasting, temporary, both = examined(alice), examined(alice, b"2"), examined(alice, b"3")
    for is_temporary, files in [(False, [lasting, both]), (True, [temporary, both])]:
        room = make_room(alice)
        ids = [file.pk for file in files]
        actions.post_message(user=alice, chatroom_id=room.pk, prompt="", files=ids)
        if is_temporary:
            Chatroom.objects.filter(pk=room.pk).update(expires_at=timezone.now())

    left_out = temporary_files(alice)
    [section] = export_sections(alice, left_out=left_out)
    rows = [row for batch in section.batches() for row in batch]
    names = [name for name, _ in export_blobs(alice, left_out=left_out)]

    assert {row["id"] for row in rows} == {lasting.pk, both.pk}
    assert {uuid.UUID(name.split("/")[1]) for name in names} == {lasting.pk, both.pk}


def test_erasure_deletes_rows_and_bytes(alice: User, bob: User, files_folder: Path) -> None:
    own = [examined(alice, corpus.photo(), name="photo.jpg"), uploaded(alice)]
    other = examined(bob)

    erase_user(erasure_id=close_account(user=alice).pk)
    deletions.delete_due()
    names = stored_names(files_folder)

    assert not User.objects.filter(pk=alice.pk).exists()
    assert not File.objects.filter(pk__in=[file.pk for file in own]).exists()
    assert not [name for name in names for file in own if str(file.pk) in name]
    assert str(other.pk) in names


@pytest.mark.parametrize("sweep", [sweep_files, purge_expired])
def test_file_in_no_message_is_erased_after_a_day(alice: User, sweep: Callable[[], None]) -> None:
    old, new = examined(alice), examined(alice, b"new")
    age(old, timedelta(hours=24, minutes=1))
    age(new, timedelta(hours=23, minutes=59))

    sweep()

    assert list(File.objects.values_list("pk", flat=True)) == [new.pk]
    assert BlobDeletion.objects.get().key == old.key


def test_day_of_an_unused_file_begins_again_with_the_same_bytes(alice: User) -> None:
    file = examined(alice)
    age(file, timedelta(hours=23, minutes=59))
    before = timezone.now()

    post(alice)

    file.refresh_from_db()
    assert file.erase_at is not None
    assert file.erase_at >= before + UNUSED_LIFETIME


def test_upload_of_a_dead_process_is_swept(alice: User) -> None:
    fields = {"user": alice, "status": "receiving", "size": 5, "created_at": timezone.now()}
    dead = File.objects.create(**fields, lease_expires_at=timezone.now())
    live = File.objects.create(**fields, lease_expires_at=timezone.now() + timedelta(seconds=60))

    sweep_uploads()

    assert list(File.objects.values_list("pk", flat=True)) == [live.pk]
    assert BlobDeletion.objects.get().key == dead.key


def test_doctor_finds_a_late_deletion(alice: User) -> None:
    assert "answers" in storage_answers()
    BlobDeletion.objects.enqueue(key=examined(alice).key)
    BlobDeletion.objects.update(created_at=timezone.now() - timedelta(minutes=61))

    with pytest.raises(CheckFailed, match="hour: 1"):
        storage_answers()


@pytest.mark.parametrize("role", ["Support", "Read-only"])
def test_staff_see_no_name(
    alice: User, staff_client_for: Callable[[str], Client], role: str
) -> None:
    file = examined(alice, name="diagnosis.txt")
    browser = staff_client_for(role)

    pages = [
        browser.get("/admin/files/file/"),
        browser.get(f"/admin/files/file/{file.pk}/change/"),
        browser.get(f"/admin/files/file/?q={file.pk}"),
    ]

    assert [page.status_code for page in pages] == [200, 200, 200]
    assert all("text" in page.content.decode() for page in pages)
    assert not any("diagnosis" in page.content.decode() for page in pages)
