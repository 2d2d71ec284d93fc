"""The storage of files on the local disk; web and worker share the folder."""

import os
from contextlib import suppress
from glob import escape, glob
from typing import IO, Any, ClassVar

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage


class FolderStorage(FileSystemStorage):
    """Writes a blob whole or not at all: Django's storage writes to the final name."""

    failures: ClassVar[tuple[type[Exception], ...]] = (OSError,)

    def _save(self, name: str, content: File) -> str:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # A key has one writer at a time, and a second writer writes the same bytes.
        unfinished = f"{path}.{os.getpid()}.unfinished"
        try:
            with open(unfinished, "wb") as file:
                os.chmod(unfinished, 0o600)
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            if os.path.exists(unfinished):
                os.unlink(unfinished)
            raise
        return name

    def delete(self, name: str) -> None:
        """Delete a blob, with the unfinished blobs of dead writers."""
        for unfinished in glob(f"{escape(self.path(name))}.*.unfinished"):
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
        super().delete(name)

    def address(self, name: str, **headers: str) -> str | None:
        """Return None: web sends the bytes itself."""
        return None

    def open_blob(self, name: str) -> IO[Any]:
        return open(self.path(name), "rb")
