"""Measure the pages of the back office as data grows: `make bench ARGS=back-office`, on Linux.

Two databases are on one server, each with a web process. The large one has 5,000,000 messages and
200,000 users, the small one 1,000 of each. Every page is opened on both in turns, for several
rounds. The table gives the medians, and ratios within a round. The overview reads the rollup; the
time of the rollup is measured too. PostgreSQL makes the rows, since `demo_data` would take an hour.
Do nothing else on the machine meanwhile.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg

from dev.bench.support.connection import Connection
from dev.bench.support.program import Program
from dev.bench.support.table import Row, as_json, as_markdown, machine

MESSAGES_IN_A_ROOM = 50
AT_ONCE = 500_000
# Staff, with a browser session after the second factor.
SIGN_IN = """
from importlib import import_module
from django.conf import settings
from django_otp.plugins.otp_totp.models import TOTPDevice
from accounts.models import User
user = User.objects.create_superuser("+12025550199", "correct horse battery")
device = TOTPDevice.objects.create(user=user, name="authenticator", confirmed=True)
session = import_module(settings.SESSION_ENGINE).SessionStore()
session["_auth_user_id"] = str(user.pk)
session["_auth_user_backend"] = settings.AUTHENTICATION_BACKENDS[0]
session["_auth_user_hash"] = user.get_session_auth_hash()
session["otp_device_id"] = device.persistent_id
session.create()
print(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
"""
# The statements below name only the columns that matter for the pages.
DEFAULTS = """
from django.apps import apps
from django.db import connection
with connection.cursor() as cursor:
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.has_default() and not callable(field.default):
                value = field.get_db_prep_save(field.default, connection)
                cursor.execute(
                    f'ALTER TABLE "{model._meta.db_table}" ALTER "{field.column}" SET DEFAULT %s',
                    [value],
                )
"""
ROLL_UP = """
import time
from django.utils import timezone
from backoffice.dashboard.rollup import update_daily_metrics
update_daily_metrics(now=timezone.now())
started = time.perf_counter()
update_daily_metrics(now=timezone.now())
print(time.perf_counter() - started)
"""
# UUIDs of version 7 in the order of the numbers, `span` of them over the past thirty days.
FUNCTIONS = """
CREATE FUNCTION pg_temp.moment(n bigint, span bigint) RETURNS timestamptz LANGUAGE sql STABLE
RETURN current_setting('bench.now')::timestamptz - interval '30 days'
    + n * (interval '30 days' / span);
CREATE FUNCTION pg_temp.key(kind int, n bigint, span bigint) RETURNS uuid LANGUAGE sql STABLE
RETURN (lpad(to_hex((1000 * extract(epoch FROM pg_temp.moment(n, span)))::bigint), 12, '0')
    || '7000' || to_hex(8 + kind) || lpad(to_hex(n), 15, '0'))::uuid
"""
USERS = """
INSERT INTO accounts_user (id, password, is_superuser, mobile, name, tier, is_verified, is_active,
    is_staff, tier_disagrees, stripe_customer_id, created_at, last_seen_at)
SELECT pg_temp.key(0, n, %(users)s), '!', false, '+9198' || lpad(n::text, 8, '0'), 'User ' || n,
    CASE WHEN n %% 10 = 0 THEN 'pro' ELSE 'basic' END, true, n %% 10 <> 7, false, n < 500,
    CASE WHEN n %% 10 = 0 THEN 'cus_' || n END, pg_temp.moment(n, %(users)s), now()
FROM generate_series(0, %(users)s - 1) AS n;

INSERT INTO accounts_session (id, user_id, refresh_digest, created_at, last_used_at, user_agent,
    channel, auth_method, authenticated_at, revoked_reason)
SELECT pg_temp.key(0, n, %(users)s), pg_temp.key(0, n, %(users)s), decode(md5(n::text), 'hex'),
    now(), now(), 'bench', 'api', 'otp', now(), ''
FROM generate_series(0, %(users)s - 1) AS n;

INSERT INTO accounts_auditevent (id, action, user_id, mobile_digest, actor, target, request_id,
    details, created_at)
SELECT pg_temp.key(0, n, 2 * %(users)s),
    CASE WHEN n %% 10 = 0 THEN 'code_sent' ELSE 'signed_in' END,
    pg_temp.key(0, n %% %(users)s, %(users)s), '', '', '', 'request-' || n, '{}',
    pg_temp.moment(n, 2 * %(users)s)
FROM generate_series(0, 2 * %(users)s - 1) AS n;

INSERT INTO accounts_auditaddress (event_id, user_id, ip, created_at)
SELECT id, user_id, '203.0.113.5', created_at FROM accounts_auditevent;

INSERT INTO accounts_onetimecode (id, mobile, salt, created_at, expires_at, ended_at, ending,
    delivery_status, delivery_tries, delivery_error, next_delivery_at)
SELECT pg_temp.key(0, n, %(users)s), '+9198' || lpad(n::text, 8, '0'), 'salt', now(), now(),
    now(), 'used', CASE WHEN n %% 10 = 0 THEN 'failed' ELSE 'sent' END, 1, '', now()
FROM generate_series(0, %(users)s - 1) AS n;

INSERT INTO billing_dailyquota (user_id, day, used)
SELECT pg_temp.key(0, n, %(users)s), now()::date, 1 FROM generate_series(0, %(users)s - 1) AS n;

INSERT INTO billing_grant (user_id, until, reason, created_at)
SELECT pg_temp.key(0, n, %(users)s), now() + interval '1 day', 'bench', now()
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO billing_flag (kind, stripe_id, user_id, note, created_at)
SELECT 'refund', 'ch_' || n, pg_temp.key(0, n, %(users)s), 'bench', now()
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO djstripe_customer (djstripe_created, djstripe_updated, id, stripe_data, email, livemode,
    created)
SELECT now(), now(), 'cus_' || n, '{}', '', false, now()
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO djstripe_subscription (djstripe_created, djstripe_updated, id, customer_id, stripe_data,
    livemode, created)
SELECT now(), now(), 'sub_' || n, 'cus_' || n, jsonb_build_object('status', 'active', 'items',
    jsonb_build_object('data', jsonb_build_array(jsonb_build_object('quantity', 1,
    'current_period_end', 1900000000, 'price', jsonb_build_object('id', 'price_pro', 'currency',
    'usd', 'unit_amount', 1990, 'recurring', jsonb_build_object('interval', 'month',
    'interval_count', 1)))))), false, now()
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO djstripe_event (djstripe_created, djstripe_updated, id, stripe_data, api_version, data,
    type, livemode, created, request_id, idempotency_key)
SELECT now(), now(), 'evt_' || n, '{}', '', '{}', 'invoice.paid', false, now(), '', ''
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO djstripe_webhookeventtrigger (remote_ip, headers, body, valid, processed, exception,
    traceback, djstripe_version, created, updated, event_id)
SELECT '192.0.2.1', '{}', '{}', true, n %% 20 <> 0,
    CASE WHEN n %% 20 = 0 THEN 'It failed.' ELSE '' END, '', '2.11', now(), now(), 'evt_' || n
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding,
    result, date_done, date_created, task_name, worker)
