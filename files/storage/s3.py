"""The storage of files in a bucket of S3, or of a similar server."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, ClassVar

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from files.storage.blobs import make_temporary_folder

# A link is used at once.
ADDRESS_SECONDS = 60
# In memory while a worker reads a blob; larger blobs are in a temporary file.
SPOOLED_BYTES = 1024 * 1024
# One PUT for each blob: no part of a blob is ever in the bucket, and memory stays flat.
WHOLE = TransferConfig(multipart_threshold=5 * 1024**3, use_threads=False)


@contextmanager
def absence_as_not_found(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            raise FileNotFoundError(name) from error
        raise


class BucketStorage(S3Storage):
    """A private bucket; boto3 reads the keys from its own `AWS_…` variables."""

    failures: ClassVar[tuple[type[Exception], ...]] = (
        OSError,
        Boto3Error,
        BotoCoreError,
        ClientError,
    )

    def __init__(self, **options: Any) -> None:
        has_endpoint = "endpoint_url" in options
        super().__init__(
            default_acl=None,
            file_overwrite=True,
            querystring_auth=True,
            querystring_expire=ADDRESS_SECONDS,
            transfer_config=WHOLE,
            client_config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if has_endpoint else "virtual"},
                # Stores with an older protocol refuse boto3's newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=3,
                read_timeout=20,
                retries={"total_max_attempts": 2, "mode": "standard"},
            ),
            **options,
        )

    def address(self, name: str, **headers: str) -> str | None:
        """Return a signed URL for a minute; `headers` are parameters of GetObject."""
        return str(self.url(name, parameters=headers, expire=ADDRESS_SECONDS))

    def open_blob(self, name: str) -> IO[Any]:
        """Copy a blob to a temporary file. Raises FileNotFoundError."""
        folder = make_temporary_folder()
        file = tempfile.SpooledTemporaryFile(SPOOLED_BYTES, dir=folder)  # noqa: SIM115
        try:
            with absence_as_not_found(name):
                self.bucket.Object(name).download_fileobj(file, Config=WHOLE)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def get_modified_time(self, name: str) -> datetime:
        """Raises FileNotFoundError."""
        with absence_as_not_found(name):
            modified: datetime = super().get_modified_time(name)
        return modified
