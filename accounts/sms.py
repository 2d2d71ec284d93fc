"""Backends for codes to phones. `settings.SMS_BACKEND` is the dotted path of a backend."""

import sys
from typing import ClassVar, NamedTuple, Protocol

import requests
from django.conf import settings
from django.utils.module_loading import import_string

CONNECT_SECONDS, READ_SECONDS = 5, 15


class SmsError(Exception):
    """An SMS refusal of the vendor, as a text for staff.

    The text quotes no message. `permanent` means: another try with the same message cannot help.
    """

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Backend(Protocol):
    def send(self, *, to: str, body: str) -> None:
        """Hand over one message, to a number in E.164. Raises SmsError."""

    def check(self) -> str:
        """Return the target of messages, without a send. Raises SmsError."""


class ConsoleBackend:
    """For development: writes messages to the terminal, past the log."""

    def send(self, *, to: str, body: str) -> None:
        # Celery makes sys.stderr a part of the log, where codes are taken out.
        print(f"SMS to {to}: {body}", file=sys.__stderr__, flush=True)

    def check(self) -> str:
        return "Codes are written to the terminal, and reach no phone."


class Sms(NamedTuple):
    to: str
    body: str


class MemoryBackend:
    """For tests: stores messages in this process."""

    outbox: ClassVar[list[Sms]] = []

    def send(self, *, to: str, body: str) -> None:
        self.outbox.append(Sms(to, body))

    def check(self) -> str:
        return "Codes are kept in this process, and reach no phone."


class TwilioBackend:
    """Twilio's Messages resource: https://www.twilio.com/docs/messaging/api/message-resource"""

    def send(self, *, to: str, body: str) -> None:
        form = {"To": to, "From": settings.TWILIO_FROM, "Body": body}
        self._ask("POST", "/Messages.json", form)

    def check(self) -> str:
        self._ask("GET", ".json")
        return "Twilio takes the account and its token."

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> None:
        account = settings.TWILIO_ACCOUNT_SID
        try:
            response = requests.request(
                method,
                f"{settings.TWILIO_API_BASE}/2010-04-01/Accounts/{account}{path}",
                data=form,
                auth=(account, settings.TWILIO_AUTH_TOKEN),
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        except requests.RequestException as error:
            raise SmsError(f"no answer: {type(error).__name__}", permanent=False) from None
        if not response.ok:
            raise self._error(response)

    def _error(self, response: requests.Response) -> SmsError:
        try:
            vendor_code = response.json()["code"]
        except (ValueError, LookupError, TypeError):
            vendor_code = "none"
        is_permanent = response.status_code < 500 and response.status_code != 429
        return SmsError(
            f"HTTP {response.status_code}, Twilio error {vendor_code}", permanent=is_permanent
        )


def backend() -> Backend:
    chosen: Backend = import_string(settings.SMS_BACKEND)()
    return chosen
