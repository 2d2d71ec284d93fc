"""The files of messages in JSON."""

from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from files.api import serializers
from files.models import File


def with_files(
    messages: list[dict[str, Any]], request: HttpRequest | Request | None
) -> list[dict[str, Any]]:
    """Replace the ids in `files` of messages by files; one query for all messages.

    Without a request the files have no addresses.
    """
    file_ids = [file_id for message in messages for file_id in message["files"]]
    if file_ids:
        found = File.objects.in_bulk(file_ids)
        for message in messages:
            message["files"] = [
                serializers.to_json(found[file_id], request)
                for file_id in message["files"]
                if file_id in found
            ]
    return messages
