"""The API description of export, download and erasure of an account."""

from typing import Any

from rest_framework import serializers

from accounts.api.live_reads import LIVE_PROBLEMS
from accounts.auth.sessions import RecentSignInRequired
from files.storage.blobs import StorageUnavailable
from gemchat.api.openapi import call, describe, query
from privacy.api.views import ExportViewSet, LinkInvalid
from privacy.models import DataExport

QUEUED = {"status": "queued", "requested_at": "2026-11-23T08:41:33.847909Z"}
READY = {
    "status": "ready",
    "requested_at": "2026-11-23T08:41:33.847909Z",
    "expires_at": "2026-11-30T08:41:35.418330Z",
    "size": 4836,
    "download_url": "https://chat.example.com/api/v1/user/me/export/file?token=WyIwMWEyMDc5",
}


class AccountExport(serializers.Serializer[Any]):
    status = serializers.ChoiceField(DataExport.Status.choices)
    requested_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(required=False, help_text="Once it has ended.")
    size = serializers.IntegerField(required=False, help_text="Bytes, once it is ready.")
    download_url = serializers.URLField(
        required=False, help_text="Once it is ready: good for five minutes, without a token."
    )


describe(
    ExportViewSet,
    export=call(
        "readExport",
        "The export that was asked for last",
        description="The link of an export that is ready needs a sign-in of the last ten minutes.",
        answers={200: (AccountExport, READY)},
        problems=[RecentSignInRequired, "not_found"],
    ),
    request_export=call(
        "requestExport",
        "Have all that is kept about the user put into one ZIP of JSON files",
        description="One at a time: a repeated call returns the unfinished or latest export. It"
        " needs a sign-in of the last ten minutes.",
        answers={202: (AccountExport, QUEUED)},
        problems=[RecentSignInRequired],
    ),
)

EXTRA_OPERATIONS = {
    ("/api/v1/user/me/export/file", "get"): call(
        "downloadExport",
        "The file of an export, by its `download_url`",
        parameters=[query("token", {"type": "string"}, "From `download_url`.")],
        description="From a bucket the answer is a redirect to an address for a minute.",
        answers={
            (200, "application/zip"): ({"type": "string", "format": "binary"}, "PK…"),
            302: None,
        },
        headers=["Content-Disposition"],
        problems=[LinkInvalid, "not_found", StorageUnavailable, *LIVE_PROBLEMS],
        is_public=True,
    ),
}
