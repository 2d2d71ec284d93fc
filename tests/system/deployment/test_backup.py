"""`make backup` and `make restore`: what comes back is what was there, to the last index."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.db import connection
from psycopg import sql

from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction
from dev.backup import TABLES_SQL, back_up, manifest_path, restore
from dev.environment import BASE_DIR, write_private
from dev.servers.embedded import client_program, start_postgres
from dev.servers.processes import StartError, lock_folder
from dev.servers.stack import Stack
from messaging.conversation import actions
from messaging.models import Message
from tests.support.accounts.sign_in import sign_in
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.stack.processes import free_port
from tests.support.waiting import eventually


def url_of(name: str) -> str:
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.fixture
def filled(transactional_db: None, alice: User, carol: User) -> str:
    """The URL of the tests' own database, with something of everything in it."""
    sign_in()
    for number in range(30):
        exchange(make_room(carol, title=f"Rivers {number}"), "Why? ✓ \\N \t '\"", "Because. 🌊")
    reply = exchange(make_room(alice))
    actions.edit(user=carol, message=Message.objects.filter(user=carol)[0], prompt="Again")
    AuditEvent.objects.record(AccountAction.CODE_SENT, user_id=alice.pk, mobile=alice.mobile)
    actions.rate(reply=Message.objects.get(pk=reply.pk), rating=-1, comment="No")
    return url_of(connection.settings_dict["NAME"])


@pytest.fixture
def fresh() -> Iterator[str]:
    """The URL of an empty database."""
    name = f"restored_{os.getpid()}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        yield url_of(name)
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def contents(url: str) -> dict[str, Any]:
    """A checksum of every table's rows, and where its sequences stand."""
    with psycopg.connect(url) as database:
        tables = [name for (name,) in database.execute(TABLES_SQL)]
        checksum = "SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM {} AS r"
        sums = {
            name: database.execute(sql.SQL(checksum).format(sql.Identifier(name))).fetchone()
            for name in tables
        }
        sequences = "SELECT sequencename, last_value FROM pg_sequences"
        return {**sums, **dict(database.execute(sequences).fetchall())}


