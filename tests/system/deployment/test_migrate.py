"""Migrations of a deployment: two `migrate` at once, and web on an old database."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from django.db.migrations.loader import MigrationLoader

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from gemchat.monitoring.migrations import known_migrations
from tests.support.stack.start import stack_on
from tests.support.waiting import eventually


@pytest.fixture
def empty_database() -> Iterator[str]:
    name = f"empty_{uuid.uuid4().hex}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def start_migrate(database_url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--no-input", "-v0"],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_migrations_at_once_both_succeed(empty_database: str) -> None:
    both = [start_migrate(empty_database) for _ in range(2)]

    errors = [process.communicate(timeout=200)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], errors
    assert sum("Another migrate is at work" in error for error in errors) == 1


@pytest.fixture
def web_on_empty_database(
    empty_database: str, stack_redis: str, tmp_path: Path
) -> Iterator[tuple[Stack, str]]:
    stores = {"DATABASE_URL": empty_database, "REDIS_URL": stack_redis}
    with stack_on(stores, var=tmp_path, parts=("web",)) as stack:
        yield stack, empty_database


def test_readiness_names_the_migrations_that_are_missing(
    web_on_empty_database: tuple[Stack, str],
) -> None:
    stack, database = web_on_empty_database

    def ready() -> requests.Response:
        return requests.get(f"{stack.url}/readyz", timeout=10)

    count = len(known_migrations())
    assert ready().status_code == 503
    assert ready().json()["schema"] == f"Migrations to apply: {count}. Run manage.py migrate."
    assert start_migrate(database).wait(200) == 0
    eventually(lambda: ready().status_code == 200, seconds=20)


def test_readiness_finds_an_old_schema_until_it_is_current_and_then_asks_no_more(
    make_stack: Callable[..., Stack], stack_stores: dict[str, str]
) -> None:
    def ready() -> requests.Response:
        return requests.get(f"{stack.url}/readyz", timeout=10)

    delete = "DELETE FROM django_migrations WHERE app = 'privacy' RETURNING app, name, applied"
    with (
        psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as connection,
        make_stack(parts=("web",)) as stack,
    ):
        rows = connection.execute(delete).fetchall()
        missing = eventually(lambda: ready().json().get("schema"))
        connection.cursor().executemany(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", rows
        )
        eventually(lambda: ready().status_code == 200)
        connection.execute("ALTER TABLE django_migrations RENAME TO elsewhere")
        statuses = {ready().status_code for _ in range(5)}
        connection.execute("ALTER TABLE elsewhere RENAME TO django_migrations")

    assert missing == f"Migrations to apply: {len(rows)}. Run manage.py migrate."
    assert statuses == {200}


def test_known_migrations_are_those_that_django_loads() -> None:
    assert known_migrations() == MigrationLoader(None).disk_migrations.keys()
