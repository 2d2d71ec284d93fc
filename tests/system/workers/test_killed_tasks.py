"""Tasks of privacy that are killed in the middle, and continue in another worker."""

import random
from datetime import timedelta

import pytest
from django.db.models import F
from djstripe.models import Customer

from accounts.auth.closing import close_account
from accounts.models import Erasure, User
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from messaging.models import Message
from privacy.erasure import erase_user
from privacy.export import build_export
from privacy.models import DataExport, ExportPart
from privacy.tasks import sweep_accounts
from tests.support.accounts.sign_in import NUMBER, api_with, sign_in
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.payments import pro
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


def test_export_killed_in_the_middle_continues_in_another_worker(carol: User) -> None:
    chance = random.Random(3)
    room = make_room(carol)
    for _ in range(4):
        exchange(room, chance.randbytes(15_000).hex(), chance.randbytes(400_000).hex())
    export, _ = DataExport.objects.get_or_start(carol)

    kill_in(
        "privacy.export:build_export",
        {"export_id": export.pk},
        "privacy.models:DataExport.add_part",
        calls=2,
    )
    died = ExportPart.objects.count()
    build_export(export_id=export.pk)
    status_meanwhile = DataExport.objects.get().status
    let_pass(timedelta(seconds=61))
    sweep_accounts()
    queued = client().llen("default")
    build_export(export_id=export.pk)

    assert (died, status_meanwhile, queued) == (2, "building", 1)
    ended = DataExport.objects.get()
    assert (ended.status, ended.attempt) == ("ready", 2)
    assert len(stored(ended)["messages"]) == 8
