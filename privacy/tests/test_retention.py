"""Retention: rooms by tier, exports, and the rows that prune deletes."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import IdempotencyRecord, User
from billing.checks import check_settings
from billing.tests.plans import with_plan
from chatrooms.models import Chatroom
from messaging.conversation.deletion import erase_room
from messaging.models import Message
from privacy import retention
from privacy.export import build_export
from privacy.models import DataExport
from privacy.retention import purge_expired
from tests.support.messaging.rooms import exchange, make_room

pytestmark = pytest.mark.django_db


def quiet_room(user: User, days: int, **fields: Any) -> Chatroom:
    """A room without a message for a number of days."""
    room = exchange(make_room(user)).chatroom
    last = timezone.now() - timedelta(days=days, minutes=1)
    Chatroom.objects.filter(pk=room.pk).update(last_message_at=last, **fields)
    return room


def kept_rooms() -> set[Any]:
    return set(Chatroom.objects.filter(deleted_at=None).values_list("pk", flat=True))


def test_rooms_are_kept_for_ever_by_default(alice: User, carol: User) -> None:
    rooms = {quiet_room(user, 3_000).pk for user in (alice, carol)}

    purge_expired()

    assert kept_rooms() == rooms


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_rooms_are_erased_when_their_tier_no_longer_keeps_them(
    batch: int, alice: User, carol: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", batch)
    with_plan(settings, "basic", retention_days=30)
    with_plan(settings, "pro", retention_days=365)
    for fields in ({}, {"pinned": True}, {"archived": True}):
        quiet_room(alice, 30, **fields)
    kept = {quiet_room(alice, 29).pk, quiet_room(carol, 364).pk}
    quiet_room(carol, 365)

    report = purge_expired()

    assert (report["basic_chatrooms"], report["pro_chatrooms"]) == (3, 1)
    assert kept_rooms() == kept
    for room in Chatroom.objects.deleted():
        erase_room(chatroom_id=room.pk)
    assert Message.objects.count() == 4


def test_room_with_a_new_message_is_kept_however_old_it_is(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", retention_days=30)
    room = quiet_room(alice, 300)
    exchange(room)

    assert purge_expired()["basic_chatrooms"] == 0
    assert kept_rooms() == {room.pk}


def test_expired_exports_are_deleted(alice: User, carol: User) -> None:
    for user in (alice, carol):
        export, _ = DataExport.objects.get_or_start(user)
        build_export(export_id=export.pk)
    DataExport.objects.filter(user=alice).update(expires_at=timezone.now())

    report = purge_expired()

    assert report["exports"] == 1
    assert DataExport.objects.get().user == carol


def test_command_tells_what_it_has_erased(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", retention_days=30)
    quiet_room(alice, 40)
    Chatroom.objects.filter(pk=make_room(alice, temporary=True).pk).update(
        expires_at=timezone.now()
    )
    day_ago = timezone.now() - timedelta(days=1, minutes=1)
    IdempotencyRecord.objects.create(
        user=alice, key="old", request_digest=b"x", status=200, created_at=day_ago
    )

    def run(*options: str) -> dict[str, Any]:
        out = io.StringIO()
        call_command("purge_expired", "--json", *options, stdout=out)
        return json.loads(out.getvalue())

    foreseen = run("--dry-run")
    left = Chatroom.objects.deleted().count()
    done = run("--yes")

    assert (foreseen.pop("dry_run"), left, done.pop("dry_run")) == (True, 0, False)
    assert foreseen == done
    assert done == {
        "temporary_chatrooms": 1,
        "basic_chatrooms": 1,
        "exports": 0,
        "codes": 0,
        "sessions": 0,
        "idempotency_records": 1,
        "limit_hits": 0,
        "audit_events": 0,
        "audit_addresses": 0,
        "browser_sessions": 0,
        "webhook_deliveries": 0,
        "webhook_events": 0,
        "erased_quotas": 0,
        "unused_files": 0,
    }


def test_retention_of_less_than_no_days_is_refused(settings: Any) -> None:
    with_plan(settings, "pro", retention_days=-1)

    assert [message.id for message in check_settings()] == ["billing.E001"]
