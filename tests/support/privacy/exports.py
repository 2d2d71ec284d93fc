"""Make, age and read exports."""

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

from accounts.models import User
from files.storage import blobs
from privacy.export import build_export
from privacy.models import DataExport


def make(user: User) -> DataExport:
    """An export whose task has run."""
    export, _ = DataExport.objects.get_or_start(user)
    build_export(export_id=export.pk)
    return DataExport.objects.get(pk=export.pk)


def let_pass(period: timedelta) -> None:
    for export in DataExport.objects.all():
        for name in ("requested_at", "next_try_at", "ended_at", "expires_at"):
            if at := getattr(export, name):
                setattr(export, name, at - period)
        export.save()


def unzipped(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        assert files.testzip() is None
        names = [name for name in files.namelist() if name.endswith(".json")]
        return {name.removesuffix(".json"): json.loads(files.read(name)) for name in names}


def stored_zip(export: DataExport) -> bytes:
    with blobs.opened(export.key) as file:
        return bytes(file.read())


def stored(export: DataExport) -> dict[str, Any]:
    return unzipped(stored_zip(export))
