"""Bytes in the storage, by key: files of users, and exports of accounts.

Every failure of the storage is StorageUnavailable, whichever storage it is.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import IO, Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import storages

from gemchat.api.errors import DEPENDENCY_RETRY_SECONDS, DomainError


class StorageUnavailable(DomainError):
    code = "storage_unavailable"
    message = "The storage of files does not answer. Try again in a moment."
    status = 503

    def __init__(self) -> None:
        super().__init__(retry_after=DEPENDENCY_RETRY_SECONDS)


class BlobMissing(Exception):
    """The storage has no such bytes."""


def thumbnail_key(key: str) -> str:
    return f"{key}.thumbnail"


def storage() -> Any:
    return storages["files"]


@contextmanager
def failures_as_unavailable() -> Iterator[None]:
    """Raise BlobMissing for an absent key, and StorageUnavailable for every other failure."""
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing from error
    except storage().failures as error:
        raise StorageUnavailable from error


def save(key: str, file: IO[Any]) -> None:
    """Store bytes from a file, in place of earlier bytes. Raises StorageUnavailable."""
    file.seek(0)
    try:
        with failures_as_unavailable():
            storage().save(key, File(file))
    except BlobMissing as error:
        # A deletion of the key took the unfinished bytes away.
        raise StorageUnavailable from error


@contextmanager
def opened(key: str) -> Iterator[IO[Any]]:
    """Open bytes for reading. Raises BlobMissing, StorageUnavailable."""
    with failures_as_unavailable():
        file = storage().open_blob(key)
    with file:
        yield file


def delete(key: str) -> None:
    """Delete the bytes and the thumbnail, if there are any. Raises StorageUnavailable."""
    with failures_as_unavailable():
        for name in (key, thumbnail_key(key)):
            storage().delete(name)


def size(key: str) -> int:
    """Return the count of bytes. Raises BlobMissing, StorageUnavailable."""
    with failures_as_unavailable():
        return int(storage().size(key))


def exists(key: str) -> bool:
    """Check for the bytes. Raises StorageUnavailable."""
    try:
        size(key)
    except BlobMissing:
        return False
    return True


def make_temporary_folder() -> str:
    """Return the folder of unfinished uploads and exports; its files have no names."""
    os.makedirs(settings.FILES_TEMP_DIR, mode=0o700, exist_ok=True)
    return str(settings.FILES_TEMP_DIR)


def folders(root: str) -> list[str]:
    """List the folders with blobs below a folder. Raises StorageUnavailable."""
    with failures_as_unavailable():
        try:
            return [f"{root}/{name}" for name in storage().listdir(root)[0]]
        except FileNotFoundError:
            # Nothing has been stored yet.
            return []


def ids_in(folder: str) -> set[uuid.UUID]:
    """List the ids of blobs in a folder, unfinished blobs too. Raises StorageUnavailable."""
    with failures_as_unavailable():
        names = storage().listdir(folder)[1]
    found = set()
    for name in names:
        # After the id comes the suffix of a thumbnail or of an unfinished write.
        with suppress(ValueError):
            found.add(uuid.UUID(name.partition(".")[0]))
    return found


def written_at(key: str) -> datetime:
    """Return the time of the last write. Raises BlobMissing, StorageUnavailable."""
    with failures_as_unavailable():
        modified: datetime = storage().get_modified_time(key)
    return modified
