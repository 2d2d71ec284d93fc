"""Messages in JSON, with their files."""

from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from files.api import serializers
from files.models import File
from messaging.api.serializers import MessageSerializer
from messaging.history import branch
from messaging.models import Message


def render_message(message: Message, request: HttpRequest | Request) -> dict[str, Any]:
    """Return a message for its owner, with all variants of the turn and the files."""
    [message] = branch.with_siblings([message])
    [body] = with_files([MessageSerializer.to_json(message)], request)
    return body


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
