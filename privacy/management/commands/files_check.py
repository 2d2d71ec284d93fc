"""Find files and exports without their bytes, as after the restore of an older storage."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from accounts.cli import JsonCommand, add_yes, confirm
from files.models import File
from files.storage import blobs
from gemchat.stores.batches import in_key_order
from privacy.models import DataExport

BATCH = 500


class Command(JsonCommand):
    help = "Set files whose bytes are missing to deleted, and delete such exports. Asks, or --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="only list files and exports")
        add_yes(parser)

    def report(self, **options: Any) -> dict[str, Any]:
        stored = File.objects.filter(status__in=[File.Status.RECEIVED, File.Status.READY])
        ready = DataExport.objects.filter(status=DataExport.Status.READY)
        try:
            files, exports = list(missing(stored)), list(missing(ready))
        except blobs.StorageUnavailable as error:
            raise CommandError(f"{error.message} Nothing was done.") from error
        if (files or exports) and not options["dry_run"]:
            # With a wrong FILES_ROOT or bucket everything is missing.
            confirm(
                f"Sets {len(files)} files to deleted, and deletes {len(exports)} exports.",
                yes=options["yes"],
            )
            File.objects.filter(pk__in=files).mark_deleted()
            DataExport.objects.filter(pk__in=exports).delete()
        return {"missing": list(map(str, files)), "missing_exports": list(map(str, exports))}


def missing(rows: "QuerySet[Any]") -> Iterator[Any]:
    """Yield the ids of rows without their bytes. Raises StorageUnavailable."""
    for batch in in_key_order(rows, BATCH):
        for row in batch:
            if not blobs.exists(row.key):
                yield row.pk
