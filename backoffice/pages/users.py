"""The admin page of users, with data of every app."""

from typing import Any

import phonenumbers
from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import ManyToManyField, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.models import Session, User
from accounts.models.users import tier_choices
from accounts.phone_numbers import without_separators
from backoffice.actions.accounts import ACCOUNT_ACTIONS
from backoffice.actions.billing import QUOTA_ACTIONS, STRIPE_ACTIONS
from backoffice.actions.privacy import PRIVACY_ACTIONS
from backoffice.pages.base import (
    AgeFilter,
    BackOfficeAdmin,
    ChoiceFilter,
    as_mobile,
    as_uuid,
    change_link,
    html_table,
)
from backoffice.pages.billing import stripe_link
from billing.entitlement import disagreeing
from billing.models import DailyQuota, Grant
from billing.plans import plan_for_user
from messaging.models import Message

# The rows of each list on a user's page.
LISTED_ROWS = 10
SHORTEST_PREFIX = 3
IDENTITY_FIELDS: list[Any] = [
    "id",
    "mobile",
    "name",
    "tier",
    "is_verified",
    "is_active",
    "has_password",
    "created_at",
    "last_seen_at",
]
ROLE_FIELDS: list[Any] = ["is_staff", "is_superuser", "groups"]
RELATED_FIELDS: list[Any] = ["quota", "grants", "customer", "sessions", "failures", "more"]


class TierFilter(ChoiceFilter):
    title = "tier"
    parameter_name = "tier"
    options = {tier: (label, Q(tier=tier)) for tier, label in tier_choices()}


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    options = {
        "disabled": ("Disabled", Q(is_active=False)),
        "staff": ("Staff", Q(is_staff=True)),
    }


class StripeFilter(admin.SimpleListFilter):
    title = "tier against Stripe"
    parameter_name = "stripe"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("disagrees", "Tier disagrees with Stripe")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value() != "disagrees":
            return queryset
        return queryset.filter(pk__in=disagreeing())


@admin.register(User)
class UserAdmin(BackOfficeAdmin):
    list_display = ["mobile", "name", "tier", "is_active", "is_staff", "created_at"]
    list_filter = [TierFilter, StateFilter, StripeFilter, AgeFilter]
    unaudited_fields = frozenset({"name"})
    search_help_text = "A mobile number or its beginning, a whole id, or a customer id of Stripe."
    fieldsets = [
        (None, {"fields": IDENTITY_FIELDS}),
        ("Activity", {"fields": RELATED_FIELDS}),
        ("Staff", {"fields": ROLE_FIELDS}),
    ]
    staff_actions = [*ACCOUNT_ACTIONS, *QUOTA_ACTIONS, *STRIPE_ACTIONS, *PRIVACY_ACTIONS]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[Any]:
        return [name for name in [*IDENTITY_FIELDS, *RELATED_FIELDS] if name != "name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # Otherwise staff with the right to change users could give themselves permissions.
        return bool(getattr(request.user, "is_superuser", False))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def permitted_rows(self, request: HttpRequest, rows: QuerySet[User]) -> QuerySet[User]:
        """Return the rows without staff; only superusers may change staff."""
        return rows if self.has_change_permission(request) else rows.filter(is_staff=False)

    def formfield_for_manytomany(
        self, db_field: ManyToManyField, request: HttpRequest, **kwargs: Any
    ) -> Any:
        kwargs["widget"] = forms.CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def search_query(self, term: str) -> Q:
        if key := as_uuid(term):
            return Q(pk=key)
        if term.startswith("cus_"):
            return Q(stripe_customer_id=term)
        mobile = as_mobile(term)
        if mobile and User.objects.filter(mobile=mobile).exists():
            return Q(mobile=mobile)
        return mobile_prefix_query(term)

    @admin.display(description="Quota today")
    def quota(self, user: User) -> str:
        today, plan = DailyQuota.objects.of_today(user=user), plan_for_user(user)
        return (
            f"{today.used} of {plan.daily_limit} replies,"
            f" {today.unanswered} unanswered, ${today.cost_micro_usd / 1_000_000:.4f}"
        )

    @admin.display(description="Pro by grant")
    def grants(self, user: User) -> SafeString | str:
        rows = Grant.objects.filter(user=user).order_by("-until").values_list("until", "reason")
        return html_table(["Until", "Reason"], rows[:LISTED_ROWS]) or "Never granted."

    @admin.display(description="Customer at Stripe")
    def customer(self, user: User) -> SafeString | str:
        return stripe_link(user.stripe_customer_id) or "None."

    @admin.display(description="Active sessions")
    def sessions(self, user: User) -> SafeString | str:
        rows = Session.objects.active().filter(user=user).order_by("-last_used_at")
        columns = ("last_used_at", "created_at", "auth_method", "ip", "user_agent")
        heads = ["Last used", "Opened", "By", "Address", "Program"]
        return html_table(heads, rows.values_list(*columns)[:LISTED_ROWS]) or "None."

    @admin.display(description="Recent failed replies")
    def failures(self, user: User) -> SafeString | str:
        failed = Message.objects.filter(user=user, status=Message.Status.FAILED).order_by("-id")
        rows = [
            [
                message.ended_at,
                message.error_code,
                change_link(Message, message.pk, str(message.pk)),
            ]
            for message in failed.only("ended_at", "error_code")[:LISTED_ROWS]
        ]
        return html_table(["Failed", "Error", "Reply"], rows) or "None."

    @admin.display(description="See also")
    def more(self, user: User) -> SafeString:
        pages = {
            "rooms": "chatrooms_chatroom",
            "messages": "messaging_message",
            "usage": "billing_usagerecord",
            "codes": "accounts_onetimecode",
            "audit log": "accounts_auditevent",
        }
        links = [
            (
                reverse(f"admin:{page}_changelist"),
                urlencode({"q": user.mobile if name == "codes" else str(user.pk)}),
                name,
            )
            for name, page in pages.items()
        ]
        return format_html_join(", ", '<a href="{}?{}">{}</a>', links)


def mobile_prefix_query(term: str) -> Q:
    """Find numbers by their beginning, with or without the code of the default region."""
    term = without_separators(term)
    digits = "".join(digit for digit in term if digit.isascii() and digit.isdigit())
    if len(digits) < SHORTEST_PREFIX:
        return Q(pk__in=[])
    query = Q(mobile__startswith=f"+{digits}")
    if term.startswith("+"):
        return query
    code = phonenumbers.country_code_for_region(settings.PHONE_DEFAULT_REGION)
    return query | Q(mobile__startswith=f"+{code}{digits.lstrip('0')}")
