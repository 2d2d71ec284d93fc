"""The export of a user: a ZIP of JSON and files, in the storage.

Rows are read in batches, and the ZIP is written to a temporary file without a name. So a user with
a million messages takes no more memory than a user with ten, and a dead worker leaves nothing.

Temporary chatrooms are excluded: they are erased after a day, and a copy would last longer.
"""

import json
import logging
import shutil
import tempfile
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
from files.models import BlobDeletion
from files.storage import blobs
from gemchat.stores.errors import DATABASE_ERRORS
from gemchat.stores.leases import renewed_lease
from messaging import personal_data as messaging
from privacy.models import LEASE, MOST_ATTEMPTS, AttemptSuperseded, DataExport

logger = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
EXCLUDED_NOTE = (
    "Temporary chatrooms are not here: they are erased a day after they were opened. Nor are"
    " passwords, codes and tokens, of which this server keeps no more than digests."
)


def build_export(*, export_id: uuid.UUID) -> None:
    """Claim an export and make the ZIP; the sweep requeues a dead worker's export."""
    export = DataExport.objects.claim(export_id)
    if export is not None:
        run_attempt(export)


def run_attempt(export: DataExport) -> None:
    """Make the ZIP of a claimed export, or end the export."""
    try:
        if export.attempt > MOST_ATTEMPTS:
            logger.error("Export %s failed: no attempt completed", export.pk)
            export.fail()
        else:
            build(export)
    except AttemptSuperseded:
        end_superseded(export)
    except DATABASE_ERRORS:
        # The lease expires, and the sweep gives the export to a worker with the database.
        raise
    except Exception:
        # The edge of the task: after any error, the user must not wait for ever.
        try:
            export.fail()
        except AttemptSuperseded:
            end_superseded(export)
            return
        raise


def build(export: DataExport) -> None:
    """Make and store the ZIP; wait while the storage is down. Raises AttemptSuperseded."""
    try:
        # A storage that is down shows before the work.
        blobs.exists(export.key)
        with (
            renewed_lease(export.renew_lease, every_seconds=LEASE.total_seconds() / 3),
            tempfile.TemporaryFile(dir=blobs.make_temporary_folder()) as file,
        ):
            write_archive(export.user, file)
            size = file.seek(0, 2)
            # Nothing of an erased user is stored.
            if not export.renew_lease():
                raise AttemptSuperseded
            blobs.save(export.key, file)
            export.finish(size=size)
    except (blobs.StorageUnavailable, OSError) as error:
        # OSError is of the temporary file, as of a full disk.
        logger.warning("Export %s waits for the storage: %s", export.pk, error)
        export.release()


def end_superseded(export: DataExport) -> None:
    """Delete the bytes that were perhaps written after the end of the attempt."""
    logger.warning("Export %s was claimed by another worker, or is gone", export.pk)
    BlobDeletion.objects.enqueue(key=export.key)


def all_sections(user: User) -> list[ExportSection]:
    """Return every row about the user, and no row about another person."""
    return [
        *accounts.export_sections(user),
        ExportSection("exports", DataExport.objects.filter(user=user), ["blob_id"]),
        *billing.export_sections(user),
        *files.export_sections(user, left_out=messaging.temporary_files(user)),
        *chatrooms.export_sections(user),
        *messaging.export_sections(user),
    ]


def write_archive(user: User, file: IO[bytes]) -> dict[str, int]:
    """Write the ZIP, and return the row count of each file of rows."""
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
                shutil.copyfileobj(stored, written, PIECE_BYTES)
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
