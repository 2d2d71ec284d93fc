"""The calls of files for docs/openapi.json."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from accounts.api.live_reads import LIVE_PROBLEMS
from accounts.auth.rate_limits import RateLimited
from files.api.downloads import RangeNotSatisfiable
from files.api.names import InvalidName
from files.api.uploads import (
    EmptyFile,
    FileTooLarge,
    LengthRequired,
    StorageFull,
    UnsupportedFileType,
    UploadEnded,
)
from files.api.views import LONGEST_WAIT_SECONDS
from files.models import File
from files.storage.blobs import StorageUnavailable
from gemchat.api.openapi import UUID_SCHEMA, call, query
from gemchat.api.pagination import DEFAULT_LIMIT, MAX_LIMIT

ADDRESS = (
    "https://chat.example.com/api/v1/file/01a20791-5613-741c-a1d1-c7cda1a546a0/content"
    "?expires=1795652100&signature=6b0f5a8b3c1d4e5f60718293"
)
FILE = {
    "id": "01a20791-5613-741c-a1d1-c7cda1a546a0",
    "name": "report.txt",
    "kind": "text",
    "media_type": "text/plain",
    "size": 54,
    "width": None,
    "height": None,
    "pages": None,
    "seconds": None,
    "tokens": 18,
    "status": "ready",
    "refusal": None,
    "url": ADDRESS,
    "thumbnail_url": None,
    "created_at": "2026-11-26T00:00:00Z",
}
RECEIVED = {**FILE, "tokens": None, "status": "received", "url": None}
SHOWN = [
    *[File.Status.RECEIVED.value, File.Status.READY.value, File.Status.REFUSED.value],
    File.Status.DELETED.value,
]


class FileRefusal(serializers.Serializer[Any]):
    code = serializers.ChoiceField(File.Refusal.values)
    detail = serializers.CharField()


class StoredFile(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(File.Kind.values)
    media_type = serializers.CharField(
        allow_null=True, help_text="Of the stored bytes, found by their content."
    )
    size = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    pages = serializers.IntegerField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    tokens = serializers.IntegerField(allow_null=True, help_text="An estimate, once it is ready.")
    status = serializers.ChoiceField(
        SHOWN, help_text="Only a message shows a `deleted` file: its id, name and kind."
    )
    refusal = FileRefusal(allow_null=True)
    url = serializers.URLField(
        allow_null=True, help_text="Once it is ready: good for 15 minutes, without a token."
    )
    thumbnail_url = serializers.URLField(allow_null=True, help_text="Of a picture alone.")
    created_at = serializers.DateTimeField(allow_null=True)


class FilePage(serializers.Serializer[Any]):
    results = StoredFile(many=True)
    next = serializers.CharField(allow_null=True, help_text="The `cursor` of the next page.")


ID = OpenApiParameter("file_id", UUID_SCHEMA, "path")
WAIT = query(
    "wait",
    {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS, "default": 0},
    "Seconds to wait for the end of the examination.",
)
SIGNATURE = [
    ID,
    query("expires", {"type": "integer"}, "From `url`: with `signature` in place of a token."),
    query("signature", {"type": "string"}, "From `url`."),
]
BYTES = {(200, "application/octet-stream"): ({"type": "string", "format": "binary"}, "…")}
DOWNLOAD: dict[str, Any] = {
    "parameters": SIGNATURE,
    "answers": {**BYTES, 302: None},
    "problems": [RangeNotSatisfiable, StorageUnavailable, *LIVE_PROBLEMS],
}

EXTRA_OPERATIONS = {
    ("/api/v1/file/", "post"): call(
        "uploadFile",
        "Upload a picture, a PDF, audio or text",
        description=(
            "The body is the file itself, or a multipart form with the part `file`. The content"
            " decides the type. The same bytes again answer 200 with the file that is there, so a"
            " retry is harmless. A file in no message is erased after 24 hours."
        ),
        body=(
            {
                "application/octet-stream": {"type": "string", "format": "binary"},
                "multipart/form-data": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                },
            },
            "…",
        ),
        parameters=[
            WAIT,
            OpenApiParameter(
                "Content-Disposition",
                str,
                "header",
                description="The name: `attachment; filename*=UTF-8''report.pdf`. Not in a form.",
            ),
        ],
        answers={200: (StoredFile, FILE), 201: (StoredFile, RECEIVED)},
        headers=["Location"],
        problems=[
            *[FileTooLarge, LengthRequired, UnsupportedFileType, EmptyFile, InvalidName],
            *[StorageFull, RateLimited, UploadEnded, StorageUnavailable, *LIVE_PROBLEMS],
        ],
    ),
    ("/api/v1/file/", "get"): call(
        "listFiles",
        "The user's files, the newest first",
        parameters=[
            query(
                "limit",
                {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT},
                f"At most {MAX_LIMIT} are sent.",
            ),
            query("cursor", {"type": "string"}, "From `next`."),
            query("kind", {"type": "string", "enum": File.Kind.values}),
        ],
        answers={200: (FilePage, {"results": [FILE], "next": None})},
        headers=["X-Storage-Limit", "X-Storage-Used"],
        problems=["invalid_cursor", "validation_error"],
    ),
    ("/api/v1/file/{file_id}", "get"): call(
        "readFile",
        "A file",
        parameters=[ID, WAIT],
        answers={200: (StoredFile, FILE)},
        problems=["validation_error", *LIVE_PROBLEMS],
    ),
    ("/api/v1/file/{file_id}", "delete"): call(
        "deleteFile",
        "Delete a file; its bytes go within the hour",
        parameters=[ID],
        answers={204: None},
    ),
    ("/api/v1/file/{file_id}/content", "get"): call(
        "downloadFile", "The bytes of a file, whole or by `Range`", **DOWNLOAD
    ),
    ("/api/v1/file/{file_id}/thumbnail", "get"): call(
        "downloadThumbnail", "The small picture of a picture, as WEBP", **DOWNLOAD
    ),
}
