"""DELETE /user/me: closed at once, cancelled at Stripe, erased in spite of crashes."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session as BrowserSession
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone
from django_celery_results.models import TaskResult
from djstripe.models import Customer, Event, WebhookEventTrigger
from rest_framework.test import APIClient

from accounts.auth.closing import close_account
from accounts.models import AuditEvent, Erasure, Session, User
from billing.models import DailyQuota, Flag, UsageRecord
from billing.stripe import sync
from billing.stripe.reconciliation import reconcile
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from messaging.conversation import actions, deletion
from messaging.models import Message
from messaging.replies.claims import claim_reply
from messaging.streaming.buffer import BUFFER_SECONDS, begin
from privacy import erasure
from privacy.erasure import erase_user
from privacy.tasks import sweep_accounts
from tests.support.accounts.sign_in import code_for, post, sign_in, verify
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.payments import deliver, deliver_all
from tests.support.plugins.cast import api_for
from tests.support.privacy.traces import (
    NUMBER,
    keys_that_tell,
    leave_traces,
    names_of,
    rows_that_tell,
    use,
)
from tests.support.waiting import at_once

pytestmark = pytest.mark.django_db
URL = "/api/v1/user/me"


def let_pass(period: timedelta) -> None:
    Erasure.objects.update(next_try_at=F("next_try_at") - period)


def erase(user: User) -> None:
    erase_user(erasure_id=close_account(user=user).pk)


@pytest.fixture
def person(stripe: FakeStripe) -> User:
    return leave_traces(stripe)


def test_nothing_names_an_erased_person(person: User, stripe: FakeStripe) -> None:
    names = names_of(person)
    replies = [str(pk) for pk in Message.objects.values_list("pk", flat=True)]
    api = api_for(person)
    before = rows_that_tell(names)

    answer = api.delete(URL)
    erase_user(erasure_id=Erasure.objects.get().pk)
    deliver_all(stripe)
    reconcile()
    client().delete("default")

    assert answer.status_code == 202
    # Where a trace was to be found before: otherwise this test would look in vain.
    assert {
        *("accounts_user", "accounts_session", "accounts_onetimecode", "accounts_limithit"),
        *("accounts_auditevent", "accounts_idempotencyrecord", "privacy_dataexport"),
        *("chatrooms_chatroom", "messaging_message", "django_admin_log"),
        *("billing_dailyquota", "billing_usagerecord", "billing_flag"),
        *("django_celery_results_taskresult", "djstripe_customer", "djstripe_subscription"),
        *("djstripe_event", "djstripe_webhookeventtrigger", "djstripe_session"),
    } <= before.keys()
    # An event has the user's id, a number drawn at random that nothing else has any more.
    assert rows_that_tell(names).keys() == {"accounts_auditevent"}
    assert rows_that_tell(names[2:]) == {}
    assert keys_that_tell([*names, *replies]) == []
    assert not BrowserSession.objects.exists()
    assert [result.task_id for result in TaskResult.objects.all()] == ["3"]


def test_ledger_and_audit_stay_without_the_person(person: User) -> None:
    customer_id = person.stripe_customer_id

    erase(person)

    assert UsageRecord.objects.get().user_id is None
    assert AuditEvent.objects.latest("id").action == "user_deleted"
    assert [flag.user_id for flag in Flag.objects.all()] == [None] * 2
    assert all(customer_id not in flag.note for flag in Flag.objects.all())


def test_person_is_taken_off_the_ledger_some_rows_at_a_time(alice: User, bob: User) -> None:
    for user in (alice, alice, alice, bob):
        use(user, reply_id=uuid.uuid4())

    taken_off = [UsageRecord.objects.detach(user_id=alice.pk, limit=2) for _ in range(3)]

    assert taken_off == [2, 1, 0]
    assert UsageRecord.objects.filter(user=bob).count() == 1


def test_stripe_is_told_before_anything_is_erased(person: User, stripe: FakeStripe) -> None:
    stripe.fail("DELETE", "/v1/customers", status=500, times=4)
    rooms, messages = Chatroom.objects.count(), Message.objects.count()

    erase(person)
    kept = (Chatroom.objects.filter(deleted_at=None).count(), Message.objects.count())
    waiting = Erasure.objects.get()
    sweep_accounts()
    too_early = client().llen("default")
    let_pass(timedelta(seconds=31))
    sweep_accounts()
    erase_user(erasure_id=waiting.pk)
    again = Erasure.objects.get()
    let_pass(timedelta(seconds=61))
    erase_user(erasure_id=waiting.pk)

    assert kept == (rooms, messages)
    assert "payment service" in waiting.error
    assert (too_early, client().llen("default")) == (0, 1)
    assert again.next_try_at - timezone.now() > timedelta(seconds=31)
    assert not User.objects.exists()
    subscriptions = stripe.objects["subscriptions"].values()
    assert {each["status"] for each in subscriptions} == {"canceled"}


def test_account_is_closed_from_the_next_request_on(alice: User, alice_api: APIClient) -> None:
    other = api_for(alice)

    answer = alice_api.delete(f"{URL}/")

    assert answer.status_code == 202
    assert answer.json()["success"]
    assert {api.get(URL).status_code for api in (alice_api, other)} == {401}
    assert alice_api.delete(URL).status_code == 401
    assert set(Session.objects.values_list("revoked_reason", flat=True)) == {"account_closed"}
    assert list(AuditEvent.objects.values_list("action", flat=True)) == ["account_closed"]


def test_delete_needs_a_token(db: None) -> None:
    assert APIClient().delete(URL).status_code == 401


def test_delete_needs_a_sign_in_of_a_moment_ago(alice: User, alice_api: APIClient) -> None:
    Session.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))

    answer = alice_api.delete(URL)

    assert (answer.status_code, answer.json()["code"]) == (403, "recent_sign_in_required")
    assert not Erasure.objects.exists()
    assert api_for(alice).delete(URL).status_code == 202


@transactional
def test_delete_tells_the_queue_without_naming_the_user(alice: User) -> None:
    before = client().llen("default")

    api_for(alice).delete(URL)

    assert client().llen("default") == before + 1
    assert not keys_that_tell([str(alice.pk)])


def test_number_is_free_again_when_the_account_is_erased() -> None:
    first = sign_in(NUMBER)
    closing = close_account(user=User.objects.get())

    meanwhile = verify(code_for(NUMBER), NUMBER)
    erase_user(erasure_id=closing.pk)
    second = sign_in(NUMBER)

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "account_closing")
    assert int(meanwhile["Retry-After"]) > 0
    assert second["user"]["id"] != first["user"]["id"]


def test_erasing_the_account_again_and_again_brings_no_more_codes() -> None:
    for _ in range(5):
        sign_in(NUMBER)
        erase(User.objects.get())

    refused = post("auth/send-otp", {"mobile": NUMBER})

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused["Retry-After"]) > 3_000
    assert rows_that_tell([NUMBER]) == {}


def test_one_who_is_being_erased_is_not_enabled_again(alice: User) -> None:
    close_account(user=alice)

    with pytest.raises(CommandError, match="being erased"):
        call_command("user_enable", "--mobile", alice.mobile)

    alice.refresh_from_db()
    assert not alice.is_active


def test_reply_that_waits_is_stopped_and_one_that_a_worker_has_is_waited_for(alice: User) -> None:
    first = actions.post_message(user=alice, chatroom_id=make_room(alice).pk, prompt="a")
    second = actions.post_message(user=alice, chatroom_id=make_room(alice).pk, prompt="b")
    claim_reply(reply_id=first.reply.pk, now=timezone.now())

    erase(alice)
    asked = Message.objects.get(pk=first.reply.pk)
    waiting = Erasure.objects.get()
    Message.objects.filter(pk=first.reply.pk).update(
        status=Message.Status.STOPPED, lease_expires_at=None, ended_at=timezone.now()
    )
    let_pass(timedelta(seconds=3))
    erase_user(erasure_id=waiting.pk)

    assert asked.stop_requested
    assert client().get(f"stop:{first.reply.pk}") is None
    assert waiting.error == erasure.WAITS_FOR_REPLY
    assert not Message.objects.filter(pk=second.reply.pk).exists()
    assert not User.objects.exists()


def test_what_is_written_for_the_user_meanwhile_is_erased_as_well(alice: User) -> None:
    """By a request that began before the account was closed."""
    closing = close_account(user=alice)
    exchange(make_room(alice))

    erase_user(erasure_id=closing.pk)

    assert not Message.objects.exists()


@transactional
def test_many_tasks_at_once_erase_a_user(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH", 3)
    for _ in range(4):
        room = make_room(carol)
        for _ in range(5):
            exchange(room)
    closing = close_account(user=carol)

    def erase_again() -> None:
        let_pass(timedelta(seconds=61))
        erase_user(erasure_id=closing.pk)

    at_once(4, erase_again)
    let_pass(timedelta(seconds=61))
    erase_user(erasure_id=closing.pk)

    for model in (User, Chatroom, Message, DailyQuota, Erasure):
        assert not model.objects.exists()


def test_events_of_an_erased_customer_are_not_stored(person: User, stripe: FakeStripe) -> None:
    erase(person)
    of_customer = [event for event in stripe.events if person.stripe_customer_id in str(event)]
    asked = len(stripe.requests)

    assert set(deliver(*of_customer)) == {200}

    assert len(stripe.requests) == asked
    assert not Event.objects.filter(type__startswith="customer").exists()
    assert not WebhookEventTrigger.objects.filter(body__contains="cus_").exists()
    assert not Customer.objects.exists()


def test_event_that_crosses_the_erasure_leaves_nothing(
    person: User,
    stripe: FakeStripe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The erasure comes between the webhook's check and the storage of the event."""
    is_erased = sync.is_erased
    looks = []

    def erased_after_the_first_look(customer_id: str) -> bool:
        looks.append(is_erased(customer_id))
        if len(looks) == 1:
            erase(person)
        return looks[-1]

    monkeypatch.setattr(sync, "is_erased", erased_after_the_first_look)

    deliver_all(stripe)

    assert (looks[0], looks[1]) == (False, True)
    assert not Customer.objects.exists()
    assert not WebhookEventTrigger.objects.filter(body__contains="cus_").exists()


def test_user_delete_erases_at_once(person: User) -> None:
    call_command("user_delete", "--mobile", person.mobile, "--yes")

    assert not User.objects.exists()


def test_user_delete_says_what_the_erasure_waits_for(person: User, stripe: FakeStripe) -> None:
    stripe.fail("DELETE", "/v1/customers", status=500, times=2)
    command = ("user_delete", "--mobile", person.mobile, "--yes")

    with pytest.raises(CommandError, match="not erased yet.*payment service"):
        call_command(*command)
    call_command(*command)

    assert not User.objects.exists()


def test_buffered_text_of_a_deleted_room_goes_with_it(alice: User) -> None:
    room = make_room(alice)
    reply = exchange(room)
    pipe = client().pipeline()
    begin(pipe, reply.pk, 1)
    pipe.execute()
    actions.delete(room=room)
    assert 0 < client().ttl(f"reply:{reply.pk}") <= BUFFER_SECONDS

    deletion.erase_room(chatroom_id=room.pk)

    assert not client().exists(f"reply:{reply.pk}")
