"""Processes that end when asked, when they must, and with their parent; and folders' locks."""

import os
import signal
import subprocess
import sys
import time

from dev.servers.processes import lock_folder, spawn, stop

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
SLEEP = "print('up', flush=True); import time; time.sleep(60)"


def start(code, *, cwd, **options):
    process = spawn(
        [sys.executable, "-c", code],
        env=os.environ,
        cwd=cwd,
        stdout=subprocess.PIPE,
        when_orphaned=signal.SIGKILL,
        **options,
    )
    process.stdout.readline()
    return process


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_process_that_ignores_the_signal_is_killed(tmp_path):
    process = start(f"{STUBBORN}; {SLEEP}", cwd=tmp_path)

    stop(process, signal.SIGTERM, within_seconds=0.2)

    assert process.returncode == -signal.SIGKILL


def test_process_that_obeys_the_signal_is_not_killed(tmp_path):
    process = start(SLEEP, cwd=tmp_path)

    stop(process, signal.SIGTERM, within_seconds=30)

    assert process.returncode == -signal.SIGTERM


def test_process_is_out_of_reach_of_the_terminals_signals(tmp_path):
    process = start(SLEEP, cwd=tmp_path)

    own_session = os.getsid(process.pid) == process.pid

    stop(process, signal.SIGKILL, within_seconds=5)
    assert own_session


def test_child_of_a_killed_parent_ends(tmp_path):
    parent = (
        "import os, subprocess, sys; from pathlib import Path; from signal import SIGKILL\n"
        "from dev.servers.processes import spawn\n"
        f"child = spawn([sys.executable, '-c', {SLEEP!r}], env=os.environ, cwd=Path('/'),"
        " stdout=subprocess.PIPE, when_orphaned=SIGKILL)\n"
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    child = int(process.stdout.readline())

    process.kill()
    process.wait()

    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def test_folder_is_locked_once(tmp_path):
    first = lock_folder(tmp_path)

    second = lock_folder(tmp_path)

    os.close(first)
    assert second is None


def test_folder_is_free_after_its_owner(tmp_path):
    os.close(lock_folder(tmp_path))

    again = lock_folder(tmp_path)

    assert again is not None
    os.close(again)


def test_folder_stays_locked_while_a_child_has_it(tmp_path):
    lock = lock_folder(tmp_path)
    child = start(SLEEP, cwd=tmp_path, keep_open=[lock])
    os.close(lock)

    while_child_lives = lock_folder(tmp_path)
    stop(child, signal.SIGKILL, within_seconds=5)
    after_child = lock_folder(tmp_path, wait_seconds=5)

    assert while_child_lives is None
    assert after_child is not None
    os.close(after_child)
