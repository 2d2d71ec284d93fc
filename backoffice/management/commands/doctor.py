import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backoffice.management.doctor import run_checks


class Command(BaseCommand):
    help = "Check everything that the program depends on, and say what is wrong. Ends with 1 then."
    # It says itself what the checks would stop it with.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer with one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = run_checks()
        if options["json"]:
            told = {each.name: {"ok": each.ok, "detail": each.detail} for each in findings}
            self.stdout.write(json.dumps(told))
        else:
            for each in findings:
                mark = "ok " if each.ok else "BAD"
                self.stdout.write(mark + " " + each.name + ": " + each.detail)
        ill = [each.name for each in findings if not each.ok]
        if ill:
            raise CommandError(f"Not well: {', '.join(ill)}.")
