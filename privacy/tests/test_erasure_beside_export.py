"""A user is erased while a worker makes the user's export, at the first try."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction

from accounts.auth.closing import close_account
from accounts.models import Erasure, User
from privacy.erasure import erase_user
from privacy.export import build_export
from privacy.models import AttemptSuperseded, DataExport, ExportPart
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.waiting import in_background, wait_until_blocked


@contextmanager
def locked_export(export: DataExport) -> Iterator[None]:
    with transaction.atomic():
        DataExport.objects.select_for_update().get(pk=export.pk)
        yield


@transactional
def test_piece_that_is_being_added_does_not_fail_the_erasure(carol: User) -> None:
    export, _ = DataExport.objects.get_or_start(carol)
    claimed = DataExport.objects.claim(export.pk)
    assert claimed is not None
    erasure = close_account(user=carol)
    is_added, may_commit = threading.Event(), threading.Event()

    def add() -> None:
        with transaction.atomic():
            claimed.add_part(0, b"piece")
            is_added.set()
            assert may_commit.wait(30)

    adding = in_background(add)
    assert is_added.wait(30)
    erasing = in_background(lambda: erase_user(erasure_id=erasure.pk))
    wait_until_blocked()
    may_commit.set()

    assert (adding.result(30), erasing.result(30)) == (None, False)
    assert not User.objects.filter(pk=carol.pk).exists()
    assert not (ExportPart.objects.exists() or Erasure.objects.exists())
    with pytest.raises(AttemptSuperseded):
        claimed.add_part(1, b"too late")


@transactional
def test_export_whose_user_goes_meanwhile_ends_without_an_error(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is a few bytes: the user goes before the end of the export."""
    monkeypatch.setattr("privacy.export.PART_BYTES", 20)
    room = make_room(carol)
    for number in range(5):
        exchange(room, f"Q{number}", f"A{number}")
    export, _ = DataExport.objects.get_or_start(carol)
    erasure = close_account(user=carol)

    with locked_export(export):
        building = in_background(lambda: build_export(export_id=export.pk))
        wait_until_blocked()
    erasing = in_background(lambda: erase_user(erasure_id=erasure.pk))

    assert (building.result(60), erasing.result(60)) == (None, False)
    assert not User.objects.filter(pk=carol.pk).exists()
    assert not ExportPart.objects.exists()
