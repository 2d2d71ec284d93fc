"""Mobile numbers: every notation of a number gives the same E.164."""

import re

import phonenumbers
from django.conf import settings
from phonenumbers import PhoneNumberType

SEPARATORS = re.compile(r"[ ().-]")
# ASCII digits alone: `\d` would take the digits of every script.
ACCEPTED = re.compile(r"\+?[0-9]{10,15}")
# In SMS_ALLOWED_COUNTRIES.
EVERY_COUNTRY = "*"
# The sender pays for texts to these numbers: the income of SMS fraud.
REFUSED_TYPES = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.TOLL_FREE,
}


class InvalidPhoneNumber(ValueError):
    """The text is no valid mobile number for this program; str() gives the reason."""


def to_textable(text: str) -> str:
    """Return the E.164 of a number in SMS_ALLOWED_COUNTRIES. Raises InvalidPhoneNumber."""
    mobile = to_e164(text)
    allowed = settings.SMS_ALLOWED_COUNTRIES
    if EVERY_COUNTRY not in allowed and phone_region(mobile) not in allowed:
        raise InvalidPhoneNumber("Codes are not sent to this country.")
    return mobile


def phone_region(mobile: str) -> str:
    """Return the country of an E.164 number, as IN; else the calling code."""
    number = phonenumbers.parse(mobile)
    return phonenumbers.region_code_for_number(number) or f"+{number.country_code}"


def to_e164(text: str) -> str:
    """Return the E.164 of a number, also of the format of PHONE_DEFAULT_REGION."""
    digits = SEPARATORS.sub("", text)
    if not ACCEPTED.fullmatch(digits):
        raise InvalidPhoneNumber("Give a mobile number: + and 10 to 15 digits.")
    try:
        number = phonenumbers.parse(digits, settings.PHONE_DEFAULT_REGION)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhoneNumber("This is not a phone number.") from error
    if not phonenumbers.is_possible_number(number):
        raise InvalidPhoneNumber("This is not a phone number.")
    if phonenumbers.number_type(number) in REFUSED_TYPES:
        raise InvalidPhoneNumber("Codes are not sent to numbers of this kind.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
