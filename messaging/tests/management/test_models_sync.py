"""The comparison of the table of models with Google's list: command, task and metric."""

import json
import logging
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from prometheus_client import CollectorRegistry

from messaging.gemini.model_list import MOST_PAGES
from messaging.models import Findings, GeminiModel, ModelFinding
from messaging.replies.metrics import StoresCollector
from messaging.tasks import sync_models
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.gemini_calls import KEY
from tests.support.messaging.prices import set_price

pytestmark = pytest.mark.django_db
NONE: dict[str, list[str]] = {"new": [], "gone": [], "unpriced": []}


def described(name: str, *methods: str) -> dict[str, Any]:
    return {"name": f"models/{name}", "supportedGenerationMethods": methods or ["generateContent"]}


@pytest.fixture
def google_list(gemini: FakeGemini) -> FakeGemini:
    """A fake whose list has the models of the table, and no others."""
    gemini.models = [described(name) for name in GeminiModel.objects.values_list("name", flat=True)]
    return gemini


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("models_sync", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


def stored() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"new": [], "gone": [], "unpriced": []}
    for finding in ModelFinding.objects.order_by("name"):
        found[finding.kind].append(finding.name)
    return found


def table() -> list[dict[str, Any]]:
    return list(GeminiModel.objects.order_by("name").values())


def test_model_that_only_google_has_is_new(google_list: FakeGemini) -> None:
    google_list.models += [
        described("gemini-9", "generateContent", "countTokens"),
        described("gemini-embedding-9", "embedContent"),
        described("a" * 65),
    ]

    report = run()

    assert report == {**NONE, "new": ["gemini-9"], "dry_run": False}
    assert stored() == {**NONE, "new": ["gemini-9"]}
    assert google_list.requests[0].headers["x-goog-api-key"] == KEY


def test_disabled_model_is_neither_new_nor_gone(google_list: FakeGemini) -> None:
    for name in ("gemini-8", "gemini-9"):
        GeminiModel.objects.create(name=name, is_enabled=False)
    google_list.models.append(described("gemini-9"))

    assert run() == {**NONE, "dry_run": False}


def test_model_that_google_lacks_is_gone_until_its_retirement(google_list: FakeGemini) -> None:
    today = timezone.now().date()
    for name, days in (("gemini-7", -1), ("gemini-8", 0), ("gemini-9", 1)):
        set_price(name, input=1, cached=1, output=1)
        GeminiModel.objects.filter(name=name).update(retires_on=today + timedelta(days=days))

    assert run()["gone"] == ["gemini-9"]


def test_model_without_a_price_in_force_is_unpriced(google_list: FakeGemini) -> None:
    today = timezone.now().date()
    later = GeminiModel.objects.create(name="gemini-8")
    later.prices.create(from_day=today + timedelta(days=1), input=1, cached=1, output=1)
    GeminiModel.objects.create(name="gemini-9")
    GeminiModel.objects.create(name="gemini-7", is_enabled=False)
    GeminiModel.objects.create(name="gemini-6", retires_on=today)
    google_list.models += [described("gemini-8"), described("gemini-9")]

    assert run()["unpriced"] == ["gemini-8", "gemini-9"]


def test_command_changes_no_model(google_list: FakeGemini) -> None:
    google_list.models = [described("gemini-9")]
    before = table()

    run()

    assert table() == before
    assert stored()["gone"]


def test_dry_run_reports_and_stores_nothing(google_list: FakeGemini) -> None:
    google_list.models.append(described("gemini-9"))
    ModelFinding.objects.create(kind="gone", name="gemini-8")

    report = run("--dry-run")

    assert report == {**NONE, "new": ["gemini-9"], "dry_run": True}
    assert stored() == {**NONE, "gone": ["gemini-8"]}


def test_findings_replace_those_before(google_list: FakeGemini) -> None:
    google_list.models.append(described("gemini-9"))
    ModelFinding.objects.create(kind="gone", name="gemini-8")

    run()

    assert stored() == {**NONE, "new": ["gemini-9"]}


def test_command_without_json_names_the_models_in_lines(google_list: FakeGemini) -> None:
    google_list.models += [described("gemini-9"), described("gemini-8")]
    out = StringIO()

    call_command("models_sync", stdout=out)

    assert out.getvalue().splitlines() == [
        "new: gemini-8, gemini-9",
        "gone: none",
        "unpriced: none",
        "dry_run: False",
    ]


