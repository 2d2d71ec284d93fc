"""The models of Gemini for users, as data for staff: prices by day, tier, retirement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from django.conf import settings
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
SELECT {columns} FROM messaging_geminimodel AS model
LEFT JOIN LATERAL (
    SELECT * FROM messaging_modelprice
    WHERE model_id = model.name AND from_day <= %(price_day)s ORDER BY from_day DESC LIMIT 1
) AS price ON true ORDER BY model.name
"""


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


class GeminiModel(models.Model):
    name = models.CharField(max_length=64, primary_key=True, help_text="As Gemini calls it.")
    tier = models.CharField(max_length=8, choices=tier_choices, default=User.Tier.BASIC)
    is_enabled = models.BooleanField(default=True)
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
        if self.retires_on and not self.fallback_id:
            raise ValidationError({"fallback": "A model that retires needs a fallback."})

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
        self, *, prompt_tokens: int, cached_tokens: int, output_tokens: int, thinking_tokens: int
    ) -> int:
        """Compute the cost of an attempt, rounded up.

        Cached tokens are part of the prompt tokens.
        """
        total = (
            (prompt_tokens - cached_tokens) * self.input
            + cached_tokens * self.cached
            + (output_tokens + thinking_tokens) * self.output
        )
        return -(-total // TOKENS_PRICED)


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

    def cost_micro_usd(self, **tokens: int) -> int:
        """Compute the cost of an attempt, as `ModelPrice` does; 0 without a price."""
        return self.price.cost_micro_usd(**tokens) if self.price else 0


@cache
def _models() -> CompiledQuery[GeminiModel]:
    return CompiledQuery(GeminiModel.objects.all())


@cache
def _prices() -> CompiledQuery[ModelPrice]:
    return CompiledQuery(ModelPrice.objects.all())


@cache
def priced_models_sql() -> str:
    """Return the SQL of every model with its price; `price_day` is the only value."""
    columns = f"{columns_of(GeminiModel, 'model')}, {columns_of(ModelPrice, 'price')}"
    return PRICED_MODELS_SQL.format(columns=columns)


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
