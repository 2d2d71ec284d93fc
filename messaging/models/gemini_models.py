"""The models of Gemini for users, as data for staff: prices by day, tier, retirement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from accounts.models.users import tier_choices
from billing.plans import includes
from gemchat.api.errors import DomainError
from gemchat.stores.statements import CompiledQuery, columns_of, fetch

TOKENS_PRICED = 1_000_000
# The price in force is the latest row on or before the day.
PRICED_MODELS_SQL = """
SELECT {columns} FROM {models} AS model
LEFT JOIN LATERAL (
    SELECT * FROM messaging_modelprice
    WHERE model_id = model.name AND from_day <= %(price_day)s ORDER BY from_day DESC LIMIT 1
) AS price ON true ORDER BY model.name
"""
# A model, and the fallbacks of the retired models.
IN_SERVICE_SQL = """(
    WITH RECURSIVE chain AS (
        SELECT * FROM messaging_geminimodel WHERE name = ({name})
        UNION
        SELECT fallback.* FROM chain JOIN messaging_geminimodel AS fallback
            ON fallback.name = chain.fallback_id AND chain.retires_on <= %(price_day)s
    )
    SELECT * FROM chain
)"""


class ModelNotInPlan(DomainError):
    code = "model_not_in_plan"
    message = "This model is part of Pro. Choose another, or upgrade."
    status = 403


class UnknownModel(DomainError):
    code = "unknown_model"
    message = "There is no such model. Leave `model` out for the default one."
    status = 422


class GeminiModelQuerySet(models.QuerySet["GeminiModel"]):
    def get_for_user(self, user: User, name: str) -> "GeminiModel":
        """Return the model `name`, if the user's plan has the model."""
        chosen = self.filter(name=name, is_enabled=True).first()
        if chosen is None:
            raise UnknownModel
        if not includes(user.tier, chosen.tier):
            raise ModelNotInPlan
        return chosen


def text_alone() -> list[str]:
    return ["text"]


