"""The dashboard: figures and charts of the first page, read from daily metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from backoffice.dashboard.charts import Chart, format_number
from backoffice.dashboard.rollup import Waiting, waiting
from backoffice.models import DailyMetrics
from messaging.models import ModelFinding

CHART_DAYS = 30
# Beat computes every minute; a few late runs are normal.
STALE_AFTER = timedelta(minutes=5)
CHARTED_MODELS = 5

Figure = Callable[[DailyMetrics], float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of today beside the same figure of all of yesterday."""

    name: str
    today: str
    yesterday: str


@dataclass(frozen=True, slots=True)
class Overview:
    as_of: datetime | None
    is_stale: bool
    waiting: Waiting
    comparisons: list[Comparison]
    charts: list[Chart]
    # Names of models by the kind of a finding; empty without findings.
    findings: dict[str, list[str]]


def overview() -> Overview:
    now = timezone.now()
    days = [now.date() - timedelta(days=back) for back in range(CHART_DAYS - 1, -1, -1)]
    counted = {row.day: row for row in DailyMetrics.objects.filter(day__gte=days[0])}
    as_of = max((row.computed_at for row in counted.values()), default=None)
    return Overview(
        as_of=as_of,
        is_stale=as_of is None or now - as_of > STALE_AFTER,
        waiting=waiting(),
        comparisons=comparisons(counted.get(days[-1]), counted.get(days[-2])),
        charts=charts(days, counted),
        findings=model_findings(),
    )


def model_findings() -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for finding in ModelFinding.objects.order_by("kind", "name"):
        named.setdefault(finding.get_kind_display(), []).append(finding.name)
    return named


FIGURES: list[tuple[str, Figure, str]] = [
    ("New users", lambda row: row.new_users, ""),
    ("Active users", lambda row: row.active_users, ""),
    ("Prompts sent", lambda row: row.sends, ""),
    ("Replies complete", lambda row: row.outcomes.get("complete", 0), ""),
    ("Replies failed", lambda row: row.outcomes.get("failed", 0), ""),
    ("Replies stopped", lambda row: row.outcomes.get("stopped", 0), ""),
    ("First token, median", lambda row: seconds(row.first_token_p50), " s"),
    ("First token, 95th percentile", lambda row: seconds(row.first_token_p95), " s"),
    ("Whole reply, median", lambda row: seconds(row.reply_p50), " s"),
    ("Whole reply, 95th percentile", lambda row: seconds(row.reply_p95), " s"),
    ("Tokens", lambda row: row.tokens, ""),
    ("Tool tokens", lambda row: row.total("tool_prompt_tokens"), ""),
    ("Audio tokens", lambda row: row.total("audio_tokens"), ""),
    ("Search queries", lambda row: row.total("search_queries"), ""),
    ("Cost", lambda row: dollars(row.total("cost_micro_usd")), " USD"),
    ("Cost of search", lambda row: dollars(row.total("search_cost_micro_usd")), " USD"),
    ("Pro users", lambda row: row.pro_users, ""),
]

# Charts by model, drawn once a model has used a tool: title, unit, figure and divisor.
TOOL_FIGURES = [
    ("Tool tokens by model", "", "tool_prompt_tokens", 1),
    ("Audio tokens by model", "", "audio_tokens", 1),
    ("Search queries by model", "", "search_queries", 1),
    ("Cost of search by model", " USD", "search_cost_micro_usd", 1_000_000),
]


def comparisons(today: DailyMetrics | None, yesterday: DailyMetrics | None) -> list[Comparison]:
    def cell(row: DailyMetrics | None, figure: Figure, unit: str) -> str:
        value = figure(row) if row else None
        return "–" if value is None else format_number(value) + unit

    compared = [
        Comparison(name, cell(today, figure, unit), cell(yesterday, figure, unit))
        for name, figure, unit in FIGURES
    ]
    revenues = [row.revenue or {} for row in (today, yesterday) if row]
    for currency in sorted({currency for revenue in revenues for currency in revenue}):

        def earned(row: DailyMetrics, currency: str = currency) -> float | None:
            return money(row, currency)

        unit = f" {currency.upper()}"
        name = "Revenue a month"
        compared.append(Comparison(name, cell(today, earned, unit), cell(yesterday, earned, unit)))
    return compared


def charts(days: list[date], counted: dict[date, DailyMetrics]) -> list[Chart]:
    def series(figure: Figure) -> list[float | None]:
        return [figure(counted[day]) if day in counted else None for day in days]

    models = busiest_models(counted.values())
    currencies = sorted({name for row in counted.values() for name in row.revenue or {}})

    def by_model(figure: Callable[[dict[str, int]], float]) -> dict[str, list[float | None]]:
        def model_figure(name: str) -> Figure:
            return lambda row: figure(row.by_model[name]) if name in row.by_model else 0

        return {name: series(model_figure(name)) for name in models}

    def tool_chart(title: str, unit: str, name: str, divisor: int) -> Chart:
        # A day of an older version lacks the figures of tools.
        values = by_model(lambda totals: totals.get(name, 0) / divisor)
        return Chart(title, unit, "bars", days, values)

    used_tools = [
        chart
        for chart in (tool_chart(*figure) for figure in TOOL_FIGURES)
        if any(any(values) for values in chart.series.values())
    ]

    def outcome(name: str) -> list[float | None]:
        return series(lambda row: row.outcomes.get(name, 0))

    def revenue(currency: str) -> list[float | None]:
        return series(lambda row: money(row, currency))

    return [
        Chart(
            "Users",
            "",
            "lines",
            days,
            {
                "active": series(lambda row: row.active_users),
                "new": series(lambda row: row.new_users),
            },
        ),
        Chart("Prompts sent", "", "bars", days, {"sent": series(lambda row: row.sends)}),
        Chart(
            "Replies by outcome",
            "",
            "bars",
            days,
            {name: outcome(name) for name in ("complete", "stopped", "failed")},
        ),
        Chart(
            "Time to first token",
            " s",
            "lines",
            days,
            {
                "median": series(lambda row: seconds(row.first_token_p50)),
                "95th percentile": series(lambda row: seconds(row.first_token_p95)),
            },
        ),
        Chart(
            "Time of a whole reply",
            " s",
            "lines",
            days,
            {
                "median": series(lambda row: seconds(row.reply_p50)),
                "95th percentile": series(lambda row: seconds(row.reply_p95)),
            },
        ),
        Chart(
            "Tokens by model",
            "",
            "bars",
            days,
            by_model(lambda totals: totals["prompt_tokens"] + totals["output_tokens"]),
        ),
        Chart(
            "Cost by model",
            " USD",
            "bars",
            days,
            by_model(lambda totals: totals["cost_micro_usd"] / 1_000_000),
        ),
        *used_tools,
        Chart("Pro users", "", "lines", days, {"Pro": series(lambda row: row.pro_users)}),
        Chart(
            "Revenue a month",
            "",
            "lines",
            days,
            {currency.upper(): revenue(currency) for currency in currencies},
        ),
    ]


def busiest_models(rows: Any) -> list[str]:
    replies: dict[str, int] = {}
    for row in rows:
        for name, totals in row.by_model.items():
            replies[name] = replies.get(name, 0) + totals["replies"]
    return sorted(replies, key=lambda name: -replies[name])[:CHARTED_MODELS]


def seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def dollars(micro: int) -> float:
    return micro / 1_000_000


def money(row: DailyMetrics, currency: str) -> float | None:
    """Return the revenue in whole units, for currencies with hundredths."""
    return None if row.revenue is None else row.revenue.get(currency, 0) / 100
