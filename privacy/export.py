"""The export of a user: a ZIP of JSON and files, made part by part.

Rows are read in batches and compressed into parts of a quarter of a mebibyte. So a user with a
million messages takes no more memory than a user with ten.

Temporary chatrooms are excluded: they are erased after a day, and a copy would last longer.
"""

import io
import json
import logging
import shutil
import uuid
import zipfile
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from accounts import personal_data as accounts
from accounts.models import User
from accounts.personal_data import ExportSection
from billing import personal_data as billing
from chatrooms import personal_data as chatrooms
from files import personal_data as files
from files.storage.blobs import StorageUnavailable
from gemchat.stores.errors import DATABASE_ERRORS
from messaging import personal_data as messaging
from privacy.models import MOST_ATTEMPTS, AttemptSuperseded, DataExport

logger = logging.getLogger(__name__)

PART_BYTES = 256 * 1024
EXCLUDED_NOTE = (
    "Temporary chatrooms are not here: they are erased a day after they were opened. Nor are"
    " passwords, codes and tokens, of which this server keeps no more than digests."
)


class ExportPartWriter(io.RawIOBase):
    """A file for the parts of an export. Raises AttemptSuperseded."""

    def __init__(self, export: DataExport) -> None:
        self.export = export
        self.size = 0
        self._number = 0
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._waiting += content
        while len(self._waiting) >= PART_BYTES:
            self._store(PART_BYTES)
        return len(content)

    def finish(self) -> None:
        if self._waiting:
            self._store(len(self._waiting))

    def _store(self, size: int) -> None:
        self.export.add_part(self._number, bytes(self._waiting[:size]))
        del self._waiting[:size]
        self._number += 1
        self.size += size


def build_export(*, export_id: uuid.UUID) -> None:
    """Claim an export and make the file; the sweep requeues a dead worker's export."""
    export = DataExport.objects.claim(export_id)
    if export is None:
        return
    try:
        if export.attempt > MOST_ATTEMPTS:
            logger.error("Export %s failed: no attempt completed", export.pk)
            export.fail()
            return
        parts = ExportPartWriter(export)
        write_archive(export.user, parts)
        parts.finish()
        export.finish(size=parts.size)
    except AttemptSuperseded:
        logger.warning("Export %s was claimed by another worker, or is gone", export.pk)
    except (*DATABASE_ERRORS, StorageUnavailable):
        # The lease expires, and the sweep gives the export to a worker with the stores.
        raise
    except Exception:
        # The edge of the task: after any error, the user must not wait for ever.
        try:
            export.fail()
        except AttemptSuperseded:
            # The user was erased meanwhile, with the rows of this task.
            logger.warning("Export %s is gone with its user, or is another worker's", export.pk)
            return
        raise


def all_sections(user: User) -> list[ExportSection]:
    """Return every row about the user, and no row about another person."""
    return [
        *accounts.export_sections(user),
        ExportSection("exports", DataExport.objects.filter(user=user)),
        *billing.export_sections(user),
        *files.export_sections(user, left_out=messaging.temporary_files(user)),
        *chatrooms.export_sections(user),
        *messaging.export_sections(user),
    ]


def write_archive(user: User, file: IO[bytes] | ExportPartWriter) -> dict[str, int]:
    """Write the ZIP without seeking, and return the row count of each file."""
    made_at = timezone.now()
    rows: dict[str, int] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for section in all_sections(user):
            entry = zipfile.ZipInfo(f"{section.name}.json", made_at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as written:
                rows[section.name] = write_section(section, written)
        temporary = messaging.temporary_files(user)
        for name, stored in files.export_blobs(user, left_out=temporary):
            # Stored as received: pictures and PDF files are compressed already.
            entry = zipfile.ZipInfo(name, made_at.timetuple()[:6])
            with archive.open(entry, "w", force_zip64=True) as written:
                shutil.copyfileobj(stored, written, PART_BYTES)
        about = {"user_id": user.pk, "made_at": made_at, "rows": rows, "left_out": EXCLUDED_NOTE}
        archive.writestr("about.json", as_json(about))
    return rows


def write_section(section: ExportSection, file: IO[bytes]) -> int:
    """Write the rows as one JSON array, one row per line."""
    count = 0
    file.write(b"[")
    for batch in section.batches():
        lines = ",\n".join(map(as_json, batch))
        file.write(f"{',' if count else ''}\n{lines}".encode())
        count += len(batch)
    file.write(b"\n]\n")
    return count


def as_json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
