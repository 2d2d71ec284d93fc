"""The cost and the permitted roles of every page and action of the back office."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils import timezone
from django_celery_results.models import TaskResult
from djstripe.models import Customer, Subscription, WebhookEventTrigger

from accounts.models import AuditEvent, Session, User
from backoffice.dashboard.rollup import update_daily_metrics
from backoffice.pages.paginator import MAX_PAGED_ROWS, EstimatingPaginator
from billing.models import DailyQuota, Flag, Grant, UsageRecord
from chatrooms.models import Chatroom
from files.models import File
from messaging.models import GeminiModel, Message
from tests.support.backoffice.staff_client import act, url
from tests.support.backoffice.staff_rows import MAKERS, make_row

ROLES = ["Support", "Billing", "Ops", "Read-only"]
OURS = {
    model for model in MAKERS if model._meta.app_label not in ("djstripe", "django_celery_results")
}
MIRROR = {model for model in MAKERS if model._meta.app_label == "djstripe"}
SEEN = {
    "Support": OURS,
    "Billing": OURS | MIRROR,
    "Ops": OURS | {TaskResult},
    "Read-only": OURS,
}

SUPPORT, BILLING, OPS = "Support", "Billing", "Ops"
# The permitted roles, by page and action.
MAY = {
    (User, "disable"): {SUPPORT},
    (User, "enable"): {SUPPORT},
    (User, "end_sessions"): {SUPPORT},
    (User, "send_code"): {SUPPORT},
    (User, "clear_lockouts"): {SUPPORT},
    (User, "export"): {SUPPORT},
    (User, "grant_pro"): {BILLING},
    (User, "reset_quota"): {SUPPORT, BILLING},
    (User, "resync"): {BILLING},
    (User, "cancel_subscription"): {BILLING},
    (User, "resume_subscription"): {BILLING},
    (User, "erase"): {SUPPORT},
    (Message, "retry"): {SUPPORT, OPS},
    (Grant, "end"): {BILLING},
    (Flag, "resolve"): {BILLING},
    (Customer, "resync"): {BILLING},
    (Customer, "cancel_subscription"): {BILLING},
    (Customer, "resume_subscription"): {BILLING},
    (Subscription, "resync"): {BILLING},
    (Subscription, "cancel_subscription"): {BILLING},
    (Subscription, "resume_subscription"): {BILLING},
    (WebhookEventTrigger, "replay"): {BILLING},
}
MORE_FIELDS = {"grant_pro": {"until": "2999-01-01"}, "erase": {"understood": "on"}}

# Queries of a page, beside those of the list: the same for every list.
LIST_QUERIES = 4
# With the prices of the listed models.
MODEL_LIST_QUERIES = 5
PAGE_QUERIES = {
    User: 10,
    **dict.fromkeys([Session, Chatroom, DailyQuota, File, UsageRecord, Flag], 4),
    WebhookEventTrigger: 4,
    GeminiModel: 6,
    **dict.fromkeys([Grant, Message], 5),
}
MOST_QUERIES = 3

roles = pytest.mark.parametrize("role", ROLES)


@pytest.fixture
def rows(db):
    """A row of everything."""
    return {model: make_row(model, number) for number, model in enumerate(MAKERS)}


def queries_of(browser, path) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(path).status_code == 200, path
    return len(captured)


def test_every_page_and_action_is_tested_here():
    assert set(admin.site._registry) == set(MAKERS)
    actions = {
        (model, action.name)
        for model, page in admin.site._registry.items()
        for action in page.staff_actions
    }
    assert actions == set(MAY)


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model._meta.label)
def test_page_costs_the_same_few_queries_however_many_rows(staff_client, model):
    row = make_row(model, 0)
    paths = url(model), url(model, "change", row.pk)
    for path in paths:  # content types are asked for once a process
        staff_client.get(path)
    few = [queries_of(staff_client, path) for path in paths]

    for number in range(1, 12):
        make_row(model, number)

    assert [queries_of(staff_client, path) for path in paths] == few
    of_list = MODEL_LIST_QUERIES if model is GeminiModel else LIST_QUERIES
    assert few == [of_list, PAGE_QUERIES.get(model, MOST_QUERIES)]


def test_first_page_costs_few_queries(staff_client):
    update_daily_metrics(now=timezone.now())

    assert queries_of(staff_client, reverse("admin:index")) <= 5


@roles
def test_role_sees_its_lists_and_no_others(staff_client_for, role, rows):
    browser = staff_client_for(role)

    seen = {model: browser.get(url(model)).status_code for model in rows}

    assert seen == {model: 200 if model in SEEN[role] else 403 for model in rows}


# Together they see every page, and each is refused some.
@pytest.mark.parametrize("role", [BILLING, OPS])
def test_role_sees_the_rows_of_its_lists_and_no_others(staff_client_for, role, rows):
    browser = staff_client_for(role)

    seen = {
        model: [
            browser.get(url(model, "change", row.pk)).status_code,
            browser.get(url(model, "history", row.pk)).status_code,
        ]
        for model, row in rows.items()
    }

    assert seen == {model: [200, 302] if model in SEEN[role] else [403, 403] for model in rows}


@roles
def test_role_adds_changes_and_deletes_nothing_but_models(staff_client_for, role, rows):
    browser = staff_client_for(role)

    edits = {
        model: [
            browser.post(url(model, "add"), {"name": "x"}).status_code,
            browser.post(url(model, "change", row.pk), {"name": "x"}).status_code,
            browser.post(url(model, "delete", row.pk), {"post": "yes"}).status_code,
        ]
        for model, row in rows.items()
    }

    may = {GeminiModel: [200, 200, 403]} if role == OPS else {}
    assert edits == {model: may.get(model, [403, 403, 403]) for model in rows}
    assert all(model.objects.filter(pk=row.pk).exists() for model, row in rows.items())


@roles
def test_role_does_what_it_may_and_nothing_else_by_hand(staff_client_for, role):
    browser = staff_client_for(role)
    done = {}
    for number, (model, action) in enumerate(MAY):
        row = make_row(model, number)
        before = AuditEvent.objects.count()
        answer = act(browser, action, row, **MORE_FIELDS.get(action, {}))
        done[model, action] = (answer.status_code, AuditEvent.objects.count() > before)

    assert done == {
        each: (200, True) if role in allowed else (403, False) for each, allowed in MAY.items()
    }


@roles
def test_no_role_has_dj_stripes_own_urls(staff_client_for, role):
    row = make_row(Subscription, 0)
    browser = staff_client_for(role)

    for path in ("action/_cancel/subscription/", "action/_resync_instances/", "x"):
        answer = browser.post(
            f"/admin/djstripe/subscription/{path}", {"_selected_action": [row.pk]}
        )
        assert answer.status_code in (302, 403, 404)

    assert Subscription.objects.get().stripe_data["status"] == "active"
    assert resolve("/admin/djstripe/subscription/action/x/").func.__module__.startswith("django.")


@roles
def test_lists_are_exported_by_billing_and_ops_alone(staff_client_for, role, rows):
    browser = staff_client_for(role)

    files = {model: browser.post(url(model, "export"), {"reason": "asked to"}) for model in rows}

    may = {model for model in rows if role in (BILLING, OPS) and model in SEEN[role]}
    assert {model for model, answer in files.items() if answer.status_code == 200} == may
    assert all(files[model].status_code == 403 for model in rows if model not in may)
    assert AuditEvent.objects.filter(action="rows_exported").count() == len(may)
    for model in may:
        assert b"".join(files[model].streaming_content).count(b"\n") >= 2, model


@roles
@pytest.mark.parametrize("model", [Chatroom, Message])
def test_content_is_read_by_support_alone(staff_client_for, role, model):
    row = make_row(model, 0)
    browser = staff_client_for(role)

    answer = browser.post(url(model, "content", row.pk), {"reason": "complaint"})

    assert answer.status_code == (200 if role == SUPPORT else 403)
    assert AuditEvent.objects.filter(action="content_read").exists() == (role == SUPPORT)


def test_pages_are_for_staff_alone(client, alice, settings, rows):
    settings.DEBUG = True
    client.force_login(alice)

    for model, row in rows.items():
        assert client.get(url(model)).status_code == 302
        assert client.get(url(model, "change", row.pk)).status_code == 302
        assert client.post(url(model, "export")).status_code == 302


def test_long_list_is_counted_up_to_a_bound_and_then_estimated(db):
    now = timezone.now()
    user = make_row(User, 0)
    UsageRecord.objects.bulk_create(
        UsageRecord(
            user=user,
            reply_id=row.pk,
            attempt=1,
            model="m",
            outcome="complete",
            prompt_tokens=1,
            output_tokens=1,
            cached_tokens=0,
            thinking_tokens=0,
            cost_micro_usd=0,
            estimated=False,
            created_at=now,
        )
        for row in (Chatroom() for _ in range(MAX_PAGED_ROWS + 500))
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_usagerecord")

    paginator = EstimatingPaginator(UsageRecord.objects.order_by("-pk"), 50)

    assert paginator.count == MAX_PAGED_ROWS
    assert paginator.estimated_total == MAX_PAGED_ROWS + 500


def test_short_list_is_counted_and_not_estimated(db):
    make_row(DailyQuota, 0)

    paginator = EstimatingPaginator(DailyQuota.objects.order_by("-pk"), 50)

    assert (paginator.count, paginator.estimated_total) == (1, None)
