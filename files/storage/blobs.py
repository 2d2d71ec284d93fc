"""The bytes of files in the storage, by the id of the file.

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

FOLDER = "files"
THUMBNAIL = ".thumbnail"


class StorageUnavailable(DomainError):
    code = "storage_unavailable"
    message = "The storage of files does not answer. Try again in a moment."
    status = 503

    def __init__(self) -> None:
        super().__init__(retry_after=DEPENDENCY_RETRY_SECONDS)


class BlobMissing(Exception):
    """The storage has no such bytes."""


def key_of(file_id: uuid.UUID, *, is_thumbnail: bool = False) -> str:
    """Return the key of a file, never a name.

    Ids begin with their time, so the last digits spread the files over 256 folders.
    """
    key = f"{FOLDER}/{str(file_id)[-2:]}/{file_id}"
    return f"{key}{THUMBNAIL}" if is_thumbnail else key


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


def save(file_id: uuid.UUID, file: IO[Any], *, is_thumbnail: bool = False) -> None:
    """Store bytes from a file, in place of earlier bytes. Raises StorageUnavailable."""
    file.seek(0)
    with failures_as_unavailable():
        storage().save(key_of(file_id, is_thumbnail=is_thumbnail), File(file))


@contextmanager
def opened(file_id: uuid.UUID, *, is_thumbnail: bool = False) -> Iterator[IO[Any]]:
    """Open bytes for reading. Raises BlobMissing, StorageUnavailable."""
    with failures_as_unavailable():
        file = storage().open_blob(key_of(file_id, is_thumbnail=is_thumbnail))
    with file:
        yield file


def delete(file_id: uuid.UUID) -> None:
    """Delete the bytes and the thumbnail, if there are any. Raises StorageUnavailable."""
    with failures_as_unavailable():
        for is_thumbnail in (False, True):
            storage().delete(key_of(file_id, is_thumbnail=is_thumbnail))


def exists(file_id: uuid.UUID) -> bool:
    """Check for the bytes. Raises StorageUnavailable."""
    with failures_as_unavailable():
        return bool(storage().exists(key_of(file_id)))


def make_temporary_folder() -> str:
    """Return the folder of unfinished uploads; its files have no names."""
    os.makedirs(settings.FILES_TEMP_DIR, mode=0o700, exist_ok=True)
    return str(settings.FILES_TEMP_DIR)


def folders() -> list[str]:
    """List the folders with blobs. Raises StorageUnavailable."""
    with failures_as_unavailable():
        try:
            return list(storage().listdir(FOLDER)[0])
        except FileNotFoundError:
            # No file has been stored yet.
            return []


def file_ids_in(folder: str) -> set[uuid.UUID]:
    """List the files with blobs in a folder. Raises StorageUnavailable."""
    with failures_as_unavailable():
        names = storage().listdir(f"{FOLDER}/{folder}")[1]
    found = set()
    for name in names:
        # A name that is no id is of an unfinished write.
        with suppress(ValueError):
            found.add(uuid.UUID(name.removesuffix(THUMBNAIL)))
    return found


def written_at(file_id: uuid.UUID) -> datetime:
    """Return the time of the last write. Raises BlobMissing, StorageUnavailable."""
    with failures_as_unavailable():
        modified: datetime = storage().get_modified_time(key_of(file_id))
    return modified
