"""Gives every test an empty storage of files on the local disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from gemchat.env import file_storage
from tests.support.files.bucket import Bucket, running_bucket


@pytest.fixture(autouse=True, scope="session")
def files_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of files on the local disk, apart from the folder of `make run`."""
    from django.conf import settings

    folder = tmp_path_factory.mktemp("files")
    storages = {**settings.STORAGES, "files": file_storage("", root=str(folder))}
    uploads = str(tmp_path_factory.mktemp("uploads"))
    with override_settings(STORAGES=storages, FILES_TEMP_DIR=uploads):
        yield folder


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket of a real S3 server."""
    with running_bucket(tmp_path_factory.mktemp("bucket")) as running:
        yield running


@pytest.fixture
def files_in_bucket(bucket: Bucket, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test store files in the bucket."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    use_storage(settings, bucket.url)


@pytest.fixture(params=["folder", "bucket"])
def each_storage(request: pytest.FixtureRequest) -> Path:
    """Run the test with a folder and a bucket; return the folder of the bytes."""
    if request.param == "folder":
        folder: Path = request.getfixturevalue("files_folder")
        return folder
    request.getfixturevalue("files_in_bucket")
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket.folder


def stored_names(folder: Path) -> set[str]:
    """The names of all stored bytes."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def use_storage(settings: Any, url: str) -> None:
    """Let the test store files at a FILES_STORAGE_URL."""
    settings.FILES_STORAGE_URL = url
    settings.STORAGES = {**settings.STORAGES, "files": file_storage(url, root="")}


def break_storage(settings: Any, tmp_path: Path) -> None:
    """Let the storage of the test fail, a folder or a bucket."""
    if settings.STORAGES["files"]["BACKEND"].endswith("BucketStorage"):
        use_storage(settings, "s3://uploads?endpoint_url=http://127.0.0.1:1")
        return
    # A file where the folder was.
    root = tmp_path / "root"
    root.write_text("")
    settings.STORAGES = {**settings.STORAGES, "files": file_storage("", root=str(root))}
