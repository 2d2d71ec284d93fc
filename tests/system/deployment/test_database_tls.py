"""PostgreSQL over TLS: a server that speaks none, or another one, gets no password."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from dev.environment import BASE_DIR

PASSWORD = "a-secret-of-the-database"
ASK = "import django; django.setup(); from django.db import connection; connection.cursor()"
# Length 8 and the code of PostgreSQL's protocol that asks for TLS.
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])


@pytest.mark.parametrize("answer", [b"N", b"S"], ids=["no TLS", "no server"])
def test_no_password_reaches_a_server_without_tls(answer: bytes) -> None:
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.settimeout(5)
                    received.append(client.recv(8))
                    client.sendall(answer)
                    received.append(client.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        port = listener.getsockname()[1]
        url = f"postgres://gemchat:{PASSWORD}@127.0.0.1:{port}/gemchat?sslmode=verify-full"
        environ = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "gemchat.settings"}
        asked = subprocess.run(
            [sys.executable, "-c", ASK], cwd=BASE_DIR, env=environ, capture_output=True, timeout=60
        )

    assert asked.returncode != 0
    assert received[0] == SSL_REQUEST
    assert not [each for each in received if PASSWORD.encode() in each or b"gemchat" in each]
    assert {each[:2] for each in received if each not in (SSL_REQUEST, b"")} <= {b"\x16\x03"}
