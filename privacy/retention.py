"""The retention of all apps: erases rows past their time, each night."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts import personal_data as accounts
from billing import personal_data as billing
from chatrooms.models import Chatroom, ChatroomQuerySet
from files import personal_data as files
from gemchat.stores.batches import in_key_order
from privacy.models import DataExport

BATCH = 1_000
EXPORT = DataExport._meta.label


def purge_expired(*, dry_run: bool = False) -> dict[str, int]:
    """Erase rows past their retention, and return counts by kind; `dry_run` only counts.

    Rooms are soft-deleted here; the sweep of deleted rooms erases them.
    """
    now = timezone.now()
    exports = DataExport.objects.expired()
    counts = {
        "temporary_chatrooms": purge_rooms(Chatroom.objects.expired(now=now), now, dry_run),
        **{
            f"{tier}_chatrooms": purge_rooms(
                Chatroom.objects.inactive(
                    tier=tier, since=now - timedelta(days=plan.retention_days)
                ),
                now,
                dry_run,
            )
            for tier, plan in settings.PLANS.items()
            if plan.retention_days
        },
        "exports": exports.count() if dry_run else exports.delete()[1].get(EXPORT, 0),
    }
    for app in (accounts, billing, files):
        counts |= app.prune(dry_run=dry_run)
    return counts


def purge_rooms(rooms: ChatroomQuerySet, now: datetime, dry_run: bool) -> int:
    if dry_run:
        return rooms.count()
    deleted = 0
    for batch in in_key_order(rooms.values_list("pk", flat=True), BATCH):
        # The filter is applied again, since a room may have a new message meanwhile.
        deleted += rooms.filter(pk__in=batch).mark_deleted(now=now)
    return deleted
