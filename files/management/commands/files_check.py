"""Find files without their bytes, as after the restore of an older storage."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from files.models import File
from files.storage import blobs
from gemchat.stores.batches import in_key_order

BATCH = 500


class Command(BaseCommand):
    help = "Set files whose bytes are missing to deleted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only list the files.")
        parser.add_argument("--json", action="store_true", help="Print the ids as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        missing = []
        stored = File.objects.filter(status__in=[File.Status.RECEIVED, File.Status.READY])
        for batch in in_key_order(stored.values_list("pk", flat=True), BATCH):
            missing += [file_id for file_id in batch if not blobs.exists(file_id)]
        if not options["dry_run"]:
            File.objects.filter(pk__in=missing).mark_deleted()
        if options["json"]:
            self.stdout.write(json.dumps([str(file_id) for file_id in missing]))
            return
        for file_id in missing:
            self.stdout.write(str(file_id))
        self.stdout.write(f"Files without their bytes: {len(missing)}")
