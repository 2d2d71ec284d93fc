"""Stripe's objects as its API of 2026-05-27 gives them: every field that it always sends."""

import copy
import time
from typing import Any

API_VERSION = "2026-05-27.dahlia"
MONTH_SECONDS = 30 * 24 * 3600

Object = dict[str, Any]


def account(**fields: Any) -> Object:
    return {
        "id": "acct_1Fake0000000000",
        "object": "account",
        "country": "IN",
        "default_currency": "inr",
        "email": "billing@example.com",
        "settings": {"branding": {}, "dashboard": {"display_name": "GemChatRoom"}},
        "business_profile": {"name": "GemChatRoom", "url": None},
        "type": "standard",
    } | fields


def customer(**fields: Any) -> Object:
    return {
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    } | fields


def product(**fields: Any) -> Object:
    return {
        "object": "product",
        "active": True,
        "created": now(),
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": "Pro",
        "shippable": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": now(),
        "url": None,
    } | fields


def price(**fields: Any) -> Object:
    return {
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": now(),
        "currency": "inr",
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "recurring": {
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 49900,
        "unit_amount_decimal": "49900",
    } | fields


def checkout_session(**fields: Any) -> Object:
    return {
        "object": "checkout.session",
        "amount_subtotal": 49900,
        "amount_total": 49900,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": None,
        "client_reference_id": None,
        "created": now(),
        "currency": "inr",
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": None,
        "customer_details": None,
        "expires_at": now() + 24 * 3600,
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "mode": "subscription",
        "payment_intent": None,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "setup_intent": None,
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "success_url": None,
        "url": None,
    } | fields


def subscription(**fields: Any) -> Object:
    return {
        "object": "subscription",
        "application": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now(),
        "billing_mode": {"type": "classic"},
        "billing_schedules": [],
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now(),
        "currency": "inr",
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "pause_collection": None,
        "schedule": None,
        "start_date": now(),
        "status": "active",
        "test_clock": None,
        "trial_end": None,
        "trial_start": None,
    } | fields


def subscription_schedule(**fields: Any) -> Object:
    return {
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": {"type": "classic"},
        "canceled_at": None,
        "completed_at": None,
        "created": now(),
        "current_phase": {"start_date": now(), "end_date": now() + MONTH_SECONDS},
        "default_settings": {"billing_cycle_anchor": "automatic"},
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "phases": [],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "test_clock": None,
    } | fields


def subscription_item(*, price: Object, **fields: Any) -> Object:
    plan = {
        "object": "plan",
        "active": price["active"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "id": price["id"],
        "interval": "month",
        "interval_count": 1,
        "livemode": price["livemode"],
        "metadata": {},
        "product": price["product"],
        "usage_type": "licensed",
    }
    return {
        "object": "subscription_item",
        "created": now(),
        "current_period_end": now() + MONTH_SECONDS,
        "current_period_start": now(),
        "discounts": [],
        "metadata": {},
        "plan": plan,
        "price": copy.deepcopy(price),
        "quantity": 1,
        "tax_rates": [],
    } | fields


def portal_session(**fields: Any) -> Object:
    return {
        "object": "billing_portal.session",
        "configuration": None,
        "created": now(),
        "flow": None,
        "livemode": False,
        "locale": None,
        "on_behalf_of": None,
    } | fields


def portal_configuration(**fields: Any) -> Object:
    return {
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None},
        "created": now(),
        "default_return_url": None,
        "features": {},
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "updated": now(),
    } | fields


def webhook_endpoint(**fields: Any) -> Object:
    return {
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": now(),
        "description": None,
        "enabled_events": [],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
    } | fields


def payment_method(**fields: Any) -> Object:
    return {
        "object": "payment_method",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2040},
        "created": now(),
        "livemode": False,
        "metadata": {},
        "type": "card",
    } | fields


def payment_intent(**fields: Any) -> Object:
    return {
        "object": "payment_intent",
        "amount": 49900,
        "amount_capturable": 0,
        "amount_received": 49900,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": now(),
        "currency": "inr",
        "livemode": False,
        "metadata": {},
        "payment_method_types": ["card"],
        "status": "succeeded",
    } | fields


def balance_transaction(**fields: Any) -> Object:
    return {
        "object": "balance_transaction",
        "amount": 49900,
        "available_on": now(),
        "balance_type": "payments",
        "created": now(),
        "currency": "inr",
        "description": None,
        "exchange_rate": None,
        "fee": 1500,
        "fee_details": [],
        "net": 48400,
        "reporting_category": "charge",
        "status": "available",
        "type": "charge",
    } | fields


def charge(**fields: Any) -> Object:
    return {
        "object": "charge",
        "amount": 49900,
        "amount_captured": 49900,
        "amount_refunded": 0,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "captured": True,
        "created": now(),
        "currency": "inr",
        "disputed": False,
        "livemode": False,
        "metadata": {},
        "paid": True,
        "refunded": False,
        "status": "succeeded",
    } | fields


def dispute(**fields: Any) -> Object:
    return {
        "object": "dispute",
        "amount": 49900,
        "balance_transactions": [],
        "created": now(),
        "currency": "inr",
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {"due_by": None, "has_evidence": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "reason": "fraudulent",
        "status": "needs_response",
    } | fields


def event(*, kind: str, about: Object, **fields: Any) -> Object:
    return {
        "object": "event",
        "api_version": API_VERSION,
        "created": now(),
        "data": {"object": copy.deepcopy(about)},
        "livemode": about.get("livemode", False),
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    } | fields


def listing(objects: list[Object], *, url: str, has_more: bool = False) -> Object:
    return {"object": "list", "data": objects, "has_more": has_more, "url": url}


def now() -> int:
    return int(time.time())