SELECT 'task-' || n, 'FAILURE', '', '', '{}', now(), now(), 'bench', 'bench'
FROM generate_series(0, %(users)s - 1, 10) AS n;

INSERT INTO chatrooms_chatroom (id, user_id, title, is_title_given, system_prompt, pinned, archived,
    created_at, updated_at, last_message_at, message_count, characters_per_token)
SELECT pg_temp.key(0, n, %(rooms)s), pg_temp.key(0, n %% %(users)s, %(users)s), 'Room ' || n, true,
    '', false, false, pg_temp.moment(n, %(rooms)s), now(), now(), %(in_a_room)s, 4
FROM generate_series(0, %(rooms)s - 1) AS n
"""
# Prompts have even numbers and replies odd ones. A fifth of the replies failed, so a page of failed
# replies is full on the small side too.
MESSAGES = """
WITH numbered AS (
    SELECT n, n / %(in_a_room)s AS room, n %% 2 = 1 AS is_reply, n %% 10 = 1 AS has_failed,
        n >= %(messages)s - 100 AS waits
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
)
INSERT INTO messaging_message (id, chatroom_id, user_id, parent_id, sender, status, content,
    created_at, model, model_version, attempt, attempts_reset, stop_requested, started_at,
    ended_at, resend_at, error_code, error_detail, provider_code, finish_reason, rating,
    feedback_comment)
SELECT pg_temp.key(0, n, %(messages)s), pg_temp.key(0, room, %(rooms)s),
    pg_temp.key(0, room %% %(users)s, %(users)s),
    CASE WHEN n %% %(in_a_room)s > 0 THEN pg_temp.key(0, n - 1, %(messages)s) END,
    CASE WHEN is_reply THEN 'gemini' ELSE 'user' END,
    CASE WHEN NOT is_reply THEN 'complete' WHEN waits THEN 'queued' WHEN has_failed THEN 'failed'
        ELSE 'complete' END,
    repeat('x', 300), pg_temp.moment(n, %(messages)s), 'gemini-3.5-flash-lite', '', 1, 0, false,
    now(), CASE WHEN NOT (is_reply AND waits) THEN now() END,
    CASE WHEN is_reply AND waits THEN now() + interval '1 day' END,
    CASE WHEN has_failed AND NOT waits THEN (ARRAY['unavailable', 'timeout', 'interrupted',
        'blocked', 'internal'])[1 + n / 10 %% 5] ELSE '' END, '', '', '', 0, ''
