"""The pages of models: prices in dollars by day, and models without a price."""

import pytest

from backoffice.models import BackofficeAction
from backoffice.pages.gemini_models import PriceForm
from messaging.models import GeminiModel, ModelFinding, ModelPrice
from tests.support.backoffice.staff_client import events, url
from tests.support.messaging.prices import set_price

PRICE = {"audio_input": "", "search_query": "14"}
MODEL = {
    "tier": "basic",
    "is_enabled": "on",
    "is_listed": "on",
    "sort": "100",
    "input_limit": "1048576",
    "output_limit": "65536",
    "modalities": ["text"],
    "image_tokens": "1120",
    "audio_tokens_per_second": "32",
}
NO_PRICES = {"prices-TOTAL_FORMS": 0, "prices-INITIAL_FORMS": 0}


def test_change_of_a_price_is_audited_with_both_values(staff_client):
    model = set_price("gemini-x", input=750_000, cached=75_000, output=3_750_000)
    [price] = model.prices.all()
    rows = [
        {"id": price.pk, "from_day": "2025-01-01", "input": "0.8", "cached": "0.075"},
        {"from_day": "2027-01-01", "input": "1.5", "cached": "0.15"},
    ]
    forms = {
        f"prices-{number}-{name}": value
        for number, row in enumerate(rows)
        for name, value in {**row, **PRICE, "model": model.pk, "output": "3.75"}.items()
    }
    counts = {"prices-TOTAL_FORMS": 2, "prices-INITIAL_FORMS": 1}
    more = {**MODEL, "name": model.name, "tier": "pro", "reason": "new price list"}

    staff_client.post(url(GeminiModel, "change", model.pk), {**forms, **counts, **more})

    assert list(model.prices.order_by("from_day").values_list("input", "cached", "output")) == [
        (800_000, 75_000, 3_750_000),
        (1_500_000, 150_000, 3_750_000),
    ]
    [event] = events(BackofficeAction.ROW_CHANGED)
    assert event.target == "gemini-x"
    assert event.details == {
        "reason": "new price list",
        "rows": "messaging.GeminiModel",
        "changes": {
            "tier": ["basic", "pro"],
            "gemini-x from 2025-01-01": {"input": [750_000, 800_000]},
            "gemini-x from 2027-01-01": {
                "from_day": [None, "2027-01-01"],
                "input": [None, 1_500_000],
                "cached": [None, 150_000],
                "output": [None, 3_750_000],
                "search_query": [None, 14_000],
            },
        },
    }


def test_price_that_staff_remove_is_audited(staff_client):
    model = set_price("gemini-x", input=750_000, cached=75_000, output=3_750_000)
    [price] = model.prices.all()
    row = {"id": price.pk, "from_day": "2025-01-01", "input": "1", "cached": "1", "output": "1"}
    forms = {f"prices-0-{name}": value for name, value in {**row, **PRICE, "DELETE": "on"}.items()}
    counts = {"prices-TOTAL_FORMS": 1, "prices-INITIAL_FORMS": 1, "prices-0-model": model.pk}
    more = {**MODEL, "name": model.name, "reason": "typo"}

    staff_client.post(url(GeminiModel, "change", model.pk), {**forms, **counts, **more})

    assert not model.prices.exists()
    [event] = events(BackofficeAction.ROW_CHANGED)
    assert event.details["changes"] == {"gemini-x from 2025-01-01 deleted": None}


@pytest.mark.parametrize("amount", ["-1", "0.0000001", "a lot", ""])
def test_price_that_is_no_amount_is_refused(staff_client, amount):
    model = GeminiModel.objects.create(name="gemini-x")
    row = {"from_day": "2025-01-01", "input": amount, "cached": "1", "output": "1", **PRICE}
    forms = {f"prices-0-{name}": value for name, value in row.items()}
    counts = {"prices-TOTAL_FORMS": 1, "prices-INITIAL_FORMS": 0, "prices-0-model": model.pk}
    more = {**MODEL, "name": model.name, "reason": "new"}

    page = staff_client.post(url(GeminiModel, "change", model.pk), {**forms, **counts, **more})

    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert not model.prices.exists()


def test_list_of_models_shows_prices_and_models_without_a_price(staff_client):
    GeminiModel.objects.create(name="gemini-x")

    page = staff_client.get(url(GeminiModel)).content.decode()

    assert "0.30 / 2.50" in page
    assert page.count("No price") == 1
    assert page.count("Retired") == 2


