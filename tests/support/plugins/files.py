"""Gives every test an empty storage of files on the local disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from gemchat.env import file_storage


@pytest.fixture(autouse=True, scope="session")
def files_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of files on the local disk, apart from the folder of `make run`."""
    from django.conf import settings

    folder = tmp_path_factory.mktemp("files")
    storages = {**settings.STORAGES, "files": file_storage("", root=str(folder))}
    uploads = str(tmp_path_factory.mktemp("uploads"))
    with override_settings(STORAGES=storages, FILES_TEMP_DIR=uploads):
        yield folder


def stored_names(folder: Path) -> set[str]:
    """The names of all stored bytes."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def use_storage(settings: Any, url: str) -> None:
    """Let the test store files at a FILES_STORAGE_URL."""
    settings.FILES_STORAGE_URL = url
    settings.STORAGES = {**settings.STORAGES, "files": file_storage(url, root="")}
