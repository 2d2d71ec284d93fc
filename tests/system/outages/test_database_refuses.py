"""PostgreSQL, or a pooler, refuses connections: every process names the cause, no password."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.fakes.certificates import Authority
from tests.support.fakes.wire import Wire
from tests.support.waiting import eventually

PASSWORD = "a-secret-of-the-database"
NOT_GIVEN = "PostgreSQL gives no connection: "


class RefusingPooler:
    """A TCP server that answers each startup message with an error of PostgreSQL's protocol."""

    def __init__(self, message: str) -> None:
        fields = {"S": "FATAL", "V": "FATAL", "C": "08P01", "M": message}
        body = b"".join(f"{key}{text}".encode() + b"\0" for key, text in fields.items()) + b"\0"
        self._answer = b"E" + (len(body) + 4).to_bytes(4, "big") + body
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                with client, suppress(OSError):
                    client.settimeout(5)
                    client.recv(65536)
                    client.sendall(self._answer)


@contextmanager
def refusing_database(cause: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the URL of a database that refuses, and words of its cause."""
    server = urlsplit(os.environ["DATABASE_URL"])
    if cause == "password":
        user = f"{server.username}:{PASSWORD}"
        url = server._replace(netloc=f"{user}@{server.hostname}:{server.port}").geturl()
        yield url, "password authentication failed"
    elif cause == "certificate":
        context = Authority(folder / "ca").serving("127.0.0.1")
        others = Authority(folder / "others").path
        # PostgreSQL 17 and newer: TLS from the first byte, which the wire speaks.
        options = f"sslmode=verify-full&sslnegotiation=direct&sslrootcert={others}"
        with Wire(server.hostname, server.port, tls=context) as wire:
            yield f"postgres://gemchat:{PASSWORD}@127.0.0.1:{wire.port}/x?{options}", "certificate"
    else:
        message = f"unsupported startup parameter: options ({PASSWORD})"
        pooler = RefusingPooler(message)
        yield (
            f"postgres://gemchat:{PASSWORD}@127.0.0.1:{pooler.port}/x?sslmode=disable",
            "unsupported startup parameter: options ([redacted])",
        )
        pooler.close()


@pytest.fixture(params=["password", "certificate", "pooler"])
def refusing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    with refusing_database(request.param, tmp_path) as database:
        yield database


def test_web_and_worker_log_why_the_database_refuses(
    refusing: tuple[str, str], make_stack: Callable[..., Stack]
) -> None:
    url, cause = refusing
    parts = ("web", "worker")

    with make_stack(parts=parts, DATABASE_URL=url, REPLY_SWEEP_SECONDS="1") as stack:
        for _ in range(3):
            assert requests.get(f"{stack.url}/readyz", timeout=20).status_code == 503
        log = stack.output
        eventually(lambda: any(cause in line for line in log), seconds=20)
        lines = [line for line in log if NOT_GIVEN in line]

    assert all(cause in line for line in lines)
    # The pool and the probes try many times.
    assert len(lines) <= len(parts)
    assert not any(PASSWORD in line for line in log)


# The causes are those of web and worker, so one cause is enough.
@pytest.mark.parametrize("refusing", ["pooler"], indirect=True)
@pytest.mark.parametrize("command", ["migrate", "doctor"])
def test_command_tells_why_the_database_refuses(refusing: tuple[str, str], command: str) -> None:
    url, cause = refusing

    ended = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ended.returncode != 0
    assert cause in (ended.stdout if command == "doctor" else ended.stderr)
    assert PASSWORD not in ended.stdout + ended.stderr
