"""Real nginx processes on loopback: the shipped proxy, and a TLS proxy in front."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dev.environment import BASE_DIR
from tests.support.stack.processes import free_port
from tests.support.waiting import eventually

INSTALLED = BASE_DIR / "var" / "nginx" / "usr" / "sbin" / "nginx"
# One process, in the foreground: `terminate` ends all of it.
MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log off;
    {body}
}}
"""
# A TLS proxy as operators have one, with plain HTTP beside.
TLS_PROXY = """
server {{
    listen 127.0.0.1:{tls_port} ssl;
    listen 127.0.0.1:{plain_port};
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location / {{
        proxy_pass http://127.0.0.1:{inner_port};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
}}
"""


def nginx_path() -> str:
    named = os.environ.get("NGINX") or shutil.which("nginx")
    if not named and not INSTALLED.exists():
        pytest.fail("No nginx: dev/scripts/nginx.sh fetches one, or name one with NGINX=")
    return named or str(INSTALLED)


@contextmanager
def nginx(body: str, *, folder: Path, port: int) -> Iterator[None]:
    """Run nginx with this configuration of HTTP until the end of the block."""
    folder.mkdir()
    path = folder / "nginx.conf"
    path.write_text(MAIN.format(folder=folder, body=body))
    process = subprocess.Popen(
        [nginx_path(), "-p", str(folder), "-c", str(path)], stdout=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _listens(process, port))
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    assert process.poll() is None, "nginx ended"
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5, allow_redirects=False)
    except requests.ConnectionError:
        return False
    return True


@contextmanager
def shipped_proxy(web_ports: Sequence[int], *, folder: Path) -> Iterator[int]:
    """Run deploy/nginx.conf in front of those web processes; yield its port.

    Only the addresses differ: nginx before 1.27 has no `resolve` either.
    """
    port, health_port = free_port(), free_port()
    servers = "".join(f"    server 127.0.0.1:{each} max_fails=0;\n" for each in web_ports)
    conf = (BASE_DIR / "deploy" / "nginx.conf").read_text()
    conf = re.sub(r"    resolver .*?resolve max_fails=0;\n", servers, conf, flags=re.DOTALL)
    conf = conf.replace("127.0.0.1:8081", f"127.0.0.1:{health_port}")
    conf = conf.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    with nginx(conf, folder=folder, port=port):
        yield port


@contextmanager
def tls_proxy(inner_port: int, *, certificate: Path, folder: Path) -> Iterator[tuple[int, int]]:
    """Run a TLS proxy in front of another; yield its HTTPS and HTTP ports."""
    tls_port, plain_port = free_port(), free_port()
    body = TLS_PROXY.format(
        tls_port=tls_port, plain_port=plain_port, certificate=certificate, inner_port=inner_port
    )
    with nginx(body, folder=folder, port=plain_port):
        yield tls_port, plain_port
