"""`make run` at a terminal: one start, one end, one line for a failure."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from dev.environment import BASE_DIR
from dev.servers.embedded import start_postgres
from dev.servers.processes import lock_folder
from tests.support.stack.processes import descendants, free_port, running_processes
from tests.support.waiting import eventually

SERVERS = ("DATABASE_URL", "DB_HOST", "REDIS_URL")
UP = "GemChatRoom is up"


@pytest.fixture
def var(tmp_path):
    return tmp_path / "var"


@pytest.fixture
def migrated(var):
    """Makes the data folder's database as an earlier start would have left it, but sooner."""
    if cluster := os.environ.get("TEST_CLUSTER"):
        shutil.copytree(cluster, var / "postgres")
        server = start_postgres(var / "postgres", database="postgres")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE gemchat TEMPLATE template_gemchat")
        server.stop()


@pytest.fixture
def start(var):
    """Starts `dev.run` on that folder, and kills all processes left at the end."""
    runs = []

    def start(**environ):
        runs.append(Run(var, environ))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()
        run.output.close()


class Run:
    """A `dev.run` with separate servers, unless `environ` names them."""

    def __init__(self, var, environ):
        inherited = {k: v for k, v in os.environ.items() if k not in (*SERVERS, "DEBUG")}
        self.output = (var.parent / f"output-{time.monotonic_ns()}").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.run", "--var", var],
            cwd=BASE_DIR,
            env={**inherited, "PORT": str(free_port()), **environ},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def text(self):
        return Path(self.output.name).read_text()

    def wait_until_up(self):
        eventually(lambda: UP in self.text() or self.process.poll() is not None, seconds=90)
        assert UP in self.text(), self.text()
        return self

    def end(self, how):
        """Send a signal, and return the exit status and every process of the run."""
        started = descendants(self.process.pid)
        self.process.send_signal(how)
        return self.process.wait(60), started


def test_run_is_ended_by_a_signal_and_finds_its_data_again(migrated, start, var):
    first = start().wait_until_up()
    status, started = first.end(signal.SIGTERM)

    second = start().wait_until_up()

    staff = json.loads((var / "staff.json").read_text())
    assert status == 0
    assert len(started) >= 5
    assert not started & running_processes().keys()
    assert f"password {staff['password']}" in first.text()
    assert f"password in {var / 'staff.json'}" in second.text()


def test_killed_run_leaves_no_process(migrated, start):
    run = start().wait_until_up()

    _, started = run.end(signal.SIGKILL)

    eventually(lambda: not started & running_processes().keys(), seconds=20)
    assert len(started) >= 5


def test_run_ends_with_a_reason_when_a_process_does(migrated, start):
    run = start().wait_until_up()
    started = descendants(run.process.pid)
    beat = next(pid for pid in started if b"beat" in Path(f"/proc/{pid}/cmdline").read_bytes())

    os.kill(beat, signal.SIGKILL)

    assert run.process.wait(60) == 1
    assert "error: beat ended by signal 9; ending the others" in run.text()
    assert not started & running_processes().keys()


def test_second_run_of_a_folder_says_that_one_is_running(start, var):
    lock = lock_folder(var)
    os.write(lock, str(os.getpid()).encode())

    run = start()

    assert run.process.wait(30) == 1
    os.close(lock)
    assert re.fullmatch(
        rf"error: .* already running from this folder \(process {os.getpid()}\)\n", run.text()
    )


def test_taken_port_is_one_line_and_nothing_is_started(start, var):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        run = start(PORT=str(port))

        assert run.process.wait(30) == 1
    assert run.text() == f"error: port {port} is taken: choose another by PORT\n"
    assert not (var / "valkey").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("JWT_EXPIRATION_HOURS", "a day"),
        ("DEBUG", "ture"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
    ],
)
def test_bad_setting_is_one_sentence_that_names_it(start, name, value):
    servers = {name: os.environ[name] for name in SERVERS if name in os.environ}

    run = start(**{**servers, name: value})

    assert run.process.wait(30) == 1
    assert run.text().count("\n") == 1
    assert run.text().startswith("error: ")
    assert name in run.text()


def test_database_of_migrations_that_were_rewritten_is_refused(start, stack_stores):
    with psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as database:
        database.execute("ALTER TABLE accounts_user DROP COLUMN name")

    run = start(**stack_stores)

    assert run.process.wait(60) == 1
    assert "error: the database was made by migrations that were rewritten" in run.text()
    assert "accounts_user has no name" in run.text()
