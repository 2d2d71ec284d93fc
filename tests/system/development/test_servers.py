"""PostgreSQL and Valkey: what they keep over stops and crashes, and whom they let in."""

import os
import signal
import subprocess
from contextlib import closing
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dev.servers.embedded import start_postgres, start_valkey
from dev.servers.processes import StartError


def run_sql(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def without_password(url):
    parts = urlsplit(url)
    return parts._replace(netloc=f"gemchat@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    with closing(Restartable(start_postgres, tmp_path_factory.mktemp("postgres"))) as server:
        yield server


@pytest.fixture
def valkey(tmp_path):
    with closing(Restartable(start_valkey, tmp_path)) as server:
        yield server


class Restartable:
    def __init__(self, start, folder):
        self.start, self.folder = start, folder
        self.server = start(folder)

    @property
    def url(self):
        return self.server.url

    def close(self):
        self.server.stop()

    def restart(self, *, how=None, meanwhile=lambda: None):
        self.server.stop(how)
        try:
            meanwhile()
        finally:
            self.server = self.start(self.folder)


def test_postgres_keeps_its_data_over_a_stop(postgres):
    run_sql(postgres.url, "CREATE TABLE kept AS SELECT 1 AS one")

    postgres.restart()

    assert run_sql(postgres.url, "SELECT one FROM kept") == [(1,)]
    assert postgres.server.process.poll() is None


def test_postgres_recovers_from_a_kill(postgres):
    run_sql(postgres.url, "CREATE TABLE recovered AS SELECT 1 AS one")

    postgres.restart(how=signal.SIGKILL)

    assert run_sql(postgres.url, "SELECT one FROM recovered") == [(1,)]


def test_postgres_starts_where_another_process_has_its_old_number(postgres):
    number = postgres.folder / "data" / "postmaster.pid"
    # Of the same user: PostgreSQL refuses the server of another user by itself.
    owner = {"user": postgres.folder.stat().st_uid} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "60"], **owner)

    postgres.restart(meanwhile=lambda: number.write_text(f"{other.pid}\n"))

    other.kill()
    other.wait()
    assert run_sql(postgres.url, "SELECT 1") == [(1,)]


def test_postgres_asks_for_its_password(postgres):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(without_password(postgres.url))


def test_postgres_listens_on_loopback_alone(postgres):
    addresses = run_sql(postgres.url, "SHOW listen_addresses")

    assert addresses == [("127.0.0.1",)]


def test_postgres_orders_and_folds_text_as_unicode(postgres):
    folded = run_sql(postgres.url, "SELECT lower('ÄÉ'), 'Ä' ILIKE 'ä'")

    assert folded == [("äé", True)]


def test_postgres_of_another_version_is_refused(postgres):
    version = postgres.folder / "data" / "PG_VERSION"
    current = version.read_text()

    def start_as_of_another_version():
        version.write_text("12\n")
        with pytest.raises(StartError, match="DATABASE_URL"):
            start_postgres(postgres.folder)
        version.write_text(current)

    postgres.restart(meanwhile=start_as_of_another_version)


def test_postgres_folder_is_closed_to_others(postgres):
    assert (postgres.folder / "data").stat().st_mode & 0o077 == 0
    assert (postgres.folder / "password").stat().st_mode & 0o077 == 0


def test_valkey_keeps_its_data_over_a_stop(valkey):
    redis.Redis.from_url(valkey.url).set("kept", "1")

    valkey.restart()

    assert redis.Redis.from_url(valkey.url).get("kept") == b"1"


def test_valkey_asks_for_its_password(valkey):
    port = urlsplit(valkey.url).port

    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)).ping()


def test_valkey_evicts_nothing(valkey):
    policy = redis.Redis.from_url(valkey.url).config_get("maxmemory-policy")

    assert policy == {"maxmemory-policy": "noeviction"}


def test_valkey_configuration_is_closed_to_others(valkey):
    assert (valkey.folder / "valkey.conf").stat().st_mode & 0o077 == 0
