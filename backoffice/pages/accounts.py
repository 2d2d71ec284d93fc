"""Admin pages of accounts, without codes, digests and tokens; events are read-only.

The page of users needs data of billing and messaging, and is in `backoffice.pages.users`.
"""

from typing import Any

# These modules register Group and TOTPDevice. Both are unregistered below, since the apps of the
# modules load later.
import django.contrib.auth.admin  # noqa: F401
import django_otp.plugins.otp_totp.admin  # noqa: F401
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import AccountAction, AuditEvent, OneTimeCode, Session, User
from accounts.models.audit import mobile_digest
from backoffice.models import BackofficeAction
from backoffice.pages.base import AgeFilter, ChoiceFilter, ReadOnlyAdmin, as_mobile, as_uuid
from billing.models import BillingAction
from messaging.models.audit import MessagingAction
from privacy.models import PrivacyAction

# Its page displays the secret of a second factor; `manage.py admin_totp` creates one.
admin.site.unregister(TOTPDevice)
# Roles are listed in backoffice.roles, and `manage.py sync_roles` stores them.
admin.site.unregister(Group)


class DeliveryFilter(ChoiceFilter):
    title = "delivery"
    parameter_name = "delivery"
    options = {"failed": ("Failed", Q(delivery_status="failed"))}


@admin.register(OneTimeCode)
class OneTimeCodeAdmin(ReadOnlyAdmin):
    list_display = ["mobile", "created_at", "expires_at", "ending", "delivery_status"]
    list_filter = [DeliveryFilter, AgeFilter]
    # A list of names, so the salt is not among the fields.
    fields = [
        "mobile",
        "created_at",
        "expires_at",
        "attempts_left",
        "ended_at",
        "ending",
        "ip",
        "delivery_status",
        "delivery_tries",
        "delivery_error",
        "next_delivery_at",
    ]

    def search_query(self, term: str) -> Q:
        key = as_uuid(term)
        return Q(pk=key) if key else Q(mobile=as_mobile(term))


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = [
        "user",
        "channel",
        "auth_method",
        "created_at",
        "last_used_at",
        "ip",
        "revoked_at",
    ]
    list_select_related = ["user"]
    list_filter = [AgeFilter]
    # A list of names, so the digests are not among the fields.
    fields = [
        "user",
        "channel",
        "auth_method",
        "authenticated_at",
        "created_at",
        "last_used_at",
        "rotated_at",
        "ip",
        "user_agent",
        "revoked_at",
        "revoked_reason",
    ]


ACTION_LABELS: dict[str, str] = {
    value: str(label)
    for actions in (AccountAction, BillingAction, MessagingAction, PrivacyAction, BackofficeAction)
    for value, label in actions.choices
}


class ActionFilter(ChoiceFilter):
    title = "action"
    parameter_name = "action"
    options = {value: (label, Q(action=value)) for value, label in ACTION_LABELS.items()}


class ActorFilter(ChoiceFilter):
    title = "by"
    parameter_name = "by"
    options = {"command": ("Commands", Q(actor="command"))}


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "action_label",
        "user_id",
        "actor",
        "target",
        "reason",
        "request_id",
    ]
    list_filter = [ActionFilter, ActorFilter, AgeFilter]
    readonly_fields = ["action_label", "ip"]
    export_columns = ("created_at", "action", *list_display[2:], "ip", "details")
    search_help_text = (
        "The whole id of a user, a member of staff, a row or a request, or a mobile number."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        return super().get_queryset(request).select_related("address")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        names = super().get_fields(request, obj)
        return ["action_label", *(each for each in names if each not in ("action", "action_label"))]

    @admin.display(description="action", ordering="action")
    def action_label(self, event: AuditEvent) -> str:
        return ACTION_LABELS.get(event.action, event.action)

    @admin.display(description="address")
    def ip(self, event: AuditEvent) -> str:
        """Return the address, or "" after its 90 days or the erasure of the person."""
        address = getattr(event, "address", None)
        return address.ip if address else ""

    def reason(self, event: AuditEvent) -> str:
        return str(event.details.get("reason", ""))

    def search_query(self, term: str) -> Q:
        if mobile := as_mobile(term):
            known = User.objects.filter(mobile=mobile).values_list("pk", flat=True)
            return Q(mobile_digest=mobile_digest(mobile)) | Q(user_id__in=list(known))
        key = as_uuid(term)
        if key is None:
            return Q(target=term) | Q(request_id=term)
        # The actor may be an erased member of staff.
        return Q(user_id=key) | Q(actor=str(key)) | Q(target=str(key)) | Q(pk=key)
