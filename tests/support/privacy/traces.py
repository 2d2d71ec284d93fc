"""A person with a trace in every table, and a search for traces."""

import uuid
from collections.abc import Iterator

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django_celery_results.models import TaskResult
from psycopg import sql

from accounts.models import OneTimeCode, User
from billing.models import UsageRecord
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from messaging.conversation import actions
from messaging.models import Message
from messaging.streaming.buffer import Position, begin, publish_end
from privacy.export import build_export
from privacy.models import DataExport
from tests.support.accounts.sign_in import NUMBER, api_with, code_for, post, sign_in
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.messaging.rooms import exchange, make_room, url_of
from tests.support.payments import deliver_all, pro

URL = "/api/v1/user/me"
NAME = "Wilhelmina Xanthopoulou"
TEXT = "zygomorphic"


def leave_traces(stripe: FakeStripe) -> User:
    """Somebody who has left a trace wherever this program keeps anything."""
    tokens = sign_in(NUMBER)
    api = api_with(tokens["access_token"])
    api.patch(URL, {"name": NAME})
    subscription = pro(api, stripe)
    stripe.change(subscription["id"])
    charge = stripe.charge(subscription["customer"])
    stripe.refund(charge["id"])
    stripe.dispute(charge["id"])
    deliver_all(stripe)
    user = User.objects.get(mobile=NUMBER)
    room = make_room(user, title=f"{TEXT} title", system_prompt=f"{TEXT} system")
    reply = exchange(room, f"{TEXT} prompt", f"{TEXT} answer")
    actions.rate(reply=Message.objects.get(pk=reply.pk), rating=1, comment=f"{TEXT} comment")
    api.post(url_of(room), {"prompt": f"{TEXT} keyed"}, headers={"Idempotency-Key": f"{TEXT} key"})
    use(user, reply_id=reply.pk)
    pipe = client().pipeline()
    begin(pipe, reply.pk, 1)
    pipe.xadd(f"reply:{reply.pk}", {"text": f"{TEXT} answer"}, id="1-5")
    pipe.execute()
    publish_end(reply.pk, Position(1, 5))
    api.get("/api/v1/chatroom/")
    leave_traces_in_admin(user, room)
    export, _ = DataExport.objects.get_or_start(user)
    build_export(export_id=export.pk)
    post("auth/login", {"mobile": NUMBER, "password": "wrong one"})
    code_for(NUMBER)
    user.refresh_from_db()
    return user


def use(user: User, *, reply_id: uuid.UUID) -> None:
    """Note the use of tokens that a reply took."""
    UsageRecord.objects.create(
        user_id=user.pk,
        reply_id=reply_id,
        attempt=1,
        model="m",
        outcome="complete",
        prompt_tokens=1,
        output_tokens=2,
        cached_tokens=0,
        thinking_tokens=0,
        search_queries=3,
        cost_micro_usd=5,
        estimated=False,
    )


def leave_traces_in_admin(user: User, room: Chatroom) -> None:
    for changed in (user, room, OneTimeCode.objects.filter(mobile=user.mobile).first()):
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(changed),
            object_id=changed.pk,
            object_repr=str(changed),
            action_flag=CHANGE,
        )
    store = SessionStore()
    store["_auth_user_id"] = str(user.pk)
    store.create()
    TaskResult.objects.create(task_id="1", result=f"Key (user_id)=({user.pk}) is not present")
    TaskResult.objects.create(task_id="2", traceback=f"No such customer: {user.stripe_customer_id}")
    TaskResult.objects.create(task_id="3", result="Something else")


def names_of(user: User) -> list[str]:
    national = user.mobile.removeprefix("+91")
    return [str(user.pk), user.pk.hex, national, NAME, TEXT, str(user.stripe_customer_id)]


def rows_that_tell(names: list[str]) -> dict[str, int]:
    """Count the rows of each table with any of these texts, in any column."""
    found = {}
    patterns = [f"%{name}%" for name in names]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            look = sql.SQL("SELECT count(*) FROM {} AS whole WHERE whole::text ILIKE ANY (%s)")
            cursor.execute(look.format(sql.Identifier(table)), [patterns])
            if count := cursor.fetchone()[0]:
                found[table] = count
    return found


def redis_values() -> Iterator[str]:
    """Every key with its whole value, of any type."""
    read = {
        "string": client().get,
        "list": lambda key: client().lrange(key, 0, -1),
        "set": client().smembers,
        "zset": lambda key: client().zrange(key, 0, -1, withscores=True),
        "hash": client().hgetall,
        "stream": client().xrange,
    }
    for key in client().scan_iter():
        yield f"{key} {read[client().type(key)](key)}"


def keys_that_tell(names: list[str]) -> list[str]:
    return [text for text in redis_values() if any(name in text for name in names)]
