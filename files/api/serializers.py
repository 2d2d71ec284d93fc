"""Files as JSON."""

from typing import Any

from django.http import HttpRequest

from files.api.signatures import signed_url
from files.models import File
from gemchat.api.text import rfc3339

CONTENT_VIEW, THUMBNAIL_VIEW = "file-content", "file-thumbnail"
NAMES = (
    *("id", "name", "kind", "media_type", "size", "width", "height", "pages", "seconds", "tokens"),
    *("status", "refusal", "url", "thumbnail_url", "created_at"),
)


def to_json(file: File, request: HttpRequest | None) -> dict[str, Any]:
    """Return a file for its owner.

    Only a ready file has addresses, and only for a request. A deleted file has its name alone.
    """
    if file.status == File.Status.DELETED:
        shown = {"id": str(file.pk), "name": file.name, "kind": file.kind, "status": file.status}
        return dict.fromkeys(NAMES) | shown
    is_ready = file.status == File.Status.READY
    is_picture = is_ready and file.kind == File.Kind.IMAGE
    return {
        "id": str(file.pk),
        "name": file.name,
        "kind": file.kind,
        "media_type": file.media_type,
        "size": file.size,
        "width": file.width,
        "height": file.height,
        "pages": file.pages,
        "seconds": file.seconds,
        "tokens": file.tokens,
        "status": file.status,
        "refusal": refusal_of(file),
        "url": signed_url(request, file, CONTENT_VIEW) if request and is_ready else None,
        "thumbnail_url": (
            signed_url(request, file, THUMBNAIL_VIEW) if request and is_picture else None
        ),
        "created_at": rfc3339(file.created_at),
    }


def refusal_of(file: File) -> dict[str, str] | None:
    if not file.refusal_code:
        return None
    return {"code": file.refusal_code, "detail": File.Refusal(file.refusal_code).label}
