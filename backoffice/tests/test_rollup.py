"""The figures of the first page: each count of a day gives the same."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from backoffice.dashboard.charts import Chart, format_number
from backoffice.dashboard.overview import overview
from backoffice.dashboard.rollup import update_daily_metrics, waiting
from backoffice.models import DAYS, DailyMetrics
from billing.models import UsageRecord
from billing.stripe.revenue import monthly_revenue
from messaging.models import Findings, Message, ModelFinding
from tests.support.backoffice.staff_rows import customer, failed_reply, make_user
from tests.support.messaging.rooms import exchange, make_room
from tests.support.messaging.worker import post

pytestmark = pytest.mark.django_db

TOOLS = {
    "tool_prompt_tokens": 4,
    "audio_tokens": 5,
    "search_queries": 2,
    "search_cost_micro_usd": 3,
}


def used(user: User, *, at: datetime, **fields: Any) -> UsageRecord:
    record = UsageRecord.objects.create(
        **{
            "user": user,
            "reply_id": uuid.uuid4(),
            "attempt": 1,
            "model": "gemini-a",
            "outcome": "complete",
            "prompt_tokens": 100,
            "output_tokens": 10,
            "cached_tokens": 0,
            "thinking_tokens": 0,
            "cost_micro_usd": 7,
            "estimated": False,
            **fields,
        }
    )
    UsageRecord.objects.filter(pk=record.pk).update(created_at=at)
    return record


def counted(day_offset: int = 0) -> DailyMetrics:
    return DailyMetrics.objects.get(day=timezone.now().date() - timedelta(days=day_offset))


def test_today_is_counted(alice: User, bob: User, carol: User) -> None:
    now = timezone.now()
    exchange(make_room(alice))
    for milliseconds in (100, 200, 300):
        used(alice, at=now, first_token_ms=milliseconds, reply_ms=10 * milliseconds, **TOOLS)
    used(bob, at=now, outcome="failed", error_code="timeout", model="gemini-b")

    update_daily_metrics(now=now)

    today = counted()
    assert (today.new_users, today.active_users, today.sends) == (3, 2, 1)
    assert today.outcomes == {"complete": 3, "failed": 1}
    assert today.errors == {"timeout": 1}
    assert (today.first_token_p50, today.first_token_p95) == (200, 290)
    assert (today.reply_p50, today.reply_p95) == (2000, 2900)
    assert today.by_model["gemini-a"] == {
        "replies": 3,
        "prompt_tokens": 300,
        "output_tokens": 30,
        "tool_prompt_tokens": 12,
        "audio_tokens": 15,
        "search_queries": 6,
        "cost_micro_usd": 21,
        "search_cost_micro_usd": 9,
    }
    assert today.pro_users == 1


def test_counting_again_counts_nothing_twice(alice: User) -> None:
    now = timezone.now()
    used(alice, at=now)

    for _ in range(3):
        update_daily_metrics(now=now)

    assert counted().outcomes == {"complete": 1}
    assert DailyMetrics.objects.count() == DAYS


def test_day_that_is_over_is_counted_for_good_once_and_kept() -> None:
    noon = datetime(2026, 5, 5, 12, tzinfo=UTC)
    user = make_user(1)
    used(user, at=noon - timedelta(days=1))
    update_daily_metrics(now=noon)
    used(user, at=noon - timedelta(days=1))

    stale_days = update_daily_metrics(now=noon)

    assert stale_days == [noon.date()]
    assert DailyMetrics.objects.get(day="2026-05-04").outcomes == {"complete": 1}


def test_replies_that_end_at_midnight_are_still_counted_for_an_hour() -> None:
    midnight = datetime(2026, 5, 5, tzinfo=UTC)
    update_daily_metrics(now=midnight - timedelta(minutes=1))
    used(make_user(1), at=midnight - timedelta(seconds=1))

    update_daily_metrics(now=midnight + timedelta(minutes=2))

    assert DailyMetrics.objects.get(day="2026-05-04").outcomes == {"complete": 1}


def test_days_that_beat_missed_are_counted_later(alice: User) -> None:
    now = timezone.now()
    update_daily_metrics(now=now)
    DailyMetrics.objects.filter(day__gte=now.date() - timedelta(days=4)).delete()
    used(alice, at=now - timedelta(days=3))

    update_daily_metrics(now=now)

    assert counted(3).outcomes == {"complete": 1}
    assert counted(3).pro_users is None


def test_what_is_known_of_a_moment_is_kept_when_its_day_is_counted_again() -> None:
    midnight = datetime(2026, 5, 5, tzinfo=UTC)
    User.objects.create_user("+919800000003", tier="pro")
    update_daily_metrics(now=midnight - timedelta(minutes=1))
    User.objects.update(tier="basic")

    update_daily_metrics(now=midnight + timedelta(minutes=2))

    assert DailyMetrics.objects.get(day="2026-05-04").pro_users == 1
    assert DailyMetrics.objects.get(day="2026-05-05").pro_users == 0


@pytest.mark.parametrize(
    ("interval", "count", "amount", "monthly"),
    [("month", 1, 1990, 1990), ("year", 1, 12000, 1000), ("month", 3, 3000, 1000)],
)
def test_revenue_is_of_a_month(interval: str, count: int, amount: int, monthly: int) -> None:
    subscribe(1, "active", interval=interval, interval_count=count, amount=amount)
    subscribe(2, "canceled", interval=interval, interval_count=count, amount=amount)

    assert monthly_revenue() == {"usd": monthly}


def subscribe(number: int, status: str, *, interval: str, interval_count: int, amount: int) -> None:
    recurring = {"interval": interval, "interval_count": interval_count}
    price = {"id": "p", "currency": "usd", "unit_amount": amount, "recurring": recurring}
    customer(make_user(number)).subscriptions.create(
        id=f"sub_{number}",
        stripe_data={"status": status, "items": {"data": [{"price": price, "quantity": 1}]}},
    )


def test_queue_is_looked_at_as_it_is(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    assert waiting().queued == 0
    assert waiting().oldest_seconds is None

    with django_capture_on_commit_callbacks(execute=True):
        reply = post(make_room(alice))
    Message.objects.filter(pk=reply.pk).update(created_at=timezone.now() - timedelta(seconds=90))

    assert waiting().queued == 1
    assert 90 <= waiting().oldest_seconds < 120


def test_reply_that_staff_sent_again_is_nobody_who_waits(alice: User) -> None:
    reply = failed_reply(alice, created_at=timezone.now() - timedelta(days=3))
    Message.objects.requeue_failed(reply_id=reply.pk)

    assert waiting().oldest_seconds is None


def test_queue_of_a_broker_that_is_down_is_unknown(settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    assert waiting().queued is None


def test_first_page_draws_thirty_days(staff_client: Any, alice: User) -> None:
    now = timezone.now()
    used(alice, at=now, first_token_ms=1500)
    used(alice, at=now - timedelta(days=2), first_token_ms=700)
    update_daily_metrics(now=now)

    page = staff_client.get("/admin/").content.decode()

    assert page.count('role="img"') == 9
    assert "As of " in page
    assert "95th percentile 1.5 s" in page
    assert " style=" not in page
    assert "<style" not in page


def test_first_page_has_queries_and_cost_of_tools_by_model(staff_client: Any, alice: User) -> None:
    now = timezone.now()
    cost = {"cost_micro_usd": 60_000, "search_cost_micro_usd": 42_000}
    used(alice, at=now, **{**TOOLS, **cost, "search_queries": 3})
    # A day that an older version has computed.
    used(alice, at=now - timedelta(days=1))
    update_daily_metrics(now=now)
    old = counted(1)
    old.by_model["gemini-a"] = dict.fromkeys(
        ["replies", "prompt_tokens", "output_tokens", "cost_micro_usd"], 1
    )
    old.save()

    page = staff_client.get("/admin/").content.decode()

    assert page.count('role="img"') == 13
    assert "Search queries by model" in page
    cells = [f"<td>{text}</td>" for text in ("3", "0.04 USD", "0.06 USD", "4", "5")]
    assert [cell for cell in cells if cell not in page] == []
    figures = {row.name: (row.today, row.yesterday) for row in overview().comparisons}
    assert figures["Search queries"] == ("3", "0")
    assert figures["Cost of search"] == ("0.04 USD", "0 USD")


def test_first_page_says_when_beat_has_stopped(staff_client: Any) -> None:
    assert "There are no figures yet" in staff_client.get("/admin/").content.decode()

    update_daily_metrics(now=timezone.now() - timedelta(minutes=20))

    assert "Is beat running?" in staff_client.get("/admin/").content.decode()


def test_first_page_names_findings_about_models_only_if_any(staff_client: Any) -> None:
    link = '<a href="/admin/messaging/geminimodel/">See the models</a>'
    before = staff_client.get("/admin/").content.decode()
    ModelFinding.objects.replace(Findings(["gemini-8", "gemini-9"], [], ["<b>gemini-x"]))

    page = staff_client.get("/admin/").content.decode()

    assert link not in before
    assert link in page
    assert "New at Google: gemini-8, gemini-9." in page
    assert "Without a price: &lt;b&gt;gemini-x." in page
    assert "Not in Google" not in page


def test_names_of_models_are_inert_in_charts(staff_client: Any, alice: User) -> None:
    used(alice, at=timezone.now(), model="</svg><script>alert(1)</script>")
    update_daily_metrics(now=timezone.now())

    assert "<script>alert(1)" not in staff_client.get("/admin/").content.decode()


def chart(kind: str, **series: list[float | None]) -> Chart:
    first = datetime(2026, 5, 1, tzinfo=UTC).date()
    length = len(next(iter(series.values())))
    days = [first + timedelta(days=number) for number in range(length)]
    return Chart("Things", "", kind, days, series)


def test_bars_stand_on_one_another() -> None:
    bars = chart("bars", low=[2], high=[3]).bars

    assert bars[0]["y"] == pytest.approx(bars[1]["y"] + bars[1]["height"], abs=0.2)


def test_line_is_broken_where_nothing_is_known() -> None:
    lines = chart("lines", things=[1, 2, None, 3]).lines

    assert [len(line["points"].split()) for line in lines] == [2, 1]
    assert lines[1]["dot"]


@pytest.mark.parametrize("values", [[], [None], [0, 0]])
def test_chart_without_anything_is_drawn(values: list[float | None]) -> None:
    drawn = chart("bars", things=values or [0])

    assert drawn.top == 1
    assert drawn.bars == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (1234, "1,234"), (12_345, "12.3k"), (2_500_000, "2.5M")],
)
def test_figures_are_short(value: float, text: str) -> None:
    assert format_number(value) == text
