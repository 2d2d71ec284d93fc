"""Google's terms for the Gemini API that settings of this program touch."""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

ANY_COUNTRY = "*"
# Terms of 2026-03-23 name the European Economic Area, Switzerland and the United Kingdom.
# fmt: off
PAID_QUOTA_ONLY = frozenset({
    "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR",
    "GB", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT",
    "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Term:
    """A term, the setting that touches the term, and whether the setting does so now."""

    setting: str
    text: str
    is_touched: Callable[[], bool]


def has_key() -> bool:
    return bool(settings.GOOGLE_API_KEY)


def serves_paid_quota_countries() -> bool:
    allowed = set(settings.SMS_ALLOWED_COUNTRIES)
    return has_key() and bool(allowed & (PAID_QUOTA_ONLY | {ANY_COUNTRY}))


# A new setting that touches a term is a new row here, and in docs/operations.md.
TERMS = (
    Term("GOOGLE_API_KEY", "users are 18 or older", has_key),
    Term("GOOGLE_API_KEY", "unpaid quota trains Google's models", has_key),
    Term(
        "SMS_ALLOWED_COUNTRIES",
        "paid quota only for users in the EEA, Switzerland and the United Kingdom",
        serves_paid_quota_countries,
    ),
)


def touched_terms() -> list[Term]:
    return [term for term in TERMS if term.is_touched()]
