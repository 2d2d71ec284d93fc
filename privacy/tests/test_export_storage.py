"""The ZIP of an export in the storage, a folder or a bucket."""

import io
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.auth.closing import close_account
from accounts.models import AuditEvent, User
from files import deletions
from files.models import BlobDeletion
from files.storage import blobs
from privacy.erasure import erase_user
from privacy.export import build_export, run_attempt
from privacy.models import EXPORT_LIFETIME, MOST_ATTEMPTS, RECENT, DataExport
from privacy.retention import purge_expired
from privacy.tasks import delete_orphaned_exports, sweep_accounts
from tests.support.files.bucket import get
from tests.support.files.uploads import examined
from tests.support.marks import transactional
from tests.support.messaging.asgi import ask
from tests.support.messaging.rooms import exchange, make_room
from tests.support.plugins.cast import api_for
from tests.support.plugins.files import break_storage, stored_names
from tests.support.privacy.exports import let_pass, make, stored, stored_zip, unzipped

pytestmark = transactional
URL = "/api/v1/user/me/export"


def link_of(user: User) -> str:
    url = urlsplit(api_for(user).get(URL).json()["download_url"])
    return f"{url.path}?{url.query}"


def test_export_is_downloaded_from_the_storage(carol: User, each_storage: Path) -> None:
    exchange(make_room(carol), "Why is the sea salt?")
    export = make(carol)
    path = link_of(carol)

    status, headers, body = ask(path)
    if status == 302:
        sent = get(headers["location"])
        body, sent_headers = sent.content, sent.headers
    else:
        sent_headers = headers

    assert status == (302 if "location" in headers else 200)
    assert str(export.blob_id) in stored_names(each_storage)
    assert len(body) == export.size == int(sent_headers["content-length"])
    assert unzipped(body)["messages"][0]["content"] == "Why is the sea salt?"
    assert sent_headers["content-type"] == "application/zip"
    assert 'attachment; filename="gemchatroom-' in sent_headers["content-disposition"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert AuditEvent.objects.filter(action="export_downloaded").count() == 1


def expire(export: DataExport) -> None:
    let_pass(EXPORT_LIFETIME)
    purge_expired()


def replace(export: DataExport) -> None:
    let_pass(RECENT)
    DataExport.objects.get_or_start(export.user)


def erase(export: DataExport) -> None:
    erase_user(erasure_id=close_account(user=export.user).pk)


def delete_by_sql(export: DataExport) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM privacy_dataexport WHERE id = %s", [export.pk])


@pytest.mark.parametrize("end", [expire, replace, erase, delete_by_sql])
def test_ended_export_leaves_the_storage(
    carol: User, bob: User, each_storage: Path, end: Callable[[DataExport], None]
) -> None:
    export = make(carol)

    end(export)
    other = make(bob)
    deletions.delete_due()
    names = stored_names(each_storage)

    assert str(export.blob_id) not in names
    assert str(other.blob_id) in names
    assert not BlobDeletion.objects.exists()


def test_superseded_attempt_leaves_no_bytes_and_changes_nothing(
    alice: User, each_storage: Path
) -> None:
    export, _ = DataExport.objects.get_or_start(alice)
    slow = DataExport.objects.claim(export.pk)
    assert slow is not None
    let_pass(timedelta(seconds=61))
    build_export(export_id=export.pk)
    ended = DataExport.objects.get()
    whole = stored_zip(ended)
    deletions.delete_due()
    blobs.save(slow.key, io.BytesIO(b"late"))

    run_attempt(slow)
    deletions.delete_due()

    assert (ended.status, ended.attempt) == ("ready", 2)
    assert DataExport.objects.get().blob_id == ended.blob_id
    assert stored_zip(ended) == whole
    assert str(slow.blob_id) not in stored_names(each_storage)


def test_export_waits_for_a_storage_that_is_down(
    carol: User, each_storage: Path, settings: Any, tmp_path: Path
) -> None:
    storages, url = settings.STORAGES, settings.FILES_STORAGE_URL
    export, _ = DataExport.objects.get_or_start(carol)
    DataExport.objects.update(attempt=MOST_ATTEMPTS - 1)

    break_storage(settings, tmp_path)
    for _ in range(3):
        build_export(export_id=export.pk)
        waiting = DataExport.objects.get()
        early = list(DataExport.objects.due())
        let_pass(timedelta(seconds=61))
    settings.STORAGES, settings.FILES_STORAGE_URL = storages, url
    sweep_accounts()
    build_export(export_id=export.pk)

    assert (waiting.status, waiting.attempt, early) == ("queued", MOST_ATTEMPTS - 1, [])
    assert stored(DataExport.objects.get())["account"][0]["name"] == "Carol"


def test_temporary_folder_that_fails_makes_the_export_wait(
    carol: User, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    settings.FILES_TEMP_DIR = str(tmp_path / "file")

    export = make(carol)

    assert (export.status, export.attempt) == ("queued", 0)


def test_download_without_the_storage_answers_503(
    carol: User, each_storage: Path, settings: Any, tmp_path: Path
) -> None:
    make(carol)
    path = link_of(carol)
    break_storage(settings, tmp_path)

    status, headers, body = ask(path)

    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert b"storage_unavailable" in body
    assert "retry-after" in headers
    assert not AuditEvent.objects.filter(action="export_downloaded").exists()


def test_export_without_its_bytes_answers_404(carol: User, each_storage: Path) -> None:
    blobs.delete(make(carol).key)

    assert ask(link_of(carol))[0] == 404


def test_command_without_the_storage_leaves_no_file(
    carol: User, each_storage: Path, settings: Any, tmp_path: Path
) -> None:
    examined(carol)
    break_storage(settings, tmp_path)
    folder = tmp_path / "exports"
    folder.mkdir()

    with pytest.raises(CommandError, match="does not answer"):
        call_command("user_export", "--mobile", carol.mobile, "--output", str(folder / "a.zip"))

    assert list(folder.iterdir()) == []


def test_large_export_is_stored_in_flat_memory(each_storage: Path, tmp_path: Path) -> None:
    with (tmp_path / "large").open("w+b") as file:
        file.truncate(50_000_000)
        # The first write loads the client of a bucket.
        blobs.save("exports/00/first", io.BytesIO(b"first"))
        tracemalloc.start()
        blobs.save("exports/00/large", file)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert blobs.size("exports/00/large") == 50_000_000
    assert peak < 5_000_000


def test_bytes_that_no_export_names_are_deleted(
    alice: User, bob: User, each_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, lost = make(alice), make(bob)
    DataExport.objects.filter(pk=lost.pk).delete()
    BlobDeletion.objects.all().delete()

    delete_orphaned_exports()
    young = BlobDeletion.objects.count()
    monkeypatch.setattr(deletions, "LEAST_ORPHAN_AGE", timedelta(seconds=-5))
    delete_orphaned_exports()
    deletions.delete_due()
    names = stored_names(each_storage)

    assert young == 0
    assert str(lost.blob_id) not in names
    assert str(export.blob_id) in names
