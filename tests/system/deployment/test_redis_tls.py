"""What a URL of Redis' means to each client: TLS, certificates, sockets and database numbers."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from dev.environment import BASE_DIR
from dev.servers.embedded import _valkey_program
from dev.servers.stack import Stack
from tests.support.fakes.certificates import Authority
from tests.support.fakes.listener import Listener
from tests.support.fakes.wire import Wire
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

# One server serves them all.
pytestmark = pytest.mark.xdist_group("redis-tls")

PASSWORD = "a-secret-of-redis"
LOOPBACK = "127.0.0.1"
CLIENT_HELLO = b"\x16\x03"
WORKER = ["--app=gemchat", "--quiet", "worker", "--queues=gemini,default,files", "--pool=threads"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that signed nothing."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def tls_url(stack_redis: str, wire: Wire) -> str:
    url = urlsplit(stack_redis)
    return f"rediss://:{url.password}@{LOOPBACK}:{wire.port}{url.path}"


@pytest.fixture(scope="module")
def secured(stack_redis: str, authority: Authority) -> Iterator[str]:
    """The URL of the real Valkey behind TLS."""
    url = urlsplit(stack_redis)
    with Wire(url.hostname, url.port, tls=authority.serving(LOOPBACK)) as wire:
        yield tls_url(stack_redis, wire)


@pytest.fixture(scope="module")
def misnamed(stack_redis: str, authority: Authority) -> Iterator[str]:
    """The same behind a certificate of another host."""
    url = urlsplit(stack_redis)
    with Wire(url.hostname, url.port, tls=authority.serving("redis.internal")) as wire:
        yield tls_url(stack_redis, wire)


def environment(url: str, **environ: Any) -> dict[str, str]:
    urls = dict.fromkeys(("REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"), url)
    django = {"DJANGO_SETTINGS_MODULE": "gemchat.settings"}
    return {**os.environ, **django, **urls, **{name: str(each) for name, each in environ.items()}}


def outcomes(url: str, **environ: Any) -> dict[str, str]:
    """What each client of the program came to with this URL, in a new process."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.support.stack.redis_clients"],
        cwd=BASE_DIR,
        env=environment(url, **environ),
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    found: dict[str, str] = json.loads(answer.stdout)
    assert len(found) == 7
    return found


def assert_all_refused(found: dict[str, str], reason: str) -> None:
    for name, outcome in found.items():
        assert reason in outcome, f"{name}: {outcome}"


def start_worker(url: str, **environ: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "celery", *WORKER, "--concurrency=2"],
        cwd=BASE_DIR,
        env=environment(url, **environ),
        start_new_session=True,
    )


def test_no_client_sends_its_password_in_clear() -> None:
    with Listener() as listener:
        outcomes(f"rediss://:{PASSWORD}@{LOOPBACK}:{listener.port}/0")

    assert len(listener.received) >= 7
    assert {first[:2] for first in listener.received if first} == {CLIENT_HELLO}
    assert not [first for first in listener.received if PASSWORD.encode() in first]


def test_worker_sends_no_password_in_clear(stack_stores: dict[str, str]) -> None:
    with Listener() as listener:
        url = f"rediss://:{PASSWORD}@{LOOPBACK}:{listener.port}/0"
        worker = start_worker(url, DATABASE_URL=stack_stores["DATABASE_URL"])
        try:
            eventually(lambda: len(listener.received) >= 4, seconds=60)
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()

    assert {first[:2] for first in listener.received if first} == {CLIENT_HELLO}
    assert not [first for first in listener.received if PASSWORD.encode() in first]


def test_clients_take_a_certificate_of_the_given_authority(
    secured: str, authority: Authority
) -> None:
    found = outcomes(secured, REDIS_CA_CERTS=authority.path)

    assert set(found.values()) == {"ok"}, found


def test_clients_refuse_a_certificate_of_nobody_they_know(
    secured: str, stranger: Authority
) -> None:
    found = outcomes(secured, REDIS_CA_CERTS=stranger.path)

    assert_all_refused(found, "certificate verify failed")


def test_clients_refuse_a_certificate_of_another_host(misnamed: str, authority: Authority) -> None:
    found = outcomes(misnamed, REDIS_CA_CERTS=authority.path)

    assert_all_refused(found, "certificate is not valid for '127.0.0.1'")


def test_clients_encrypt_without_verifying_where_that_is_asked_for(misnamed: str) -> None:
    found = outcomes(misnamed, REDIS_TLS_VERIFY="false")

    assert set(found.values()) == {"ok"}, found


def test_reply_is_made_over_tls(
    make_stack: Callable[..., Stack], secured: str, authority: Authority
) -> None:
    with make_stack(
        parts=("web", "worker"),
        REDIS_URL=secured,
        CELERY_RESULT_BACKEND=secured,
        REDIS_CA_CERTS=str(authority.path),
    ) as stack:
        person = ApiUser(stack.url).sign_in()
        reply = person.reply(person.send(person.open_room(), "Hello"))

    assert reply["status"] == "complete"


@pytest.fixture
def unix_valkey() -> Iterator[Path]:
    """The socket of a Valkey that has no port."""
    # The kernel takes a hundred characters, which pytest's folders may have.
    with tempfile.TemporaryDirectory(prefix="gemchat-") as folder:
        path = Path(folder) / "valkey.sock"
        process = subprocess.Popen(
            [_valkey_program(), "--port", "0", "--unixsocket", path, "--save", ""],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            eventually(path.exists, seconds=20)
            yield path
        finally:
            process.kill()
            process.wait()


def test_socket_and_its_database_mean_the_same_to_all_clients(unix_valkey: Path) -> None:
    found = outcomes(f"unix://{unix_valkey}?db=2")

    assert set(found.values()) == {"ok"}, found
    with redis.Redis(unix_socket_path=str(unix_valkey)) as server:
        assert server.info("keyspace").keys() == {"db2"}


def test_worker_takes_tasks_from_the_database_of_a_socket(
    make_stack: Callable[..., Stack], unix_valkey: Path
) -> None:
    with make_stack(parts=("web", "worker"), REDIS_URL=f"unix://{unix_valkey}?db=2") as stack:
        person = ApiUser(stack.url).sign_in()
        reply = person.reply(person.send(person.open_room(), "Hello"))
        with redis.Redis(unix_socket_path=str(unix_valkey)) as server:
            used = server.info("keyspace").keys()

    assert (reply["status"], used) == ("complete", {"db2"})
