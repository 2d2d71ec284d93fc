"""Prices of Gemini's models in tests."""

from datetime import date
from typing import Any

from messaging.models import GeminiModel

FIRST_DAY = date(2025, 1, 1)


def set_price(
    name: str, *, input: int, cached: int, output: int, from_day: date = FIRST_DAY, **more: Any
) -> GeminiModel:
    """Give a model this price alone; micro-USD for a million tokens."""
    model, _ = GeminiModel.objects.get_or_create(name=name)
    model.prices.all().delete()
    model.prices.create(from_day=from_day, input=input, cached=cached, output=output, **more)
    return model