def test_change_of_capabilities_is_audited_in_their_order(staff_client):
    model = GeminiModel.objects.create(name="gemini-x", thinking_levels=["low"])
    posted = {
        **MODEL,
        "name": model.name,
        "label": "Gemini X",
        "modalities": ["audio", "text"],
        "thinking_levels": ["high", "low"],
        "default_thinking": "high",
        "reason": "new list",
    }

    staff_client.post(url(GeminiModel, "change", model.pk), {**posted, **NO_PRICES})

    model.refresh_from_db()
    assert (model.label, model.modalities) == ("Gemini X", ["text", "audio"])
    assert (model.thinking_levels, model.default_thinking) == (["low", "high"], "high")
    [event] = events(BackofficeAction.ROW_CHANGED)
    assert event.details["changes"] == {
        "label": ["", "Gemini X"],
        "modalities": [["text"], ["audio", "text"]],
        "thinking_levels": [["low"], ["high", "low"]],
        "default_thinking": ["", "high"],
    }


def test_name_of_a_model_stays(staff_client):
    model = GeminiModel.objects.create(name="gemini-x")
    posted = {**MODEL, "name": "gemini-y", "label": "Y", "reason": "new name"}

    staff_client.post(url(GeminiModel, "change", model.pk), {**posted, **NO_PRICES})

    model.refresh_from_db()
    assert model.label == "Y"
    assert not GeminiModel.objects.filter(name="gemini-y").exists()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"modalities": ["image"]}, "Every model reads text."),
        ({"default_thinking": "high"}, "The model does not have this level."),
        ({"retires_on": "2027-01-01"}, "A model that retires needs a fallback."),
        ({"thinking_levels": ["deep"]}, "deep is not one of the available choices"),
    ],
    ids=str,
)
def test_capabilities_that_contradict_are_refused(staff_client, fields, text):
    model = GeminiModel.objects.create(name="gemini-x")
    posted = {**MODEL, "name": model.name, "reason": "new list", **fields}

    page = staff_client.post(url(GeminiModel, "change", model.pk), {**posted, **NO_PRICES})

    assert page.status_code == 200
    assert text in page.content.decode()
    assert not events(BackofficeAction.ROW_CHANGED)


def test_list_of_models_marks_models_unknown_to_gemini(staff_client):
    set_price("gemini-x", input=1, cached=1, output=1)
    ModelFinding.objects.create(kind="gone", name="gemini-x")
    ModelFinding.objects.create(kind="new", name="gemini-3.5-flash-lite")

    page = staff_client.get(url(GeminiModel)).content.decode()

    assert page.count("Gemini does not list the model") == 1


def test_list_of_models_takes_the_same_queries_at_any_length(
    staff_client, django_assert_max_num_queries
):
    GeminiModel.objects.bulk_create([GeminiModel(name=f"gemini-{n}") for n in range(40)])

    with django_assert_max_num_queries(10):
        staff_client.get(url(GeminiModel))


def price_form(price=None, **amounts):
    row = {"from_day": "2025-01-01", "input": "1", "cached": "1", "output": "1", **PRICE}
    return PriceForm({**row, **amounts}, instance=price or ModelPrice())


@pytest.mark.parametrize(
    ("amount", "audio_input"), [("", None), ("0", 0), ("0.5", 500_000), ("0.000001", 1)]
)
def test_price_of_audio_is_in_dollars_or_as_text(amount, audio_input):
    form = price_form(audio_input=amount)

    assert form.is_valid()
    assert form.instance.audio_input == audio_input


@pytest.mark.parametrize(("amount", "micro_usd"), [("14", 14_000), ("0.001", 1), ("0", 0)])
def test_price_of_search_is_in_dollars_for_a_thousand_queries(amount, micro_usd):
    form = price_form(search_query=amount)

    assert form.is_valid()
    assert form.instance.search_query == micro_usd


@pytest.mark.parametrize(
    "amounts",
    [
        {"search_query": ""},
        {"search_query": "14.0001"},
        {"search_query": "-1"},
        {"audio_input": "-1"},
        {"audio_input": "0.0000001"},
        {"audio_input": "free"},
    ],
    ids=str,
)
def test_price_of_a_tool_that_is_no_amount_is_refused(amounts):
    form = price_form(**amounts)

    assert form.errors.keys() == amounts.keys()


def test_price_form_shows_dollars_and_sees_no_change_in_them():
    price = ModelPrice(input=10**6, cached=10**6, output=10**6, audio_input=500_000)

    form = price_form(price, audio_input="0.50", search_query="14.000")

    assert form["audio_input"].value() == "0.50"
    assert form["search_query"].value() == "14.000"
    assert PriceForm(instance=price)["search_query"].value() == "14.00"
    assert PriceForm(instance=ModelPrice())["search_query"].value() == "14.00"
    assert form.changed_data == ["from_day"]
