"""System checks of accounts: settings that must not reach a running server."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import phonenumbers
from django.conf import settings
from django.core.checks import Error, Tags, register
from django.utils.module_loading import import_string

from accounts.phone_numbers import EVERY_COUNTRY, REFUSED_KINDS

# For SMS_CHALLENGE. `accounts.auth.challenges` needs the models, and the models are not loaded yet.
MODES = ("off", "auto", "always")
SHORTEST_SECRET_BYTES = 32
# With the shortest key of each: RFC 7518, 3.2, no shorter than the hash's output.
ALGORITHMS = {"HS256": 32, "HS384": 48, "HS512": 64}
# The trigger on audit events allows the deletion a day before this age.
LEAST_RETENTION_DAYS = 180
CONSOLE = "accounts.sms.ConsoleBackend"
MEMORY = "accounts.sms.MemoryBackend"
TWILIO = "accounts.sms.TwilioBackend"
# A larger value is a slip in a stranger's favour. The address would come from a header of the
# stranger's, and a stolen token or code would stay valid.
MOST_PROXIES = 10
LONGEST_TOKEN, LONGEST_CODE = timedelta(days=7), timedelta(hours=1)
# For SMS_ALLOWED_COUNTRIES: calling codes without a country, such as a satellite's.
WORLDWIDE_CODES = [f"+{code}" for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS]
TWILIO_SETTINGS = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM")


@register(Tags.security)
def check_account_settings(**kwargs: Any) -> list[Error]:
    return [*_check_values(), *([] if settings.DEBUG else _check_production())]


def _check_values() -> Iterator[Error]:
    if settings.JWT_ALGORITHM not in ALGORITHMS:
        yield Error(f"JWT_ALGORITHM must be one of {', '.join(ALGORITHMS)}.", id="gemchat.E003")
    if settings.TRUSTED_PROXY_COUNT < 0:
        yield Error("TRUSTED_PROXY_COUNT must be 0 or more.", id="gemchat.E004")
    if settings.PHONE_DEFAULT_REGION not in phonenumbers.SUPPORTED_REGIONS:
        yield Error(
            "PHONE_DEFAULT_REGION must be a country of two capital letters, such as IN.",
            id="gemchat.E005",
        )
    for country in settings.SMS_ALLOWED_COUNTRIES:
        if country not in (EVERY_COUNTRY, *phonenumbers.SUPPORTED_REGIONS, *WORLDWIDE_CODES):
            yield Error(
                f"SMS_ALLOWED_COUNTRIES: {country} is no country such as IN;"
                f" {EVERY_COUNTRY} allows every country.",
                id="accounts.E002",
            )
    for kind in settings.SMS_ALLOWED_KINDS:
        if kind not in REFUSED_KINDS.values():
            kinds = ", ".join(REFUSED_KINDS.values())
            yield Error(
                f"SMS_ALLOWED_KINDS: {kind} is none of {kinds}.",
                id="accounts.E006",
            )
    if not 0 <= settings.SMS_RESERVED_SHARE < 1:
        yield Error("SMS_RESERVED_SHARE must be 0 or more, and less than 1.", id="accounts.E003")
    if settings.SMS_CHALLENGE not in MODES:
        yield Error(f"SMS_CHALLENGE must be one of {', '.join(MODES)}.", id="accounts.E004")
    if timedelta() >= settings.OTP_LIFETIME:
        yield Error("OTP_EXPIRATION_MINUTES must be more than 0.", id="gemchat.E006")
    if settings.ABSENCE_DAYS < 0:
        yield Error("ABSENCE_DAYS must be 0, for never, or more.", id="accounts.E007")
    if timedelta() >= settings.JWT_LIFETIME:
        yield Error("JWT_EXPIRATION_HOURS must be more than 0.", id="gemchat.E007")
    if settings.AUDIT_RETENTION_DAYS and settings.AUDIT_RETENTION_DAYS < LEAST_RETENTION_DAYS:
        yield Error(
            f"AUDIT_RETENTION_DAYS must be 0, for ever, or {LEAST_RETENTION_DAYS} or more.",
            id="accounts.E001",
        )
    if settings.SMS_BACKEND == TWILIO:
        missing = [name for name in TWILIO_SETTINGS if not getattr(settings, name)]
        if missing:
            yield Error(f"The Twilio backend needs {', '.join(missing)}.", id="gemchat.E008")


def _check_production() -> Iterator[Error]:
    if settings.OTP_ECHO:
        yield Error(
            "OTP_ECHO gives codes to everybody: allowed with DEBUG only.",
            id="gemchat.E001",
        )
    shortest = ALGORITHMS.get(settings.JWT_ALGORITHM, SHORTEST_SECRET_BYTES)
    if any(len(key.encode()) < shortest for key in settings.JWT_SECRETS):
        yield Error(
            f"Every key in JWT_SECRET must have {shortest} bytes or more.",
            id="gemchat.E002",
        )
    if len(settings.OTP_SECRET.encode()) < SHORTEST_SECRET_BYTES:
        yield Error(
            f"OTP_SECRET must have {SHORTEST_SECRET_BYTES} bytes or more.", id="gemchat.E009"
        )
    yield from _check_largest()
    try:
        import_string(settings.SMS_BACKEND)
    except ImportError:
        yield Error(f"SMS_BACKEND: there is no {settings.SMS_BACKEND}.", id="accounts.E002")
    if settings.SMS_BACKEND == MEMORY:
        yield Error(
            "SMS_BACKEND keeps codes in memory, where nobody gets them: name another with DEBUG"
            " off, such as twilio.",
            id="gemchat.E010",
        )
    if settings.SMS_BACKEND == CONSOLE:
        yield Error(
            "SMS_BACKEND is the console, which shows codes: name another with DEBUG off,"
            " such as twilio.",
            id="gemchat.E010",
        )


def _check_largest() -> Iterator[Error]:
    if settings.TRUSTED_PROXY_COUNT > MOST_PROXIES:
        yield Error(f"TRUSTED_PROXY_COUNT must be {MOST_PROXIES} or less.", id="accounts.E003")
    if settings.JWT_LIFETIME > LONGEST_TOKEN:
        yield Error("JWT_EXPIRATION_HOURS must be 168, a week, or less.", id="accounts.E004")
    if settings.OTP_LIFETIME > LONGEST_CODE:
        yield Error("OTP_EXPIRATION_MINUTES must be 60 or less.", id="accounts.E005")
