"""The admin's sign-in: mobile number and password under the API's limits, and a second factor.

The second factor (TOTP) is required but in development. django-otp's own middleware and site are
not used: they put an `is_verified` method on the user, where this program has a field.
"""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django_otp import DEVICE_ID_SESSION_KEY, match_token
from django_otp.models import Device

from accounts import limits
from accounts.client import Client, client_of
from accounts.hashers import hashing_permit
from accounts.limits import RateLimited
from accounts.mobile import InvalidMobile, to_e164
from accounts.models import AuditEvent, LimitHit, User
from accounts.serializers import LONGEST_PASSWORD
from accounts.sign_in import InvalidCredentials, check_credentials


class StaffSignInForm(AdminAuthenticationForm):
    # The name that django-otp's sign-in template has for it.
    otp_token = forms.CharField(
        required=False,
        max_length=6,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    error_messages = {
        "invalid_login": "Number, password and code do not match those of a member of staff.",
        "inactive": "Number, password and code do not match those of a member of staff.",
    }

    def clean(self) -> dict[str, Any]:
        if self.request and "username" in self.cleaned_data and "password" in self.cleaned_data:
            try:
                self.user_cache = self._staff_user(client_of(self.request))
            except RateLimited as error:
                raise ValidationError(str(error), RateLimited.code) from error
            except (InvalidMobile, InvalidCredentials) as error:
                raise self.get_invalid_login_error() from error
        return self.cleaned_data

    def _staff_user(self, client: Client) -> User:
        password = self.cleaned_data["password"]
        if len(password) > LONGEST_PASSWORD:
            raise InvalidCredentials
        mobile = to_e164(self.cleaned_data["username"])
        user = check_credentials(
            mobile=mobile, password=password, client=client, kind=LimitHit.Kind.STAFF_FAILURE
        )
        self.confirm_login_allowed(user)
        if not settings.DEBUG:
            self._check_second_factor(user, client)
        AuditEvent.objects.record(AuditEvent.Action.STAFF_SIGNED_IN, user_id=user.pk, client=client)
        return user

    def _check_second_factor(self, user: User, client: Client) -> None:
        device = match_token(user, self.cleaned_data.get("otp_token", ""))
        if device is None:
            limits.take_guess(mobile=user.mobile, client=client, kind=LimitHit.Kind.STAFF_FAILURE)
            raise InvalidCredentials
        # django-otp keeps it in the admin's session when the user is signed in.
        user.otp_device = device  # type: ignore[attr-defined]


class StaffPasswordForm(AdminPasswordChangeForm):
    """Ends the user's sessions at the API too."""

    def __init__(self, user: User, *args: Any, client: Client, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.client = client

    def clean_old_password(self) -> str:
        with hashing_permit():
            try:
                guess = limits.take_guess(
                    mobile=self.user.mobile, client=self.client, kind=LimitHit.Kind.STAFF_FAILURE
                )
            except RateLimited as error:
                raise ValidationError(str(error), RateLimited.code) from error
            password = super().clean_old_password()
        limits.settle(guess, is_right=True)
        return password

    def save(self, commit: bool = True) -> Any:
        with transaction.atomic():
            self.user.change_password(self.cleaned_data["new_password1"])
            AuditEvent.objects.record(
                AuditEvent.Action.PASSWORD_CHANGED, user_id=self.user.pk, client=self.client
            )
        return self.user


class StaffPasswordView(PasswordChangeView):
    form_class = StaffPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "client": client_of(self.request)}


class StaffSite(AdminSite):
    login_form = StaffSignInForm
    login_template = "otp/admin111/login.html"
    site_title = site_header = "GemChatRoom"
    index_title = "Overview"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and (settings.DEBUG or has_second_factor(request))

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        view = StaffPasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            template_name="registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)


def has_second_factor(request: HttpRequest) -> bool:
    """Whether this session was opened with a device that is still the user's."""
    device_id = request.session.get(DEVICE_ID_SESSION_KEY)
    device = Device.from_persistent_id(device_id) if device_id else None
    return device is not None and device.confirmed and device.user_id == request.user.pk
