import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backoffice.management.doctor import run_checks


class Command(BaseCommand):
    help = "Check everything that the program depends on. Ends with 1 if a check fails."
    # The command reports the faults itself; Django's checks would stop the command at a fault.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer with one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        results = run_checks()
        if options["json"]:
            report = {result.name: {"ok": result.ok, "detail": result.detail} for result in results}
            self.stdout.write(json.dumps(report))
        else:
            for result in results:
                mark = "ok " if result.ok else "BAD"
                self.stdout.write(f"{mark} {result.name}: {result.detail}")
        failed = [result.name for result in results if not result.ok]
        if failed:
            raise CommandError(f"Not well: {', '.join(failed)}.")
