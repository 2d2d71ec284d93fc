"""Files of users, and the deletions of their bytes."""

from files.models.deletions import BlobDeletion
from files.models.files import File

__all__ = ["BlobDeletion", "File"]
