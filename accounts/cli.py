"""Base classes of commands: --mobile, --json, and failures as one sentence."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from accounts.models import User
from accounts.phone_numbers import InvalidPhoneNumber, to_e164

COMMAND = "command"


def typed_mobile(text: str) -> str:
    """Return the E.164 of an argument. Raises CommandError."""
    try:
        return to_e164(text)
    except InvalidPhoneNumber as error:
        raise CommandError(str(error)) from error


def add_yes(parser: CommandParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask no question")


def confirm(effect: str, *, yes: bool) -> None:
    """Return if the operator agrees: by --yes, or at a terminal. Raises CommandError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{effect} Add --yes to confirm.")
    # Standard output is for the report.
    print(f"{effect} Continue? [y/N]", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was done.")


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "no row"


class JsonCommand(BaseCommand):
    """A command with a `report`, printed as lines or as one JSON object."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer with one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        report = self.report(**options)
        if options["json"]:
            self.stdout.write(json.dumps(report, cls=DjangoJSONEncoder))
            return
        for name, value in report.items():
            self.stdout.write(f"{name}: {value}")

    def report(self, **options: Any) -> dict[str, Any]:
        raise NotImplementedError


class MobileCommand(JsonCommand):
    """A command about one mobile number, in any notation."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--mobile", required=True, help="the number, such as +911234567890")

    def report(self, **options: Any) -> dict[str, Any]:
        mobile = typed_mobile(options["mobile"])
        return {"mobile": mobile, **self.run_for_mobile(**{**options, "mobile": mobile})}

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        raise NotImplementedError


class UserCommand(MobileCommand):
    """A command about a user."""

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        user = User.objects.filter(mobile=mobile).first()
        if user is None:
            raise CommandError(f"There is no user with the number {mobile}.")
        return self.run_for_user(user, **options)

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        raise NotImplementedError
