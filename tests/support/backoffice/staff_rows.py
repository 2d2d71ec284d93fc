"""Rows of every model that has pages in the back office."""

import uuid
from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.utils import timezone
from django_celery_results.models import TaskResult
from djstripe.models import (
    Charge,
    Customer,
    Dispute,
    Event,
    Subscription,
    WebhookEventTrigger,
)
from djstripe.models import (
    Session as CheckoutSession,
)

from accounts.models import AuditEvent, OneTimeCode, Session, User
from accounts.models.audit import AccountAction
from billing.models import DailyQuota, Flag, Grant, UsageRecord
from chatrooms.models import Chatroom
from files.models import File
from gemchat.api.client_address import Client
from messaging.models import GeminiModel, Message
from tests.support.messaging.rooms import make_room


def make_user(number: int) -> User:
    return User.objects.create_user(
        f"+9197{number:08}", name=f"User {number}", stripe_customer_id=f"cus_{number}"
    )


def failed_reply(user: User, *, code: str = "unavailable", **fields: Any) -> Message:
    """A reply that failed at the first attempt and gave the quota back."""
    room = fields.pop("room", None) or make_room(user)
    now = timezone.now()
    prompt = Message.objects.create(
        chatroom=room, user=user, sender="user", status="complete", content="Hello", created_at=now
    )
    return Message.objects.create(
        **{
            "chatroom": room,
            "user": user,
            "parent": prompt,
            "sender": "gemini",
            "status": "failed",
            "model": "gemini-3.5-flash-lite",
            "error_code": code,
            "error_detail": "Try again.",
            "provider_code": "503 UNAVAILABLE",
            "attempt": 1,
            "created_at": now,
            "started_at": now,
            "ended_at": now,
            **fields,
        }
    )


def make_row(model: type[Model], number: int) -> Any:
    """One more row of a model, of another user."""
    return MAKERS[model](make_user(number), number)


def usage(user: User, number: int) -> UsageRecord:
    counted = {"prompt_tokens": 1, "output_tokens": 1, "cached_tokens": 0, "thinking_tokens": 0}
    return UsageRecord.objects.create(
        user=user,
        reply_id=uuid.uuid4(),
        attempt=1,
        model="m",
        outcome="complete",
        cost_micro_usd=1,
        estimated=False,
        **counted,
    )


def code(user: User, number: int) -> OneTimeCode:
    now = timezone.now()
    return OneTimeCode.objects.create(
        mobile=user.mobile, created_at=now, expires_at=now, next_delivery_at=now
    )


def session(user: User, number: int) -> Session:
    now = timezone.now()
    return Session.objects.create(
        user=user,
        refresh_digest=uuid.uuid4().bytes,
        auth_method="otp",
        created_at=now,
        last_used_at=now,
        authenticated_at=now,
    )


def customer(user: User, number: int = 0) -> Customer:
    return Customer.objects.get_or_create(id=user.stripe_customer_id, livemode=False)[0]


def subscription(user: User, number: int) -> Subscription:
    stripe_data = {"status": "active", "items": {"data": []}}
    return Subscription.objects.create(
        id=f"sub_{number}", customer=customer(user), stripe_data=stripe_data
    )


def charge(user: User, number: int) -> Charge:
    stripe_data = {"status": "succeeded", "amount": 1990, "currency": "usd"}
    return Charge.objects.create(
        id=f"ch_{number}", customer=customer(user), stripe_data=stripe_data, amount=19
    )


def dispute(user: User, number: int) -> Dispute:
    stripe_data = {"status": "lost", "amount": 1990, "currency": "usd"}
    return Dispute.objects.create(id=f"dp_{number}", stripe_data=stripe_data)


def stripe_event(user: User, number: int) -> Event:
    return Event.objects.create(id=f"evt_{number}", type="charge.refunded", data={})


def delivery(user: User, number: int) -> WebhookEventTrigger:
    return WebhookEventTrigger.objects.create(
        remote_ip="192.0.2.1",
        headers={},
        body="{}",
        valid=True,
        exception="It failed.",
        event=stripe_event(user, number),
    )


def failed_task(user: User, number: int) -> TaskResult:
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "/app/messaging/tasks.py", line 12, in generate_reply\n'
        "    raise ValueError(text)\n"
        "ValueError: my secret diary\nsecond line of my secret diary\n"
    )
    return TaskResult.objects.create(
        task_id=f"task-{number}",
        task_name="messaging.tasks.generate_reply",
        status="FAILURE",
        result='{"exc_type": "ValueError", "exc_message": ["my secret diary"]}',
        traceback=traceback,
    )


def uploading(user: User, number: int) -> File:
    now = timezone.now()
    return File.objects.create(
        user=user, status="receiving", size=1, created_at=now, lease_expires_at=now
    )


MAKERS: dict[type[Model], Any] = {
    User: lambda user, number: user,
    OneTimeCode: code,
    Session: session,
    AuditEvent: lambda user, number: AuditEvent.objects.record(
        AccountAction.SIGNED_IN, user_id=user.pk, client=Client(ip="203.0.113.5")
    ),
    Chatroom: lambda user, number: make_room(user, title=f"Room {number}"),
    Message: lambda user, number: failed_reply(user),
    GeminiModel: lambda user, number: GeminiModel.objects.create(name=f"model-{number}"),
    File: uploading,
    DailyQuota: lambda user, number: DailyQuota.objects.create(
        user=user, day=timezone.now().date(), used=1
    ),
    UsageRecord: usage,
    Grant: lambda user, number: Grant.objects.create(
        user=user, until=timezone.now() + timedelta(days=1), reason="x", granted_by=user
    ),
    Flag: lambda user, number: Flag.objects.create(
        kind="refund", stripe_id=f"ch_{number}", user=user, note="x"
    ),
    Customer: customer,
    Subscription: subscription,
    CheckoutSession: lambda user, number: CheckoutSession.objects.create(
        id=f"cs_{number}", customer=customer(user), stripe_data={"status": "open"}
    ),
    Charge: charge,
    Dispute: dispute,
    Event: stripe_event,
    WebhookEventTrigger: delivery,
    TaskResult: failed_task,
}
