"""A real S3 server on loopback, rclone's, with an empty bucket."""

import secrets
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.support.stack.processes import free_port
from tests.support.waiting import eventually

NAME = "uploads"


@dataclass(frozen=True)
class Bucket:
    folder: Path
    port: int
    access_key: str
    secret_key: str

    @property
    def url(self) -> str:
        """The FILES_STORAGE_URL of the bucket."""
        return f"s3://{NAME}?endpoint_url=http://127.0.0.1:{self.port}&region_name=us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "FILES_STORAGE_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


@contextmanager
def running_bucket(folder: Path) -> Iterator[Bucket]:
    """Run the server over a folder; it answers within the block."""
    (folder / NAME).mkdir()
    bucket = Bucket(folder, free_port(), secrets.token_hex(10), secrets.token_hex(20))
    command = [
        *(f"{sysconfig.get_path('scripts')}/rclone", "serve", "s3", str(folder)),
        *("--addr", f"127.0.0.1:{bucket.port}", "--config", "/dev/null"),
        *("--auth-key", f"{bucket.access_key},{bucket.secret_key}", "--vfs-cache-mode", "off"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(bucket.port), seconds=20)
        yield bucket
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def get(url: str, **headers: str) -> requests.Response:
    """Ask the bucket, as a browser without a proxy does."""
    session = requests.Session()
    session.trust_env = False
    return session.get(url, headers=headers, timeout=20)
