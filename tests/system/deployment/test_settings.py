"""A web server with settings that do not go together does not start."""

import os
import subprocess
import sys

import pytest


# One of a check, and one of the URLs; the tests of the checks have the others.
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"JWT_SECRET": "short"}, "JWT_SECRET"),
        ({"CELERY_BROKER_URL": "amqp://guest@127.0.0.1"}, "CELERY_BROKER_URL"),
    ],
)
def test_web_refuses_settings_that_the_checks_find_wrong(
    changed: dict[str, str], named: str
) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "uvicorn", "gemchat.asgi:application", "--port", "0"],
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
        timeout=60,
    )

    last = process.stderr.strip().splitlines()[-1]
    assert process.returncode != 0
    assert last.startswith("django.core.exceptions.ImproperlyConfigured")
    assert named in last