FROM numbered;

INSERT INTO billing_usagerecord (user_id, purpose, reply_id, attempt, model, outcome, error_code,
    provider_code, started_at, first_token_ms, reply_ms, prompt_tokens, output_tokens,
    cached_tokens, thinking_tokens, cost_micro_usd, estimated, created_at)
SELECT pg_temp.key(0, (n / %(in_a_room)s) %% %(users)s, %(users)s), 'reply',
    pg_temp.key(0, n, %(messages)s), 1, 'gemini-3.5-flash-lite',
    CASE WHEN n %% 10 = 1 THEN 'failed' ELSE 'complete' END, '', '', now(), 200 + n %% 900,
    900 + n %% 9000, 500, 100, 0, 0, 400, false, pg_temp.moment(n, %(messages)s)
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n WHERE n %% 2 = 1
"""
STRAYS = """
SELECT count(*) FROM (SELECT * FROM messaging_message ORDER BY id DESC LIMIT 1000) AS message
LEFT JOIN accounts_user ON accounts_user.id = message.user_id
LEFT JOIN chatrooms_chatroom ON chatrooms_chatroom.id = message.chatroom_id
WHERE accounts_user.id IS NULL OR chatrooms_chatroom.id IS NULL
"""
TABLES = [
    *["accounts_user", "accounts_session", "accounts_auditevent", "accounts_onetimecode"],
    *["billing_dailyquota", "billing_grant", "billing_flag", "billing_usagerecord"],
    *["djstripe_customer", "djstripe_subscription", "djstripe_event"],
    *["djstripe_webhookeventtrigger", "django_celery_results_taskresult"],
    *["chatrooms_chatroom", "messaging_message", "messaging_geminimodel"],
]
LISTS = {
    "users, Pro": "accounts/user/?tier=pro",
    "users, disabled": "accounts/user/?state=disabled",
    "users, staff": "accounts/user/?state=staff",
    "users, tier disagrees": "accounts/user/?stripe=disagrees",
    "users, past 7 days": "accounts/user/?since=7",
    "users, a whole number": "accounts/user/?q=%2B919800000500",
    "users, a beginning that one has": "accounts/user/?q=%2B91980000050",
    "users, a beginning that all have": "accounts/user/?q=%2B9198",
    "users, the last page": "accounts/user/?p=20",
    "messages, failed": "messaging/message/?status=failed",
    "messages, failed with a code": "messaging/message/?error=timeout",
    "messages, under way": "messaging/message/?status=under_way",
    "messages, past 24 hours": "messaging/message/?since=1",
    "messages, of a user": "messaging/message/?q=%2B919800000007",
    "messages, the last page": "messaging/message/?p=20",
    "rooms, of a user": "chatrooms/chatroom/?q=%2B919800000007",
    "usage, of a user": "billing/usagerecord/?q=%2B919800000007",
    "codes, not delivered": "accounts/onetimecode/?delivery=failed",
    "audit, of a kind": "accounts/auditevent/?action=code_sent",
    "audit, of a user": "accounts/auditevent/?q=%2B919800000007",
    "deliveries, failed": "djstripe/webhookeventtrigger/?outcome=failed",
    "flags, open": "billing/flag/?state=open",
    "subscriptions, of a user": "djstripe/subscription/?q=%2B919800000500",
}


@dataclass(frozen=True, slots=True)
class Size:
    users: int
    messages: int

    def __str__(self) -> str:
        return f"{self.messages:,} messages and {self.users:,} users"


@dataclass(frozen=True, slots=True)
class Side:
    port: int
    headers: dict[str, str]
    pages: dict[str, str]


FULL, SMALL = Size(200_000, 5_000_000), Size(10_000, 100_000)
LITTLE = Size(1_000, 1_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench back-office", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--small", action="store_true", help="a fraction of it: does it all run?")
    options = parser.parse_args()
    where = machine()
    with Program(people=0) as program:
        rows = measure(program, SMALL if options.small else FULL, rounds=options.rounds)
    if options.json:
        print(json.dumps(as_json(rows, where), indent=2))
    else:
        print(as_markdown(rows), *(f"{name}: {value}" for name, value in where.items()), sep="\n")


def measure(program: Program, large: Size, *, rounds: int) -> list[Row]:
    beside = urlsplit(program.stores["DATABASE_URL"])._replace(path="/beside").geturl()
    program.database.execute("CREATE DATABASE beside")
    program.manage("migrate", "--skip-checks", DATABASE_URL=beside)
    with program.web_on(beside) as port:
        sides = [
            make_side(program, program.stores["DATABASE_URL"], program.port, large),
            make_side(program, beside, port, LITTLE),
        ]
        counted = [
            update_daily_metrics(program, url) for url in (program.stores["DATABASE_URL"], beside)
        ]
        say("Pages")
        figures: dict[str, list[list[float]]] = defaultdict(lambda: [[], []])
        for number in range(rounds):
            for what in sides[0].pages:
                for place in (0, 1) if number % 2 else (1, 0):
                    figures[what][place].append(asyncio.run(median_of(sides[place], what)))
    name = f"that of {LITTLE}"
    rows = [Row.compared(what, "ms", each[0], name, each[1]) for what, each in figures.items()]
    rows.append(Row.compared("counting today, by beat", "s", counted[:1], name, counted[1:]))
    return rows


def make_side(program: Program, database_url: str, port: int, size: Size) -> Side:
    say(f"Making {size}")
    shell = partial(program.manage, "shell", "--verbosity=0", DATABASE_URL=database_url)
    cookie = shell("--command", SIGN_IN)
    shell("--command", DEFAULTS)
    with psycopg.connect(database_url, autocommit=True) as database:
        fill(database, size)
        pages = {"the first page": "/admin/", **pages_of(database)}
    return Side(port, {"Cookie": cookie.strip()}, pages)


def fill(database: psycopg.Connection[Any], size: Size) -> None:
    # Without checks of foreign keys, which would take most of the time.
    database.execute("SET session_replication_role = replica")
    # The same moment for every statement, or ids of rows and references would differ.
    database.execute("SELECT set_config('bench.now', now()::text, false)")
    run(database, FUNCTIONS, {})
    sizes = {
        "users": size.users,
        "messages": size.messages,
        "rooms": size.messages // MESSAGES_IN_A_ROOM,
        "in_a_room": MESSAGES_IN_A_ROOM,
    }
    run(database, USERS, sizes)
    for first in range(0, size.messages, AT_ONCE):
        last = min(first + AT_ONCE, size.messages) - 1
        run(database, MESSAGES, {**sizes, "first": first, "last": last})
        say(f"  {last + 1:,} messages")
    database.execute("VACUUM ANALYZE")
    [(strays,)] = database.execute(STRAYS)
    if strays:
        raise RuntimeError("Rows were made that belong to nobody")


def run(database: psycopg.Connection[Any], statements: str, values: dict[str, int]) -> None:
    for statement in statements.split(";\n"):
        database.execute(statement, values or None)  # type: ignore[arg-type]


def pages_of(database: psycopg.Connection[Any]) -> dict[str, str]:
    """List every list page, plain and filtered, and a row's page of each."""
    pages = {}
    for table in TABLES:
        app, model = table.rsplit("_", 1)
        key = {"djstripe": "djstripe_id"}.get(app, "id")
        key = {"geminimodel": "name", "webhookeventtrigger": "id"}.get(model, key)
        [row] = database.execute(
            f"SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT 1"  # type: ignore[arg-type]  # noqa: S608
        ).fetchone() or [None]
        pages[f"list of {model}"] = f"/admin/{app}/{model}/"
        pages[f"page of {model}"] = f"/admin/{app}/{model}/{row}/change/"
    return pages | {what: f"/admin/{path}" for what, path in LISTS.items()}


def update_daily_metrics(program: Program, database_url: str) -> float:
    """Measure seconds."""
    return float(
        program.manage("shell", "--verbosity=0", "--command", ROLL_UP, DATABASE_URL=database_url)
    )


async def median_of(side: Side, what: str, times: int = 5) -> float:
    """Measure milliseconds, after a warm-up request."""
    taken = []
    async with Connection(side.port) as connection:
        for _ in range(times + 1):
            started = time.perf_counter()
            stream = connection.stream("GET", side.pages[what], headers=side.headers)
            page = b"".join([piece async for piece in stream])
            taken.append(1000 * (time.perf_counter() - started))
            if b"logout-form" not in page:
                raise RuntimeError(f"{side.pages[what]} is not the page of somebody signed in")
    return statistics.median(taken[1:])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
