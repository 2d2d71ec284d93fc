"""Accounts as staff see them. No code, digest or token is shown, and no event can be changed."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.client import client_of
from accounts.models import AuditEvent, OneTimeCode, Session, User
from accounts.sessions import end_all_sessions

USER_FIELDS: list[Any] = [
    *["id", "mobile", "name", "tier", "is_verified", "is_active", "has_password"],
    *["stripe_customer_id", "created_at", "last_login", "is_staff", "is_superuser", "groups"],
]

# Shows the secret of a second factor; `manage.py admin_totp` sets one up.
admin.site.unregister(TOTPDevice)


class ReadOnlyAdmin(admin.ModelAdmin):
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ["mobile", "name", "tier", "is_active", "is_staff", "created_at"]
    list_filter = ["tier", "is_active", "is_staff"]
    search_fields = ["mobile", "name", "id"]
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["disable", "enable", "end_sessions"]
    fields = USER_FIELDS
    filter_horizontal = ["groups"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[Any]:
        # Whoever may change users must not make themselves more than they are.
        own = {"name", *(["is_staff", "is_superuser", "groups"] if is_superuser(request) else [])}
        return [field for field in USER_FIELDS if field not in own]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    @admin.action(description="Disable: shut out from the next request on", permissions=["change"])
    def disable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in manageable(request, users):
            user.disable()
            record(request, AuditEvent.Action.USER_DISABLED, user)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in manageable(request, users):
            if user.enable():
                record(request, AuditEvent.Action.USER_ENABLED, user)

    @admin.action(description="End all sessions", permissions=["change"])
    def end_sessions(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in manageable(request, users):
            end_all_sessions(
                user=user,
                reason=Session.Ending.ENDED_BY_STAFF,
                client=client_of(request),
                actor=str(request.user.pk),
            )


@admin.register(OneTimeCode)
class OneTimeCodeAdmin(ReadOnlyAdmin):
    list_display = ["mobile", "created_at", "expires_at", "ending", "delivery_status"]
    list_filter = ["delivery_status", "ending"]
    search_fields = ["mobile"]
    ordering = ["-id"]
    # Named one by one: the salt is not among them.
    fields = [
        *["mobile", "created_at", "expires_at", "attempts_left", "ended_at", "ending", "ip"],
        *["delivery_status", "delivery_tries", "delivery_error", "next_delivery_at"],
    ]


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ["user", "auth_method", "created_at", "last_used_at", "ip", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["user__mobile"]
    ordering = ["-id"]
    # Named one by one: the digests are not among them.
    fields = [
        *["user", "auth_method", "authenticated_at", "created_at", "last_used_at", "rotated_at"],
        *["ip", "user_agent", "revoked_at", "revoked_reason"],
    ]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "action", "user_id", "actor", "ip", "request_id"]
    list_filter = ["action"]
    search_fields = ["user_id", "mobile_digest", "request_id"]
    ordering = ["-id"]


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def manageable(request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
    """Other staff are for superusers alone to shut out."""
    return users if is_superuser(request) else users.filter(is_staff=False)


def record(request: HttpRequest, action: AuditEvent.Action, user: User, **details: Any) -> None:
    AuditEvent.objects.record(
        action, user_id=user.pk, client=client_of(request), actor=str(request.user.pk), **details
    )
