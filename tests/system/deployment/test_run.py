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
from contextlib import suppress
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
    text = second.text()
    _, left = second.end(signal.SIGKILL)

    staff = json.loads((var / "staff.json").read_text())
    assert status == 0
    assert len(started) >= 5
    assert not started & running_processes().keys()
    assert f"password {staff['password']}" in first.text()
    assert f"password in {var / 'staff.json'}" in text
    # A killed run leaves no process either.
    eventually(lambda: not left & running_processes().keys(), seconds=20)
    assert len(left) >= 5


def process_of(run, word):
    """The process of a run with this word in its command; None for none."""
    for pid in descendants(run.process.pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def test_process_that_dies_by_itself_is_started_again(migrated, start):
    run = start().wait_until_up()

    for name, word in (("beat", b"beat"), ("Valkey", b"valkey-server")):
        killed = process_of(run, word)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda name=name: f"{name} starts again" in run.text(), seconds=30)
        assert f"{name} ended by signal 9; it starts again in 1 s" in run.text()
        assert process_of(run, word) not in (None, killed)

    status, started = run.end(signal.SIGTERM)
    assert status == 0
    assert not started & running_processes().keys()


def test_run_ends_with_a_reason_when_a_process_dies_again_and_again(migrated, start):
    run = start().wait_until_up()
    started = descendants(run.process.pid)

    def is_over():
        if beat := process_of(run, b"beat"):
            os.kill(beat, signal.SIGKILL)
        return run.process.poll() is not None

    eventually(is_over, seconds=90)

    waits = re.findall(r"beat ended by signal 9; it starts again in (\d+) s", run.text())
    assert waits == ["1", "2", "4", "8"]
    assert run.process.returncode == 1
    assert (
        "error: beat ended by signal 9, 5 times in a row; its log is above, in the lines that begin"
        ' with "beat"; ending the others'
    ) in run.text()
    assert not started & running_processes().keys()


def test_signal_during_the_wait_for_a_restart_ends_the_run_at_once(migrated, start):
    run = start().wait_until_up()
    os.kill(process_of(run, b"beat"), signal.SIGKILL)
    eventually(lambda: "it starts again in" in run.text(), seconds=20)

    status, _ = run.end(signal.SIGINT)

    assert status == 0
    assert "beat starts again" not in run.text()


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
    assert "the database comes from older migrations" in run.text()
    assert "accounts_user has no name" in run.text()
