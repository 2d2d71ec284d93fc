"""Admin pages of Gemini's models: tier, retirement, and prices by day."""

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from backoffice.pages.audited_forms import AuditedForm
from backoffice.pages.base import BackOfficeAdmin
from messaging.models import GeminiModel, ModelFinding, ModelPrice

MICRO_USD = 10**6


def today() -> date:
    return timezone.now().date()


class DollarField(forms.DecimalField):
    """US dollars in the form, micro-USD in the row; the last decimal is one micro-USD.

    So dollars for a million tokens have six decimals. Dollars for a thousand queries have three,
    and the row has micro-USD for a single query.
    """

    def __init__(self, *, decimal_places: int = 6, **options: Any) -> None:
        super().__init__(min_value=0, max_digits=12, decimal_places=decimal_places, **options)
        self._micro_usd = 10**decimal_places

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, int):
            return value
        return as_dollars(value * (MICRO_USD // self._micro_usd))

    def clean(self, value: Any) -> int | None:
        dollars = super().clean(value)
        return None if dollars is None else int(dollars * self._micro_usd)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


def as_dollars(micro_usd: int) -> str:
    """Write micro-USD as dollars with at least two decimals: 750000 is 0.75, 75000 is 0.075."""
    whole, _, decimals = f"{Decimal(micro_usd) / MICRO_USD:.6f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


class PriceForm(forms.ModelForm):
    input = DollarField(help_text="US dollars for a million tokens.")
    cached = DollarField(help_text="US dollars for a million tokens in Gemini's cache.")
    output = DollarField(help_text="US dollars for a million tokens, thinking included.")
    audio_input = DollarField(
        required=False, help_text="US dollars for a million tokens; empty: audio costs as text."
    )
    search_query = DollarField(
        label="1,000 searches",
        decimal_places=3,
        help_text="US dollars for a thousand queries, as in Google's price list.",
    )

    class Meta:
        model = ModelPrice
        fields = ("from_day", "input", "cached", "output", "audio_input", "search_query")


class SeveralChoicesField(forms.MultipleChoiceField):
    """Check boxes for a list of choices; the row has the choices in their order."""

    widget = forms.CheckboxSelectMultiple

    def clean(self, value: Any) -> list[str]:
        chosen, choices = super().clean(value), list[Any](self.choices)  # type: ignore[arg-type]
        return [choice for choice, _ in choices if choice in chosen]


class ModelForm(AuditedForm):
    modalities = SeveralChoicesField(
        label="Reads", choices=GeminiModel.Modality.choices, help_text="Every model reads text."
    )
    thinking_levels = SeveralChoicesField(
        choices=GeminiModel.Thinking.choices,
        required=False,
        help_text="Without a level here, no request names a level.",
    )
    tools = SeveralChoicesField(choices=GeminiModel.Tool.choices, required=False)


class PriceInline(admin.TabularInline):
    model = ModelPrice
    form = PriceForm
    extra = 0
    ordering = ("-from_day",)


@admin.register(GeminiModel)
class GeminiModelAdmin(BackOfficeAdmin):
    """Models; a model is disabled or retired, never deleted, since replies name it."""

    form = ModelForm
    list_display = [
        *["name", "label", "tier", "is_enabled", "is_listed"],
        *["price", "next_price", "state"],
    ]
    ordering = ["sort", "name"]
    search_fields = []
    fieldsets = [
        (None, {"fields": ["name", "label", "tier", "is_enabled", "is_listed", "sort"]}),
        ("Retirement", {"fields": ["retires_on", "fallback"]}),
        (
            "Capabilities",
            {
                "description": "From Google's description of the model. Clients may ask for what is"
                " here, and for nothing else.",
                "fields": [
                    *["input_limit", "output_limit", "modalities", "tools"],
                    *["thinking_levels", "default_thinking", "takes_sampling"],
                    *["image_tokens", "audio_tokens_per_second"],
                ],
            },
        ),
    ]
    inlines = (PriceInline,)

    def get_readonly_fields(
        self, request: HttpRequest, obj: GeminiModel | None = None
    ) -> list[str]:
        # The key of the row: another name would store another model.
        return ["name"] if obj else []

    def get_queryset(self, request: HttpRequest) -> QuerySet[GeminiModel]:
        gone = ModelFinding.objects.filter(kind=ModelFinding.Kind.GONE, name=OuterRef("pk"))
        models = super().get_queryset(request).annotate(is_unknown_to_gemini=Exists(gone))
        return models.prefetch_related("prices")

    @admin.display(description="Input / output, $ a million")
    def price(self, model: GeminiModel) -> str:
        price = model.price_on(today())
        return f"{as_dollars(price.input)} / {as_dollars(price.output)}" if price else "-"

    @admin.display(description="Next price")
    def next_price(self, model: GeminiModel) -> date | None:
        return min((p.from_day for p in model.prices.all() if p.from_day > today()), default=None)

    @admin.display(description="State")
    def state(self, model: GeminiModel) -> str:
        if model.has_retired(today()):
            return "Retired"
        faults = [] if model.price_on(today()) else ["No price: costs count as 0"]
        if model.is_unknown_to_gemini:  # type: ignore[attr-defined]  # of get_queryset
            faults.append("Gemini does not list the model")
        return ". ".join(faults) or "In service"

    def has_delete_permission(self, request: HttpRequest, obj: GeminiModel | None = None) -> bool:
        return False
