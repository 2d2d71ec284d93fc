"""Tasks of privacy that are killed in the middle, and continue in another worker."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from djstripe.models import Customer

from accounts.auth.closing import close_account
from accounts.models import Erasure, User
from chatrooms.models import Chatroom
from files import deletions
from gemchat.stores.redis import client
from messaging.models import Message
from privacy.erasure import erase_user
from privacy.export import build_export
from privacy.models import DataExport
from privacy.tasks import sweep_accounts
from tests.support.accounts.sign_in import NUMBER, api_with, sign_in
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.payments import pro
from tests.support.plugins.files import stored_names
from tests.support.privacy.exports import let_pass, stored
from tests.support.privacy.traces import keys_that_tell
from tests.support.stack.crash import kill_in

pytestmark = transactional


@pytest.mark.parametrize(
    ("step", "calls"),
    [
        ("privacy.erasure:cancel_for_erasure", 0),
        ("billing.stripe.sync:erase_customer", 0),
        ("privacy.erasure:erase_batch", 2),
        ("billing.models:UsageRecordQuerySet.detach", 0),
        ("accounts.personal_data:delete_task_results", 0),
        ("chatrooms.list_cache:delete_lists", 0),
    ],
)
def test_erasure_killed_at_any_step_continues_in_another_worker(
    step: str,
    calls: int,
    stripe: FakeStripe,
) -> None:
    api = api_with(sign_in(NUMBER)["access_token"])
    subscription = pro(api, stripe)
    user = User.objects.get()
    for _ in range(3):
        exchange(make_room(user))
    api.get("/api/v1/chatroom/")
    closing = close_account(user=user)

    kill_in("privacy.erasure:erase_user", {"erasure_id": closing.pk}, step, calls=calls)
    erase_user(erasure_id=closing.pk)
    too_early = User.objects.exists()
    Erasure.objects.update(next_try_at=F("next_try_at") - timedelta(seconds=61))
    sweep_accounts()
    erase_user(erasure_id=closing.pk)

    assert too_early
    assert stripe.objects["subscriptions"][subscription["id"]]["status"] == "canceled"
    for model in (User, Chatroom, Message, Customer, Erasure):
        assert not model.objects.exists()
    client().delete("default")
    assert not keys_that_tell([str(user.pk)])


@pytest.mark.parametrize(
    ("each_storage", "step", "calls", "left"),
    [
        ("folder", "privacy.export:write_section", 9, set()),
        ("bucket", "privacy.export:write_section", 9, set()),
        ("folder", "files.storage.local:os.replace", 0, {".unfinished"}),
        ("folder", "privacy.models:DataExport.finish", 0, {""}),
        ("bucket", "privacy.models:DataExport.finish", 0, {""}),
    ],
    indirect=["each_storage"],
)
def test_export_killed_at_any_step_continues_in_another_worker(
    carol: User, each_storage: Path, step: str, calls: int, left: set[str], settings: Any
) -> None:
    before = stored_names(each_storage)
    room = make_room(carol)
    for _ in range(4):
        exchange(room)
    export, _ = DataExport.objects.get_or_start(carol)

    kill_in("privacy.export:build_export", {"export_id": export.pk}, step, calls=calls)
    suffixes = {Path(name).suffix for name in stored_names(each_storage) - before}
    build_export(export_id=export.pk)
    status_meanwhile = DataExport.objects.get().status
    let_pass(timedelta(seconds=61))
    sweep_accounts()
    queued = client().llen("default")
    build_export(export_id=export.pk)
    deletions.delete_due()

    assert (suffixes, status_meanwhile, queued) == (left, "building", 1)
    ended = DataExport.objects.get()
    assert (ended.status, ended.attempt) == ("ready", 2)
    assert len(stored(ended)["messages"]) == 8
    assert stored_names(each_storage) - before == {str(ended.blob_id)}
    assert os.listdir(settings.FILES_TEMP_DIR) == []
