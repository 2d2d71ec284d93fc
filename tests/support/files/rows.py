"""Rows of files without bytes, for tests of statements and limits."""

import secrets
from typing import Any

from django.utils import timezone

from accounts.models import User
from files.models import File


def ready_file(user: User, **fields: Any) -> File:
    """Make the row of an examined text; the storage has no bytes."""
    given: dict[str, Any] = {
        "status": File.Status.READY,
        "kind": File.Kind.TEXT,
        "media_type": "text/plain",
        "name": "report.txt",
        "size": 54,
        "sha256": secrets.token_bytes(32),
        "tokens": 18,
        "created_at": timezone.now(),
        **fields,
    }
    return File.objects.create(user=user, **given)
