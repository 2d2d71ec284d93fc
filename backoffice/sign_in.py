"""The admin's sign-in: mobile number and password under the API's limits, and a second factor.

Each failure does the same work and gives the same answer. Only the audit log has the cause: number,
password, role or second factor. A session ends 12 hours after the sign-in, and after 30 minutes
without a request.

The second factor (TOTP) is required except in development. The middleware and the site of
django-otp are not used. Both add an `is_verified` method to the user, and the user has a field of
the same name.
"""

from datetime import datetime, timedelta
from functools import update_wrapper
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY, match_token
from django_otp.models import Device

from accounts.api.serializers import LONGEST_MOBILE, LONGEST_PASSWORD
from accounts.auth import rate_limits
from accounts.auth.hashers import Overloaded, hashing_permit
from accounts.auth.rate_limits import RateLimited
from accounts.auth.sign_in import InvalidCredentials
from accounts.models import AuditEvent, LimitHit, User
from accounts.models.audit import AccountAction
from accounts.phone_numbers import InvalidPhoneNumber, to_e164
from gemchat.api.client_address import Client, client_from_request

IDLE_LIFETIME = timedelta(minutes=30)
# The minimum time between two writes of a session to move its end.
EXPIRY_PRECISION = timedelta(minutes=1)
SIGNED_IN_AT = "staff_signed_in_at"


class StaffSignInFailed(InvalidCredentials):
    """A failed sign-in; `cause` is for the audit log alone."""

    def __init__(self, cause: str, mobile: str) -> None:
        super().__init__()
        self.cause = cause
        self.mobile = mobile


class StaffSignInForm(AdminAuthenticationForm):
    # The name of the field in django-otp's sign-in template.
    otp_token = forms.CharField(
        required=False,
        max_length=6,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    error_messages = {
        "invalid_login": "Number, password and code do not match those of a member of staff.",
        "inactive": "Number, password and code do not match those of a member of staff.",
    }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # The column has room for E.164 alone; browsers cut a pasted number at Django's limit.
        self.fields["username"].widget.attrs["maxlength"] = LONGEST_MOBILE

    def clean(self) -> dict[str, Any]:
        if self.request and "username" in self.cleaned_data and "password" in self.cleaned_data:
            client = client_from_request(self.request)
            try:
                self.user_cache = self._staff_user(client)
            except (RateLimited, Overloaded) as error:
                raise ValidationError(str(error), error.code) from error
            except StaffSignInFailed as error:
                AuditEvent.objects.record(
                    AccountAction.STAFF_SIGN_IN_FAILED,
                    mobile=error.mobile,
                    client=client,
                    cause=error.cause,
                )
                raise self.get_invalid_login_error() from error
        return self.cleaned_data

    def _staff_user(self, client: Client) -> User:
        """Return the signed-in member of staff.

        Raises StaffSignInFailed, RateLimited, Overloaded. The attempt is counted first, and the
        count is released after a success.
        """
        mobile, password = self._mobile(), self.cleaned_data["password"]
        with hashing_permit():
            attempt = rate_limits.count_password_attempt(
                mobile=mobile, client=client, kind=LimitHit.Kind.STAFF_FAILURE
            )
            user = User.objects.filter(mobile=mobile, is_active=True, is_verified=True).first()
            # Django spends the time of a hash on an unusable password too.
            known = user or User(password=UNUSABLE_PASSWORD_PREFIX)
            # A longer password is cut before the hash, and is never right.
            is_right = known.check_password(password[:LONGEST_PASSWORD])
        if user is None:
            cause = "number"
        elif not is_right or len(password) > LONGEST_PASSWORD:
            cause = "password"
        elif not user.is_staff:
            cause = "role"
        elif not self._has_second_factor(user):
            cause = "second_factor"
        else:
            rate_limits.correct_attempt(attempt, is_right=True)
            User.objects.mark_seen(user.pk)
            AuditEvent.objects.record(AccountAction.STAFF_SIGNED_IN, user_id=user.pk, client=client)
            return user
        raise StaffSignInFailed(cause, mobile)

    def _mobile(self) -> str:
        """Return the number in E.164; for another text "", the number of no user."""
        try:
            return to_e164(self.cleaned_data["username"])
        except InvalidPhoneNumber:
            return ""

    def _has_second_factor(self, user: User) -> bool:
        if settings.DEBUG:
            return True
        device = match_token(user, self.cleaned_data.get("otp_token", ""))
        # django-otp stores the device in the admin's session at the sign-in.
        user.otp_device = device  # type: ignore[attr-defined]
        return device is not None


class StaffPasswordForm(AdminPasswordChangeForm):
    """The password form, which also ends the user's sessions at the API."""

    def __init__(self, user: User, *args: Any, client: Client, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.client = client

    def clean_old_password(self) -> str:
        with hashing_permit():
            try:
                attempt = rate_limits.count_password_attempt(
                    mobile=self.user.mobile, client=self.client, kind=LimitHit.Kind.STAFF_FAILURE
                )
            except RateLimited as error:
                raise ValidationError(str(error), error.code) from error
            password = super().clean_old_password()
        rate_limits.correct_attempt(attempt, is_right=True)
        return password

    def save(self, commit: bool = True) -> Any:
        with transaction.atomic():
            self.user.change_password(self.cleaned_data["new_password1"])
            AuditEvent.objects.record(
                AccountAction.PASSWORD_CHANGED, user_id=self.user.pk, client=self.client
            )
        return self.user


class StaffPasswordView(PasswordChangeView):
    form_class = StaffPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "client": client_from_request(self.request)}


class StaffSite(AdminSite):
    login_form = StaffSignInForm
    login_template = "otp/admin111/login.html"
    site_title = site_header = "GemChatRoom"
    index_title = "Overview"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and (settings.DEBUG or has_second_factor(request))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Extend Django's view by a message after a redirect from another page."""
        if request.method == "GET" and "next" in request.GET and not self.has_permission(request):
            minutes = round(IDLE_LIFETIME.total_seconds() / 60)
            text = f"Sign in to continue. A session ends after {minutes} minutes without a request."
            messages.info(request, text)
        return super().login(request, extra_context)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Extend Django's wrapper: a permitted request also moves the end of the session."""

        def with_expiry(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            move_expiry(request)
            return view(request, *args, **kwargs)

        return super().admin_view(update_wrapper(with_expiry, view), cacheable)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        view = StaffPasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            template_name="registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)


@receiver(user_logged_in)
def begin_session(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Set both ends of an admin session; only the admin has Django's sessions."""
    now = timezone.now()
    request.session[SIGNED_IN_AT] = now.isoformat()
    request.session.set_expiry(now + IDLE_LIFETIME)


def move_expiry(request: HttpRequest) -> None:
    """Extend the session by 30 minutes, to at most 12 hours.

    The session's row has the end, so Django itself refuses an expired session.
    """
    now = timezone.now()
    began = datetime.fromisoformat(request.session.setdefault(SIGNED_IN_AT, now.isoformat()))
    absolute = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    expiry = min(now + IDLE_LIFETIME, began + absolute)
    if expiry - request.session.get_expiry_date() > EXPIRY_PRECISION:
        request.session.set_expiry(expiry)


def has_second_factor(request: HttpRequest) -> bool:
    """Check whether the session was opened with a present device of the user."""
    device_id = request.session.get(DEVICE_ID_SESSION_KEY)
    device = Device.from_persistent_id(device_id) if device_id else None
    return device is not None and device.confirmed and device.user_id == request.user.pk