def schema(url: str) -> list[str]:
    """The statements that make the database: columns, generated ones too, indexes, triggers."""
    with psycopg.connect(url) as database:
        program = client_program("pg_dump", server_version=database.info.server_version // 10_000)
    dumped = subprocess.run(
        [program, "--schema-only", "--no-owner", f"--dbname={url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    # pg_dump's own \restrict has a new token each time. A check that is read back has its casts
    # in other places, and means the same.
    lines = [line for line in dumped.stdout.splitlines() if not line.startswith("\\")]
    return [re.sub(r"::(text|character varying)(\[\])?|[()]", "", line) for line in lines]


def test_restored_database_is_the_one_that_was_backed_up(
    filled: str, fresh: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.dump"

    manifest = back_up(filled, file)
    restore(fresh, file)

    assert contents(fresh) == contents(filled)
    assert schema(fresh) == schema(filled)
    assert "CREATE TRIGGER append_only" in "\n".join(schema(fresh))
    assert "GENERATED ALWAYS AS" in "\n".join(schema(fresh))
    assert manifest["rows"]["messaging_message"] == Message.objects.count() > 60
    assert "messaging.0001_initial" in manifest["migrations"]
    assert json.loads(manifest_path(file).read_text()) == manifest
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {"a.dump", "a.dump.json"}


def test_database_that_is_not_empty_is_replaced_only_by_force(
    filled: str, fresh: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.dump"
    back_up(filled, file)
    restore(fresh, file)
    run_sql(fresh, "UPDATE messaging_message SET content = 'changed'")
    run_sql(fresh, "CREATE TABLE stray ()")

    with pytest.raises(StartError, match="not empty"):
        restore(fresh, file)
    changed = contents(fresh)
    restore(fresh, file, force=True)

    assert "stray" in changed
    assert changed["messaging_message"] != contents(filled)["messaging_message"]
    assert contents(fresh) == contents(filled)
    assert schema(fresh) == schema(filled)


def test_restore_that_fails_leaves_what_was_there(filled: str, fresh: str, tmp_path: Path) -> None:
    file = tmp_path / "a.dump"
    back_up(filled, file)
    restore(fresh, file)
    run_sql(fresh, "UPDATE messaging_message SET content = 'newer'")
    before = (contents(fresh), schema(fresh))
    manifest = json.loads(manifest_path(file).read_text())
    manifest["rows"]["messaging_message"] += 1
    manifest_path(file).write_text(json.dumps(manifest))

    with pytest.raises(StartError, match="differ from those of the manifest"):
        restore(fresh, file, force=True)

    assert (contents(fresh), schema(fresh)) == before


def test_broken_file_is_refused_before_anything_is_touched(
    filled: str, fresh: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.dump"
    back_up(filled, file)
    whole = manifest_path(file).read_text()

    def refused(match: str) -> None:
        with pytest.raises(StartError, match=match):
            restore(fresh, file)

    manifest_path(file).unlink()
    refused("missing or broken")
    newer = json.loads(whole)
    newer["migrations"].append("messaging.0099_later")
    manifest_path(file).write_text(json.dumps(newer))
    refused("newer version: messaging.0099_later")
    manifest_path(file).write_text(whole)
    file.write_bytes(file.read_bytes()[:-1])
    refused("not the file")
    file.unlink()
    refused("there is no")
    assert contents(fresh) == {}


def test_database_in_use_is_not_replaced(filled: str, fresh: str, tmp_path: Path) -> None:
    file = tmp_path / "a.dump"
    back_up(filled, file)

    with psycopg.connect(fresh), pytest.raises(StartError, match="1 other connection"):
        restore(fresh, file)


def test_backup_takes_no_name_that_is_taken_and_leaves_no_half_of_a_file(
    fresh: str, tmp_path: Path
) -> None:
    taken = tmp_path / "a.dump"
    taken.write_text("mine")

    with pytest.raises(StartError, match="there already"):
        back_up(fresh, taken)
    with pytest.raises(psycopg.Error):  # It has no table of migrations.
        back_up(fresh, tmp_path / "b.dump")

    assert taken.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [taken]


def run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(statement)


def backup_command(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "DB_HOST")}
    return subprocess.run(
        [sys.executable, "-m", "dev.backup", *arguments],
        cwd=BASE_DIR,
        env={**inherited, **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_commands_work_on_the_servers_of_make_run(tmp_path: Path) -> None:
    """On its data while it is down; refused in words while it is up."""
    var = tmp_path / "var"
    server = start_postgres(var / "postgres", durable=False)
    run_sql(server.url, "CREATE TABLE django_migrations (app text, name text)")
    run_sql(server.url, "INSERT INTO django_migrations VALUES ('auth', '0001_initial')")
    server.stop(signal.SIGINT)

    backed_up = backup_command("backup", "--var", var)
    [file] = (var / "backups").glob("*.dump")
    unforced = backup_command("restore", file, "--var", var)
    restored = backup_command("restore", file, "--force", "--var", var)
    with closing(Lock(var)):
        refused = backup_command("restore", file, "--var", var)
        starting = backup_command("backup", "--var", var)

    assert (backed_up.returncode, backed_up.stderr) == (0, "")
    assert f"{file}: 1 rows of 1 tables" in backed_up.stdout
    assert unforced.stderr == "error: the database is not empty: FORCE=1 replaces what is in it\n"
    assert (restored.returncode, restored.stderr) == (0, "")
    assert "Start web, worker and beat again." in restored.stdout
    assert refused.stderr == "error: GemChatRoom is running from this folder: end it first\n"
    assert "just starting or ending" in starting.stderr


def test_backup_of_a_running_program_is_of_its_database(filled: str, tmp_path: Path) -> None:
    var = tmp_path / "var"
    with closing(Lock(var)):
        write_private(var / "environment", f"DEBUG=true\nDATABASE_URL={filled}\n")

        backed_up = backup_command("backup", tmp_path / "a.dump", "--var", var)

    assert (backed_up.returncode, backed_up.stderr) == (0, "")
    manifest = json.loads(manifest_path(tmp_path / "a.dump").read_text())
    assert manifest["rows"]["messaging_message"] == Message.objects.count()


class Lock:
    """A folder's lock, as a running program holds it."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = lock_folder(folder)

    def close(self) -> None:
        os.close(self.descriptor)


@transactional
def test_reply_that_was_queued_at_the_backup_is_answered_after_the_restore(
    carol: User, fresh: str, stack_redis: str, tmp_path: Path, settings: Any
) -> None:
    settings.REPLY_SWEEP_SECONDS = 1
    room = make_room(carol)
    reply = actions.post_message(user=carol, chatroom_id=room.pk, prompt="Hello").reply
    back_up(url_of(connection.settings_dict["NAME"]), tmp_path / "a.dump")
    restore(fresh, tmp_path / "a.dump")
    redis.Redis.from_url(stack_redis).flushdb()

    environ = {
        **os.environ,
        "DATABASE_URL": fresh,
        "REDIS_URL": stack_redis,
        "DEBUG": "true",
        "REPLY_SWEEP_SECONDS": "1",
    }
    stack = Stack(
        var=tmp_path / "var", environ=environ, port=free_port(), output=lambda name, line: None
    )
    with stack, psycopg.connect(fresh, autocommit=True) as database:
        complete = "SELECT content FROM messaging_message WHERE id = %s AND status = 'complete'"
        eventually(lambda: database.execute(complete, [reply.pk]).fetchone(), seconds=60)
        [content] = database.execute(complete, [reply.pk]).fetchone()

    assert "Hello" in content
