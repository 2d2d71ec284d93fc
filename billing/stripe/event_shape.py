"""The shape of an event for this program and dj-stripe.

Stripe sends no other shape. But an unchecked shape would fail half-way through, be answered with
500 and come again for three days.
"""

import re
from collections.abc import Callable
from typing import Any

EVENT_ID = re.compile(r"evt_\w{1,200}", re.ASCII)
# The id becomes a part of a URL of Stripe's API.
ID = re.compile(r"[\w.:@+-]{1,250}", re.ASCII)
LONGEST_TEXT = 250
# PostgreSQL's bigint; of a time, the year 9999.
LARGEST_NUMBER = 2**63 - 1
LARGEST_TIME = 253_402_300_799

Shape = Callable[[Any], bool]


def is_well_formed(event: dict[str, Any]) -> bool:
    """Check the type of each member in use; other members may have any type."""
    return _matches(event, MEMBERS) and _matches(
        event["data"]["object"], MEMBERS_OF_SUBJECT | SUBJECTS.get(event["type"], {})
    )


def _matches(value: dict[str, Any], members: dict[str, Shape]) -> bool:
    return all(fits(value.get(name)) for name, fits in members.items())


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(ID.fullmatch(value))


def _is_number(value: Any, largest: int = LARGEST_NUMBER) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def _is_reference(value: Any) -> bool:
    """Check for an id, or for the expanded object."""
    return _is_id(value.get("id") if isinstance(value, dict) else value)


def _is_request(value: Any) -> bool:
    """An id, or since 2017 an object."""
    if isinstance(value, dict):
        return _matches(value, {"id": _optional(_is_text), "idempotency_key": _optional(_is_text)})
    return _optional(_is_text)(value)


def _is_data(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("object"), dict)


def _optional(fits: Shape) -> Shape:
    return lambda value: value is None or fits(value)


MEMBERS: dict[str, Shape] = {
    "id": lambda value: isinstance(value, str) and bool(EVENT_ID.fullmatch(value)),
    "type": _is_text,
    "livemode": lambda value: isinstance(value, bool),
    "created": lambda value: _is_number(value, LARGEST_TIME),
    "data": _is_data,
    "request": _is_request,
    "api_version": _optional(lambda value: _is_text(value) and len(value) <= 64),
    "account": _optional(_is_reference),
    "pending_webhooks": _optional(lambda value: _is_number(value, 2**31 - 1)),
}
MEMBERS_OF_SUBJECT: dict[str, Shape] = {
    "object": _is_text,
    "id": _optional(_is_id),
    "customer": _optional(_is_reference),
    "charge": _optional(_is_reference),
}
DISPUTE_EVENTS = tuple(
    f"charge.dispute.{change}"
    for change in ("closed", "created", "funds_reinstated", "funds_withdrawn", "updated")
)
# More members for this program; dj-stripe fetches all other members from Stripe.
SUBJECTS: dict[str, dict[str, Shape]] = {
    "charge.refunded": {"id": _is_id, "amount_refunded": _is_number, "currency": _is_text},
    "charge.refund.updated": {"charge": _is_reference},
    **dict.fromkeys(
        DISPUTE_EVENTS,
        {"id": _is_id, "charge": _is_reference, "amount": _is_number, "currency": _is_text},
    ),
}
