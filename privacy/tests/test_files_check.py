"""`files_check`: files and exports whose bytes are missing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from files.models import BlobDeletion
from files.storage import blobs
from privacy.models import DataExport
from tests.support.files.uploads import examined
from tests.support.marks import transactional
from tests.support.plugins.files import break_storage
from tests.support.privacy.exports import make

pytestmark = transactional


def check(option: str) -> Any:
    out = io.StringIO()
    call_command("files_check", "--json", option, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.parametrize("is_dry", [True, False])
def test_missing_bytes_are_found(alice: User, bob: User, each_storage: Path, is_dry: bool) -> None:
    lost, there = examined(alice), examined(alice, b"there")
    lost_export, export = make(alice), make(bob)
    for row in (lost, lost_export):
        blobs.delete(row.key)

    report = check("--dry-run" if is_dry else "--yes")
    lost.refresh_from_db()
    there.refresh_from_db()
    exports = set(DataExport.objects.values_list("pk", flat=True))

    assert report == {"missing": [str(lost.pk)], "missing_exports": [str(lost_export.pk)]}
    assert (lost.status, there.status) == ("ready" if is_dry else "deleted", "ready")
    assert exports == ({lost_export.pk, export.pk} if is_dry else {export.pk})


def test_nothing_changes_without_a_confirmation(alice: User) -> None:
    lost, export = examined(alice), make(alice)
    for row in (lost, export):
        blobs.delete(row.key)

    with pytest.raises(CommandError, match="1 files to deleted, and deletes 1 exports. Add --yes"):
        call_command("files_check")

    lost.refresh_from_db()
    assert lost.status == "ready"
    assert DataExport.objects.exists()
    assert not BlobDeletion.objects.exists()


def test_storage_that_is_down_loses_nothing(
    alice: User, each_storage: Path, settings: Any, tmp_path: Path
) -> None:
    file = examined(alice)
    break_storage(settings, tmp_path)

    with pytest.raises(CommandError, match="does not answer"):
        check("--yes")

    file.refresh_from_db()
    assert file.status == "ready"
