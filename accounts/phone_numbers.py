"""Mobile numbers: every notation of a number gives the same E.164."""

import re
import unicodedata

import phonenumbers
from django.conf import settings
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

# Besides spaces, dashes and format characters: other points and strokes, and other blanks.
PUNCTUATION = frozenset(
    "\t()./"
    "\u2212\u2043\u00b7\u2022\u2024\u30fb\uff08\uff09\uff0e\uff0f"
    "\u034f\u2800\u3164\ufe0e\ufe0f"
)
# Space separators, dashes, and format characters: zero-width ones and marks of direction.
SEPARATOR_CATEGORIES = frozenset({"Zs", "Pd", "Cf"})
FULL_WIDTH_PLUS = "\uff0b"
# The scheme of a link, as a browser copies it.
SCHEME = re.compile(r"^tel:", re.IGNORECASE)
# ASCII digits alone: `\d` would take the digits of every script.
ACCEPTED = re.compile(r"\+?[0-9]{10,15}")
# In SMS_ALLOWED_COUNTRIES.
EVERY_COUNTRY = "*"
# phonenumbers' region of calling codes without a country: satellites and worldwide services.
NO_COUNTRY = "001"
# The sender pays for texts to these numbers, or a machine answers.
REFUSED_KINDS = {
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}
ARGENTINA, MEXICO = 54, 52
# Argentina's area codes begin with another digit than the 9 of a mobile number.
ARGENTINE_WITHOUT_9 = re.compile(r"[1-8][0-9]{9}")
# Prefixes of mobile numbers from before 2019.
MEXICAN_WITH_PREFIX = re.compile(r"(?:1|44|45)([0-9]{10})")


class InvalidPhoneNumber(ValueError):
    """The text is no valid mobile number for this program; str() gives the reason."""


def to_textable(text: str) -> str:
    """Return the E.164 of a number that codes are sent to. Raises InvalidPhoneNumber."""
    mobile = to_e164(text)
    if not phonenumbers.is_valid_number(phonenumbers.parse(mobile)):
        raise InvalidPhoneNumber("There is no such number. Check the country code and the digits.")
    allowed = settings.SMS_ALLOWED_COUNTRIES
    region = phone_region(mobile)
    # `*` is every country, and a satellite is none.
    if region not in allowed and (EVERY_COUNTRY not in allowed or region.startswith("+")):
        raise InvalidPhoneNumber("Codes are not sent to this country.")
    return mobile


def phone_region(mobile: str) -> str:
    """Return the country of an E.164 number, as IN; else the calling code."""
    return _region(phonenumbers.parse(mobile))


def format_for_people(mobile: str) -> str:
    """Return an E.164 number with spaces, as +91 98123 45678."""
    return phonenumbers.format_number(phonenumbers.parse(mobile), PhoneNumberFormat.INTERNATIONAL)


def to_e164(text: str) -> str:
    """Return the E.164 of a number, also of the format of PHONE_DEFAULT_REGION."""
    digits = without_separators(text)
    if not ACCEPTED.fullmatch(digits):
        raise InvalidPhoneNumber("Give a mobile number: + and 10 to 15 digits.")
    number = _parsed(digits)
    if number is None:
        raise InvalidPhoneNumber("This is not a phone number." + _hint(digits))
    # Without a country code the region is a guess.
    if not digits.startswith("+") and not phonenumbers.is_valid_number(number):
        raise InvalidPhoneNumber(
            f"There is no such number with +{number.country_code}." + _hint(digits)
        )
    kind = REFUSED_KINDS.get(phonenumbers.number_type(number))
    region = _region(number)
    is_named = region.startswith("+") and region in settings.SMS_ALLOWED_COUNTRIES
    if kind and kind not in settings.SMS_ALLOWED_KINDS and not is_named:
        raise InvalidPhoneNumber("Codes are not sent to numbers of this kind.")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def without_separators(text: str) -> str:
    """Return the text of a number without `tel:`, spaces, dashes and invisible characters."""
    visible = "".join(sign for sign in text if not _is_separator(sign))
    return SCHEME.sub("", visible, count=1).replace(FULL_WIDTH_PLUS, "+")


def _is_separator(sign: str) -> bool:
    return sign in PUNCTUATION or unicodedata.category(sign) in SEPARATOR_CATEGORIES


def _parsed(digits: str) -> PhoneNumber | None:
    """Return the one form of a number; None for digits that no number has."""
    try:
        number = phonenumbers.parse(digits, settings.PHONE_DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        return None
    number = _one_form(number)
    return number if phonenumbers.is_possible_number(number) else None


def _one_form(number: PhoneNumber) -> PhoneNumber:
    """Return Argentina's mobile numbers with the 9, and Mexico's without the 1."""
    digits = str(number.national_number)
    if number.country_code == MEXICO and (found := MEXICAN_WITH_PREFIX.fullmatch(digits)):
        return PhoneNumber(country_code=MEXICO, national_number=int(found[1]))
    is_without_9 = number.country_code == ARGENTINA and ARGENTINE_WITHOUT_9.fullmatch(digits)
    if is_without_9 and phonenumbers.number_type(number) not in REFUSED_KINDS:
        return PhoneNumber(country_code=ARGENTINA, national_number=int(f"9{digits}"))
    return number


def _region(number: PhoneNumber) -> str:
    region = phonenumbers.region_code_for_number(number)
    return region if region and region != NO_COUNTRY else f"+{number.country_code}"


def _hint(digits: str) -> str:
    """Return a hint to write the country code, with the number that `+` would give."""
    if digits.startswith("+"):
        return ""
    number = _parsed(f"+{digits}")
    if number is None or not phonenumbers.is_valid_number(number):
        return " Write the country code, as in +91 98123 45678."
    written = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    return f" Write the country code: is the number {written}?"
