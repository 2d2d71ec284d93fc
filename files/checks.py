"""System checks of the settings of files."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    return [*_check_seconds(), *_check_packages()]


def _check_seconds() -> Iterator[CheckMessage]:
    for name in ("FILE_LEASE_SECONDS", "FILE_SWEEP_SECONDS"):
        if not getattr(settings, name) > 0:
            yield Error(f"{name} must be more than 0.", id="files.E001")


def _check_packages() -> Iterator[CheckMessage]:
    if settings.FILES_STORAGE_URL and find_spec("boto3") is None:
        yield Error(
            "FILES_STORAGE_URL names a bucket, and the package boto3 is missing.",
            hint="pip install --requirement requirements/s3.txt",
            id="files.E002",
        )
