"""The input of clients for accounts, and the JSON of users and sessions."""

from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as PasswordRefused
from django.utils import timezone
from rest_framework import serializers

from accounts.auth.sessions import SignedIn
from accounts.auth.tokens import sign_access_token
from accounts.models import Session, User
from accounts.phone_numbers import InvalidPhoneNumber, to_e164, to_textable
from gemchat.api.fields import LineField, TextField

LONGEST_PASSWORD = 128
# With the separators of people between the digits.
LONGEST_MOBILE = 32


class UntrimmedField(TextField):
    """A string exactly as sent, with the spaces and newlines around the text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)


class MobileField(UntrimmedField):
    """A mobile number in E.164, of any country: every account can sign in."""

    parse = staticmethod(to_e164)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST_MOBILE, **kwargs)

    def to_internal_value(self, value: Any) -> str:
        text = super().to_internal_value(value)
        # DRF checks the length of the result alone.
        if len(text) > LONGEST_MOBILE:
            self.fail("max_length", max_length=LONGEST_MOBILE)
        try:
            return self.parse(text)
        except InvalidPhoneNumber as error:
            raise serializers.ValidationError(str(error), "invalid_mobile") from error


class TextableMobileField(MobileField):
    """A mobile number in a country with delivery of codes."""

    parse = staticmethod(to_textable)


class DigitsField(UntrimmedField):
    """A one-time code: six ASCII digits and nothing else."""

    def to_internal_value(self, value: Any) -> str:
        digits = super().to_internal_value(value)
        if not (len(digits) == 6 and digits.isascii() and digits.isdigit()):
            raise serializers.ValidationError("A code has six digits.", "invalid_otp")
        return digits


class PasswordField(UntrimmedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST_PASSWORD, **kwargs)


class NewPasswordField(PasswordField):
    def to_internal_value(self, value: Any) -> str:
        password = super().to_internal_value(value)
        # DRF checks the length later; a megabyte must not reach Django's list.
        if len(password) <= LONGEST_PASSWORD:
            self._refuse_weak(password)
        return password

    def _refuse_weak(self, password: str) -> None:
        try:
            validate_password(password)
        except PasswordRefused as refused:
            raise serializers.ValidationError(refused.messages, "weak_password") from refused


class MobileSerializer(serializers.Serializer[Any]):
    mobile = MobileField()


class MobileToCheckSerializer(serializers.Serializer[Any]):
    mobile = TextableMobileField()


class SendCodeSerializer(serializers.Serializer[Any]):
    mobile = TextableMobileField()
    challenge_solution = UntrimmedField(required=False, max_length=1_000)


class SignUpSerializer(serializers.Serializer[Any]):
    mobile = TextableMobileField()
    password = NewPasswordField(required=False, allow_null=True)


class VerifyCodeSerializer(MobileSerializer):
    otp = DigitsField()
    signup_token = UntrimmedField(required=False, max_length=1_000)


class ConfirmAccountSerializer(serializers.Serializer[Any]):
    confirmation_token = UntrimmedField(max_length=1_000)
    choice = serializers.ChoiceField(["mine", "start_new"])
    password = PasswordField(required=False, allow_null=True, allow_blank=True)
    signup_token = UntrimmedField(required=False, max_length=1_000)


class LoginSerializer(MobileSerializer):
    password = PasswordField()


class RefreshSerializer(serializers.Serializer[Any]):
    refresh_token = UntrimmedField(max_length=200)


class ChangePasswordSerializer(serializers.Serializer[Any]):
    new_password = NewPasswordField()
    current_password = PasswordField(required=False, allow_null=True, allow_blank=True)


class UserSerializer(serializers.ModelSerializer[User]):
    name = LineField(max_length=100, allow_blank=True)

    class Meta:
        model = User
        fields = ["id", "mobile", "tier", "name", "is_verified", "has_password", "created_at"]
        read_only_fields = [field for field in fields if field != "name"]


class SessionSerializer(serializers.ModelSerializer[Session]):
    """`context["current"]` is the id of the session of the request."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = ["id", "current", "created_at", "last_used_at", "ip", "user_agent"]
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        return session.pk == self.context["current"]


def describe_sign_in(signed_in: SignedIn, message: str) -> dict[str, Any]:
    """The answer of every call for signing in; lifetimes are in seconds."""
    session = signed_in.session
    refresh_lifetime = session.refresh_expires_at - timezone.now()
    return {
        "access_token": sign_access_token(session),
        "token_type": "bearer",
        "expires_in": int(settings.JWT_LIFETIME.total_seconds()),
        "refresh_token": signed_in.refresh_token,
        "refresh_expires_in": int(refresh_lifetime.total_seconds()),
        "message": message,
        "user": UserSerializer(session.user).data,
    }
