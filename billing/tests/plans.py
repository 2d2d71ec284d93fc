"""Plans that differ from those of the settings, for one test."""

from dataclasses import replace
from typing import Any


def with_plan(settings: Any, tier: str, **changes: Any) -> None:
    """Change fields of a tier's plan, until pytest-django restores the settings."""
    settings.PLANS = {**settings.PLANS, tier: replace(settings.PLANS[tier], **changes)}
