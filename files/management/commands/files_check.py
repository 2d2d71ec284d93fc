"""Find files without their bytes, as after the restore of an older storage."""

from typing import Any

from django.core.management.base import CommandParser

from accounts.cli import JsonCommand, add_yes, confirm
from files.models import File
from files.storage import blobs
from gemchat.stores.batches import in_key_order

BATCH = 500


class Command(JsonCommand):
    help = "Set files whose bytes are missing to deleted. Asks, or needs --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="only list the files")
        add_yes(parser)

    def report(self, **options: Any) -> dict[str, Any]:
        missing = []
        stored = File.objects.filter(status__in=[File.Status.RECEIVED, File.Status.READY])
        for batch in in_key_order(stored.values_list("pk", flat=True), BATCH):
            missing += [file_id for file_id in batch if not blobs.exists(file_id)]
        if missing and not options["dry_run"]:
            # With a wrong FILES_ROOT or bucket every file is missing.
            confirm(f"Sets {len(missing)} files to deleted.", yes=options["yes"])
            File.objects.filter(pk__in=missing).mark_deleted()
        return {"missing": [str(file_id) for file_id in missing]}
