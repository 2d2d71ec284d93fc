"""A user is erased while a worker makes the user's export, at the first try."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import transaction

from accounts.auth.closing import close_account
from accounts.models import User
from files import deletions
from files.models import BlobDeletion
from privacy.erasure import erase_user
from privacy.export import build_export, run_attempt
from privacy.models import DataExport
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.plugins.files import stored_names
from tests.support.waiting import in_background, wait_until_blocked

pytestmark = transactional


@contextmanager
def locked_export(export: DataExport) -> Iterator[None]:
    with transaction.atomic():
        DataExport.objects.select_for_update().get(pk=export.pk)
        yield


def test_attempt_after_the_erasure_stores_nothing(carol: User, each_storage: Path) -> None:
    exchange(make_room(carol))
    export, _ = DataExport.objects.get_or_start(carol)
    claimed = DataExport.objects.claim(export.pk)
    assert claimed is not None
    erase_user(erasure_id=close_account(user=carol).pk)
    deletions.delete_due()

    run_attempt(claimed)

    assert str(claimed.blob_id) not in stored_names(each_storage)
    assert BlobDeletion.objects.get().key == claimed.key


def test_export_whose_user_goes_meanwhile_ends_without_an_error(
    carol: User, files_folder: Path
) -> None:
    before = stored_names(files_folder)
    room = make_room(carol)
    for number in range(5):
        exchange(room, f"Q{number}", f"A{number}")
    export, _ = DataExport.objects.get_or_start(carol)
    erasure = close_account(user=carol)

    with locked_export(export):
        building = in_background(lambda: build_export(export_id=export.pk))
        wait_until_blocked()
    erasing = in_background(lambda: erase_user(erasure_id=erasure.pk))
    ended = (building.result(60), erasing.result(60))
    deletions.delete_due()

    assert ended == (None, False)
    assert not User.objects.filter(pk=carol.pk).exists()
    assert stored_names(files_folder) == before
