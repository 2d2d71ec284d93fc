"""The models of Gemini for users, as data for staff: prices, tier, retirement."""

from collections.abc import Iterable
from datetime import date
from functools import cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from accounts.models.users import tier_choices
from billing.plans import includes
from gemchat.api.errors import DomainError
from gemchat.stores.statements import CompiledQuery

TOKENS_PRICED = 1_000_000


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


@cache
def all_models() -> CompiledQuery["GeminiModel"]:
    return CompiledQuery(GeminiModel.objects.all())


class GeminiModel(models.Model):
    name = models.CharField(max_length=64, primary_key=True, help_text="As Gemini calls it.")
    # Micro-USD for a million tokens; thinking is charged as output.
    input_price = models.PositiveBigIntegerField(help_text="Micro-USD for a million tokens in.")
    cached_price = models.PositiveBigIntegerField(
        help_text="Micro-USD for a million tokens that Gemini had cached."
    )
    output_price = models.PositiveBigIntegerField(help_text="Micro-USD for a million tokens out.")
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

    def cost_micro_usd(
        self, *, prompt_tokens: int, cached_tokens: int, output_tokens: int, thinking_tokens: int
    ) -> int:
        """Compute a reply's cost at the model's prices, rounded up.

        Cached tokens are part of the prompt tokens.
        """
        total = (
            (prompt_tokens - cached_tokens) * self.input_price
            + cached_tokens * self.cached_price
            + (output_tokens + thinking_tokens) * self.output_price
        )
        return -(-total // TOKENS_PRICED)


def model_in_service(models: Iterable[GeminiModel], name: str, *, on: date) -> GeminiModel | None:
    """Return the model in service for `name` on a day.

    A retired model is replaced by the fallback. None for a name outside the table: Gemini then gets
    the name unchanged.
    """
    found = {model.name: model for model in models}
    current, seen = found.get(name), set()
    while current and current.has_retired(on) and current.name not in seen:
        seen.add(current.name)
        following = found.get(current.fallback_id or "")
        if following is None:
            break
        current = following
    return current
