"""The task of an export: in flat memory, in spite of crashes."""

import random
import tempfile
import tracemalloc
import uuid
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.auth.closing import close_account
from accounts.models import Erasure, User
from accounts.personal_data import ExportSection
from messaging.models import Message
from privacy.export import build_export, write_archive
from privacy.models import MOST_ATTEMPTS, DataExport
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.waiting import eventually, in_background, wait_until_blocked

pytestmark = pytest.mark.django_db
URL = "/api/v1/user/me/export"


@pytest.mark.parametrize("seconds", [-5, 5])
def test_order_of_a_web_machine_with_another_clock_is_due_at_once(
    carol: User, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    moment = timezone.now() + timedelta(seconds=seconds)
    with monkeypatch.context() as web:
        web.setattr(timezone, "now", lambda: moment)
        order, _ = DataExport.objects.get_or_start(carol)
        erasure = close_account(user=carol)

    assert DataExport.objects.claim(order.pk) is not None
    assert Erasure.objects.claim(erasure.pk) is not None


@pytest.mark.parametrize("batch", [1, 2, 7, 10, 200])
def test_batches_of_any_size_have_every_row_once(batch: int, carol: User) -> None:
    room = make_room(carol)
    for number in range(5):
        exchange(room, f"Q{number}", f"A{number}")
    section = ExportSection("messages", Message.objects.filter(user=carol), ["content"], batch)

    batches = list(section.batches())

    assert [len(each) for each in batches[:-1]] == [batch] * (len(batches) - 1)
    rows = [row for each in batches for row in each]
    assert [row["id"] for row in rows] == list(
        Message.objects.order_by("id").values_list("id", flat=True)
    )
    assert "content" not in rows[0]


def peak_of_export(user: User) -> int:
    tracemalloc.start()
    with tempfile.TemporaryFile() as file:
        write_archive(user, file)
        assert file.tell() > 500_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_export(carol: User) -> None:
    chance = random.Random(3)
    room = make_room(carol)

    def add(count: int) -> None:
        # Random, so that it cannot be compressed away.
        Message.objects.bulk_create(
            Message(
                chatroom=room,
                user=carol,
                sender="user",
                status="complete",
                content=chance.randbytes(2_000).hex(),
                created_at=timezone.now(),
            )
            for _ in range(count)
        )

    add(400)
    peak_of_export(carol)
    few = peak_of_export(carol)
    add(2_800)

    many = peak_of_export(carol)

    assert many < 1.3 * few


def test_export_that_no_attempt_finishes_fails_for_its_user_to_see(
    alice: User, alice_api: APIClient
) -> None:
    export, _ = DataExport.objects.get_or_start(alice)
    DataExport.objects.update(attempt=MOST_ATTEMPTS)

    build_export(export_id=export.pk)

    assert alice_api.get(URL).json()["status"] == "failed"
    assert alice_api.post(URL).json()["status"] == "queued"


def test_claim_of_an_unknown_export_does_nothing(db: None) -> None:
    build_export(export_id=uuid.uuid4())

    assert not DataExport.objects.exists()
    assert not Erasure.objects.exists()


@transactional
def test_slow_export_renews_its_lease(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privacy.export.LEASE", timedelta(seconds=0.03))
    export, _ = DataExport.objects.get_or_start(carol)

    def lease_end() -> datetime | None:
        return DataExport.objects.get().next_try_at

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE messaging_message IN ACCESS EXCLUSIVE MODE")
        building = in_background(lambda: build_export(export_id=export.pk))
        wait_until_blocked()
        first = lease_end()
        eventually(lambda: lease_end() > first)

    building.result(30)
    assert DataExport.objects.get().status == "ready"