class GeminiModel(models.Model):
    """A model of Gemini, and the capabilities that a request may ask for."""

    class Modality(models.TextChoices):
        """A kind of content that a model reads."""

        TEXT = "text"
        IMAGE = "image"
        PDF = "pdf", "PDF"
        AUDIO = "audio"

    class Tool(models.TextChoices):
        SEARCH = "search"
        URLS = "urls", "Web pages"
        CODE = "code"

    class Thinking(models.TextChoices):
        """A level of thinking, from little to much."""

        MINIMAL = "minimal"
        LOW = "low"
        MEDIUM = "medium"
        HIGH = "high"
        XHIGH = "xhigh", "Extra high"

    name = models.CharField(max_length=64, primary_key=True, help_text="As Gemini calls it.")
    label = models.CharField(max_length=64, blank=True, help_text="Name for people.")
    tier = models.CharField(max_length=8, choices=tier_choices, default=User.Tier.BASIC)
    is_enabled = models.BooleanField(default=True)
    is_listed = models.BooleanField(default=True, help_text="In the list of models for clients.")
    sort = models.PositiveSmallIntegerField(default=100, help_text="The order of the list.")
    input_limit = models.PositiveIntegerField(default=1_048_576, help_text="Tokens.")
    output_limit = models.PositiveIntegerField(default=65_536, help_text="Tokens.")
    modalities = ArrayField(
        models.CharField(max_length=8, choices=Modality),
        default=text_alone,
        help_text="Kinds of content that the model reads.",
    )
    thinking_levels = ArrayField(
        models.CharField(max_length=8, choices=Thinking),
        default=list,
        blank=True,
        help_text="Without a level here, no request names a level.",
    )
    default_thinking = models.CharField(max_length=8, choices=Thinking, blank=True)
    tools = ArrayField(models.CharField(max_length=8, choices=Tool), default=list, blank=True)
    takes_sampling = models.BooleanField(
        default=False, help_text="Temperature, top_p and seed have an effect."
    )
    image_tokens = models.PositiveIntegerField(default=1_120, help_text="Tokens of a picture.")
    audio_tokens_per_second = models.PositiveSmallIntegerField(default=32)
    retires_on = models.DateField(null=True, blank=True)
    fallback = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="+")

    objects = GeminiModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="gemini_model_tier_is_known", condition=Q(tier__in=list(settings.PLANS))
            ),
            models.CheckConstraint(
                name="gemini_model_is_not_its_own_fallback",
                condition=Q(fallback=None) | ~Q(fallback=F("name")),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        faults = {}
        if self.retires_on and not self.fallback_id:
            faults["fallback"] = "A model that retires needs a fallback."
        if self.Modality.TEXT not in self.modalities:
            faults["modalities"] = "Every model reads text."
        if self.default_thinking and self.default_thinking not in self.thinking_levels:
            faults["default_thinking"] = "The model does not have this level."
        if faults:
            raise ValidationError(faults)

    def has_retired(self, on: date) -> bool:
        return self.retires_on is not None and self.retires_on <= on

    def price_on(self, day: date) -> "ModelPrice | None":
        """Return the price in force on a day, from the prefetched prices."""
        begun = [price for price in self.prices.all() if price.from_day <= day]
        return max(begun, key=lambda price: price.from_day, default=None)


class ModelPrice(models.Model):
    """The prices of a model from a day on, in micro-USD for a million tokens.

    A reply has the price of the UTC day of the attempt's start. Google does not publish the hour of
    a change. A new price is a new row; entries of the ledger never change.
    """

    model = models.ForeignKey(GeminiModel, models.CASCADE, related_name="prices")
    from_day = models.DateField()
    input = models.PositiveBigIntegerField()
    # For tokens in Gemini's cache.
    cached = models.PositiveBigIntegerField()
    # Thinking is charged as output.
    output = models.PositiveBigIntegerField()
    # Null where audio costs the same as text.
    audio_input = models.PositiveBigIntegerField(null=True, blank=True)
    # Micro-USD for a query, not for tokens: Google's price list of 2026-09-20, $14 for a thousand.
    search_query = models.PositiveBigIntegerField(default=14_000)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "from_day"],
                name="model_price_is_one_a_day",
                violation_error_message="There is a price from this day.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_id} from {self.from_day}"

    def cost_micro_usd(
        self,
        *,
        prompt_tokens: int,
        cached_tokens: int,
        output_tokens: int,
        thinking_tokens: int,
        tool_prompt_tokens: int = 0,
        search_queries: int = 0,
        audio_tokens: int = 0,
    ) -> int:
        """Compute the cost of an attempt, rounded up.

        Cached tokens and audio tokens are parts of the prompt tokens. Gemini may report an audio
        token as cached too: the overlap is unknown, so the cost is an upper bound. More of both
        than the prompt has are cached audio, at the price of cached tokens.
        """
        fresh_tokens = prompt_tokens - cached_tokens
        audio_tokens = min(audio_tokens, fresh_tokens)
        audio_input = self.input if self.audio_input is None else self.audio_input
        total = (
            (fresh_tokens - audio_tokens) * self.input
            + cached_tokens * self.cached
            + audio_tokens * audio_input
            + tool_prompt_tokens * self.input
            + (output_tokens + thinking_tokens) * self.output
        )
        return -(-total // TOKENS_PRICED) + search_queries * self.search_query


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model, with the price in force on a day; None without a price."""

    model: GeminiModel
    price: ModelPrice | None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> "PricedModel":
        """Make the instances of a row of `priced_models_sql`."""
        model_columns = len(GeminiModel._meta.concrete_fields)
        model = _models().from_row(row[:model_columns])
        price_row = row[model_columns:]
        return cls(model, None if price_row[0] is None else _prices().from_row(price_row))

    @property
    def name(self) -> str:
        return self.model.name


@cache
def _models() -> CompiledQuery[GeminiModel]:
    return CompiledQuery(GeminiModel.objects.all())


@cache
def _prices() -> CompiledQuery[ModelPrice]:
    return CompiledQuery(ModelPrice.objects.all())


@cache
def priced_models_sql(*, name: str = "") -> str:
    """Return the SQL of models with their prices on `price_day`.

    By default of every model. With the SQL of a name, of the rows for `model_in_service`.
    """
    columns = f"{columns_of(GeminiModel, 'model')}, {columns_of(ModelPrice, 'price')}"
    models = IN_SERVICE_SQL.format(name=name) if name else "messaging_geminimodel"
    return PRICED_MODELS_SQL.format(columns=columns, models=models)


def priced_models(*, on: date) -> list[PricedModel]:
    """Read every model with the price in force on a day."""
    return list(map(PricedModel.from_row, fetch(priced_models_sql(), {"price_day": on})))


def model_in_service(models: Iterable[PricedModel], name: str, *, on: date) -> PricedModel | None:
    """Return the model in service for `name` on a day.

    A retired model is replaced by the fallback. None for a name outside the table: Gemini then gets
    the name unchanged.
    """
    found = {priced.name: priced for priced in models}
    current, seen = found.get(name), set()
    while current and current.model.has_retired(on) and current.name not in seen:
        seen.add(current.name)
        following = found.get(current.model.fallback_id or "")
        if following is None:
            break
        current = following
    return current