def test_command_reads_every_page(google_list: FakeGemini) -> None:
    google_list.models_a_page = len(google_list.models)
    google_list.models.append(described("gemini-9"))

    assert run()["new"] == ["gemini-9"]
    assert len(google_list.requests) == 2


def test_list_without_an_end_is_refused(google_list: FakeGemini) -> None:
    google_list.models *= MOST_PAGES
    google_list.models_a_page = 1

    with pytest.raises(CommandError, match=f"more than {MOST_PAGES} pages"):
        run()

    assert len(google_list.requests) == MOST_PAGES


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(status=400, error_reason="API_KEY_INVALID"), "did not accept the API key"),
        (Answer(status=404), "no list of models at this address"),
        (Answer(status=503), "overloaded"),
        (Answer(status=302, headers={"Location": "models?pageSize=9"}), "check the address"),
        (Answer(raw_body="<html>Welcome to the hotel Wi-Fi</html>"), "not Gemini's"),
        (Answer(raw_body="[]"), "not Gemini's"),
        (Answer(raw_body="{}"), "list of models is empty"),
        (Answer(raw_body='{"models": 1}'), "no list of Gemini's models"),
        (Answer(raw_body='{"models": [{}]}'), "no list of Gemini's models"),
        (Answer(raw_body='{"models": [{"name": 1}]}'), "no list of Gemini's models"),
        (Answer(raw_body='{"models": ["gemini-9"]}'), "no list of Gemini's models"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answer_that_is_no_list_is_one_sentence(
    google_list: FakeGemini, answer: Answer, fault: str
) -> None:
    google_list.script(answer)

    with pytest.raises(CommandError, match=fault) as raised:
        run()

    assert KEY not in str(raised.value)
    assert not ModelFinding.objects.exists()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"GOOGLE_API_KEY": ""}, "GOOGLE_API_KEY is not set"),
        ({"GEMINI_API_BASE": "http://127.0.0.1:1"}, "cannot be reached: ConnectionError"),
        ({"GEMINI_BACKEND": "messaging.gemini.offline.Backend"}, "has no list of models"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_without_a_list_are_one_sentence(
    google_list: FakeGemini, settings: Any, changed: dict[str, str], fault: str
) -> None:
    for name, value in changed.items():
        setattr(settings, name, value)

    with pytest.raises(CommandError, match=fault):
        run()

    assert google_list.requests == []


def test_task_stores_the_findings(google: FakeGemini) -> None:
    google.models = [described(each["name"]) for each in table()] + [described("gemini-9")]

    sync_models()

    assert stored() == {**NONE, "new": ["gemini-9"]}


def test_task_is_in_the_schedule(settings: Any) -> None:
    [entry] = [
        entry
        for entry in settings.CELERY_BEAT_SCHEDULE.values()
        if entry["task"] == sync_models.name
    ]

    assert (entry["schedule"].hour, entry["schedule"].minute) == ({4}, {5})


def test_task_warns_once_of_a_failure_and_keeps_the_findings(
    google_list: FakeGemini, caplog: pytest.LogCaptureFixture
) -> None:
    ModelFinding.objects.create(kind="gone", name="gemini-8")
    google_list.script(Answer(status=503))

    sync_models()

    [record] = [each for each in caplog.records if each.name == "messaging.tasks"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "overloaded" in record.getMessage()
    assert stored() == {**NONE, "gone": ["gemini-8"]}


def test_task_does_nothing_without_google(
    google_list: FakeGemini, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.GEMINI_BACKEND = "messaging.gemini.offline.Backend"

    sync_models()

    assert google_list.requests == []
    assert caplog.records == []


@transactional
def test_metric_counts_the_findings_of_each_kind() -> None:
    registry = CollectorRegistry()
    registry.register(StoresCollector())
    ModelFinding.objects.replace(Findings(["gemini-6", "gemini-7"], [], ["gemini-8"]))

    counts = {
        kind: registry.get_sample_value("gemchat_model_findings", {"kind": kind}) for kind in NONE
    }

    assert counts == {"new": 2, "gone": 0, "unpriced": 1}
