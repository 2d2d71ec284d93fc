from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.cli import JsonCommand
from messaging.gemini import GeminiError
from messaging.gemini.model_list import listed_models
from messaging.models import ModelFinding, compare


class Command(JsonCommand):
    help = "Compare the table of models with Google's list. No model changes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="store no findings")

    def report(self, **options: Any) -> dict[str, Any]:
        try:
            listed = listed_models()
        except GeminiError as error:
            raise CommandError(error.detail) from error
        findings = compare(listed, on=timezone.now().date())
        if not options["dry_run"]:
            ModelFinding.objects.replace(findings)
        report: dict[str, Any] = asdict(findings)
        if not options["json"]:
            report = {kind: ", ".join(names) or "none" for kind, names in report.items()}
        return {**report, "dry_run": options["dry_run"]}
