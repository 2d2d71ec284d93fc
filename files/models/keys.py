"""Keys of blobs in the storage."""

import uuid

FILES = "files"


def key_of(blob_id: uuid.UUID, *, folder: str = FILES) -> str:
    """Return the key of a blob, never a name; triggers compute the same key.

    Ids begin with their time, so the last digits spread the blobs over 256 folders.
    """
    return f"{folder}/{str(blob_id)[-2:]}/{blob_id}"
