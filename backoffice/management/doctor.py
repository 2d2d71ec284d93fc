"""Checks of all dependencies of the program; each fault is one sentence."""

from collections.abc import Callable
from dataclasses import dataclass

import stripe
from django.conf import settings
from django.core import checks
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts import sms
from accounts.models import User
from backoffice.dashboard.overview import STALE_AFTER
from backoffice.dashboard.rollup import QUEUE
from backoffice.management.terms import touched_terms
from backoffice.models import DailyMetrics
from backoffice.roles import ROLES
from billing.plans import plan_for_tier
from billing.stripe.client import BillingNotConfigured, PaymentUnavailable, stripe_calls
from files.models import BlobDeletion
from files.models.keys import FILES
from files.storage import blobs
from gemchat.monitoring import health
from gemchat.monitoring.clock import clock_skew
from gemchat.stores.postgres import separate_connection
from messaging.gemini import GeminiError
from messaging.gemini.model_list import ask_google
from messaging.replies.metrics import QUEUES, queue_lengths

# Access tokens and replies bear more; codes and limits are then off by as much.
MOST_SKEW_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    name: str
    ok: bool
    detail: str


class CheckFailed(Exception):
    """A fault, and advice for the repair."""


def settings_go_together() -> str:
    messages = checks.run_checks(include_deployment_checks=not settings.DEBUG)
    faults = [m for m in messages if m.level >= checks.WARNING and not m.is_silenced()]
    if faults:
        raise CheckFailed(" ".join(f"{fault.msg} ({fault.id})" for fault in faults))
    return "They go together."


def database_answers() -> str:
    """Connect with the options of web: a pooler may refuse these options alone."""
    try:
        with separate_connection(like_web=True) as opened:
            opened.execute("SELECT 1")
            version = opened.info.parameter_status("server_version")
    except Error as error:
        raise CheckFailed(f"It does not answer; see DATABASE_URL or DB_HOST: {error}") from error
    return f"PostgreSQL {version} answers."


def clock_agrees() -> str:
    try:
        seconds = clock_skew()
    except Error as error:
        raise CheckFailed("Unknown, since the database does not answer.") from error
    detail = (
        f"This machine's clock is {abs(seconds):.2f} s {'ahead of' if seconds > 0 else 'behind'}"
    )
    if abs(seconds) > MOST_SKEW_SECONDS:
        raise CheckFailed(f"{detail} PostgreSQL's. Synchronise the clocks, as by NTP.")
    return f"{detail} PostgreSQL's."


def schema_is_current() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        raise CheckFailed("Unknown, since the database does not answer.") from error
    if missing:
        raise CheckFailed(f"Migrations to apply: {len(missing)}. Run manage.py migrate.")
    return "Every migration has been applied."


def somebody_is_staff() -> str:
    try:
        held = set(User.objects.filter(is_staff=True).values_list("groups__name", flat=True))
        superusers = User.objects.filter(is_staff=True, is_superuser=True).exists()
    except Error as error:
        raise CheckFailed("Unknown, since the database does not answer.") from error
    if not superusers and not held & set(ROLES):
        raise CheckFailed(
            "Nobody may use the back office. Run manage.py createsuperuser and admin_totp."
        )
    return "Somebody may use the back office."


def redis_answers() -> str:
    if not health.redis_answers():
        raise CheckFailed("It does not answer; see REDIS_URL.")
    return "It answers."


def broker_answers() -> str:
    lengths = queue_lengths()
    if lengths is None:
        raise CheckFailed("It does not answer; see CELERY_BROKER_URL. Prompts are stored and wait.")
    return f"It answers; {lengths[QUEUE]} replies are in the queue."


def worker_is_alive() -> str:
    for queue in QUEUES:
        if not health.worker_is_alive(queue):
            raise CheckFailed(
                f"No worker of the queue {queue} has renewed its heartbeat for 30 s."
                " Start a worker."
            )
    return f"Workers of the queues {' and '.join(QUEUES)} are alive."


def beat_is_alive() -> str:
    try:
        latest = DailyMetrics.objects.order_by("-computed_at").first()
    except Error as error:
        raise CheckFailed("Unknown, since the database does not answer.") from error
    if latest is None or timezone.now() - latest.computed_at > STALE_AFTER:
        raise CheckFailed("The daily metrics are minutes old. Are beat and a worker running?")
    return f"The daily metrics are of {latest.computed_at:%H:%M:%S} UTC."


def gemini_answers() -> str:
    """Read the description of the default model, a call without cost."""
    if not settings.GOOGLE_API_KEY:
        return "No GOOGLE_API_KEY is set: replies state that they are no AI answers."
    try:
        ask_google(f"models/{settings.GEMINI_MODEL}")
    except GeminiError as error:
        raise CheckFailed(error.detail) from error
    return f"It answers and has {settings.GEMINI_MODEL}."


def stripe_answers() -> str:
    try:
        with stripe_calls():
            price = stripe.Price.retrieve(plan_for_tier(User.Tier.PRO).stripe_price_ids[0])
    except BillingNotConfigured:
        return "No STRIPE_SECRET_KEY or STRIPE_PRO_PRICE_ID is set: nothing is sold."
    except PaymentUnavailable as error:
        reason = str(error.__cause__)
        raise CheckFailed(
            f"It refuses, or does not answer; see STRIPE_SECRET_KEY: {reason}"
        ) from error
    if not price.active:
        raise CheckFailed(f"The price {price.id} is not active, so nobody can subscribe.")
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise CheckFailed("STRIPE_WEBHOOK_SECRET is not set, so nobody becomes Pro by paying.")
    return f"It answers, and sells {price.id}."


def storage_answers() -> str:
    """Ask the storage of files, and find deletions that are late."""
    try:
        blobs.folders(FILES)
    except blobs.StorageUnavailable as error:
        raise CheckFailed(
            f"It does not answer; see FILES_STORAGE_URL or FILES_ROOT: {error.__cause__}"
        ) from error
    try:
        overdue = BlobDeletion.objects.overdue(now=timezone.now()).count()
    except Error as error:
        raise CheckFailed("Unknown, since the database does not answer.") from error
    if overdue:
        raise CheckFailed(f"Bytes not deleted within an hour: {overdue}. See the worker's log.")
    return "It answers, and deletions are done."


def sms_can_be_sent() -> str:
    try:
        return sms.backend().check()
    except sms.SmsError as error:
        raise CheckFailed(
            f"Codes do not go out: {error}. See SMS_BACKEND and its settings."
        ) from error


def terms_are_known() -> str:
    """Name the terms of Google that settings touch; nobody but a person can judge them."""
    touched = touched_terms()
    if not touched:
        return "No setting touches Google's terms."
    named = "; ".join(f"{term.text} ({term.setting})" for term in touched)
    return f"Google's terms apply: {named}. See docs/operations.md."


CHECKS: dict[str, Callable[[], str]] = {
    "settings": settings_go_together,
    "database": database_answers,
    "clock": clock_agrees,
    "schema": schema_is_current,
    "staff": somebody_is_staff,
    "redis": redis_answers,
    "broker": broker_answers,
    "worker": worker_is_alive,
    "beat": beat_is_alive,
    "gemini": gemini_answers,
    "stripe": stripe_answers,
    "files": storage_answers,
    "sms": sms_can_be_sent,
    "terms": terms_are_known,
}


def run_checks() -> list[CheckResult]:
    return [_run(name, check) for name, check in CHECKS.items()]


def _run(name: str, check: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(name, True, check())
    except CheckFailed as failure:
        return CheckResult(name, False, str(failure))
