"""The whole program on one machine: servers, web, worker and beat, as a unit."""

import errno
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.environment import (
    BASE_DIR,
    DEVELOPMENT,
    SECRETS,
    development_environment,
    names_database,
    names_redis,
    schema_fingerprint,
    write_private,
)
from dev.servers.embedded import Server, start_postgres, start_valkey
from dev.servers.processes import StartError, lock_folder, spawn, stop

PARTS = ("setup", "web", "worker", "beat")
WEB_START_SECONDS = 60
EXPORTED_VARIABLES = [
    *SECRETS,
    *DEVELOPMENT,
    *("DATABASE_URL", "DB_HOST", "REDIS_URL", "FILES_ROOT", "FILES_TEMP_DIR"),
]
# A worker gives replies 30 s before the requeue; web ends all streams at once.
STOP_SECONDS = {"web": 10, "worker": 45, "beat": 10}
LEFTOVER_SECONDS = 15  # For the servers of a killed start to end.

Output = Callable[[str, str], None]


class Stack:
    """Run web at `stack.url` inside `with Stack(...) as stack:`, and end all processes afterwards.

    `environ` is the environment as the person set it. `output` takes the name of a process and one
    line of its output, from any thread. Data is stored under `var`. `parts` are the parts to start,
    web among them; without "setup" the database must be migrated. Entering raises StartError. Enter
    from the main thread: the children end with the starting thread.
    """

    def __init__(
        self,
        *,
        var: Path,
        environ: Mapping[str, str],
        port: int,
        output: Output,
        host: str = "127.0.0.1",
        parts: Collection[str] = PARTS,
    ) -> None:
        self.var = var.absolute()
        self.environ = environ
        self.host = host
        self.port = port
        self.output = output
        self.parts = parts
        self.prepared: dict[str, Any] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._hurry = threading.Event()
        self.servers: dict[str, Server] = {}
        self._readers: list[threading.Thread] = []
        self._lock = -1
        self._environment: dict[str, str] = {}
        self._cleanup = ExitStack()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._cleanup = cleanup
            self._take_folder()
            self._check_port()
            environment = development_environment(self.environ, var=self.var)
            self._environment = environment
            self._start_servers(environment)
            self._write_environment(environment)
            self._cleanup.callback(self._stop_processes)
            if "setup" in self.parts:
                self._start_web_and_prepare(environment)
            else:
                self._start("web", environment)
            for name in ("worker", "beat"):
                if name in self.parts:
                    self._start(name, environment)
            for name in self.processes:
                self._relay(name)
            self._wait_for_web()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def hurry(self) -> None:
        """Make a stop in progress kill the remaining processes."""
        self._hurry.set()

    def restart(self, name: str, **environ: str) -> None:
        """Start a process again; a running process is killed first, as by a crash.

        `environ` changes the process's environment from now on. Web answers after the return.
        """
        self.processes[name].kill()
        self.processes[name].wait()
        self._start(name, {**self._environment, **environ})
        self._relay(name)
        if name == "web":
            self._wait_for_web()

    def start_again(self, name: str) -> None:
        """Start an ended process or server; the answer takes a moment."""
        if name in self.servers:
            self.servers[name].start_again()
        else:
            self._start(name, self._environment)
            self._relay(name)

    def ended(self) -> dict[str, str]:
        """Return the ended processes and servers, each with how it ended."""
        servers = {name: server.process for name, server in self.servers.items()}
        ended = {}
        for name, process in {**servers, **self.processes}.items():
            status = process.poll()
            if status is not None:
                ended[name] = f"with status {status}" if status >= 0 else f"by signal {-status}"
        return ended

    def log_of(self, name: str) -> str:
        """Return where a person reads the log of a process or server."""
        if name in self.servers:
            return str(self.var / name.lower().removesuffix("ql") / "log")
        return f'above, in the lines that begin with "{name}"'

    def _take_folder(self) -> None:
        lock = lock_folder(self.var)
        if lock is None and not _is_alive(_lock_owner(self.var)):
            lock = lock_folder(self.var, wait_seconds=LEFTOVER_SECONDS)
        if lock is None:
            raise StartError(
                f"GemChatRoom is already running from this folder (process {_lock_owner(self.var)})"
            )
        self._lock = lock
        self._cleanup.callback(os.close, lock)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)

    def _check_port(self) -> None:
        """Raise StartError where web could not listen, before anything starts."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self.host, self.port))
            except (OSError, OverflowError) as error:
                if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                    raise StartError(f"port {self.port} is taken: choose another by PORT") from None
                raise StartError(f"cannot listen at {self.host}:{self.port}: {error}") from None

    def _start_servers(self, environment: dict[str, str]) -> None:
        """Start the stores missing in the environment, and name the stores there."""
        if not names_database(environment):
            postgres = start_postgres(self.var / "postgres", keep_open=[self._lock])
            self._add_server("PostgreSQL", postgres)
            environment["DATABASE_URL"] = postgres.url
        if not names_redis(environment):
            valkey = start_valkey(self.var / "valkey", keep_open=[self._lock])
            self._add_server("Valkey", valkey)
            environment["REDIS_URL"] = valkey.url

    def _write_environment(self, environment: Mapping[str, str]) -> None:
        """Write the settings of manage.py for this stack, for the life of the stack."""
        path = self.var / "environment"
        names = [name for name in EXPORTED_VARIABLES if environment.get(name)]
        write_private(path, "".join(f"{k}={shlex.quote(environment[k])}\n" for k in names))
        self._cleanup.callback(path.unlink, missing_ok=True)

    def _add_server(self, name: str, server: Server) -> None:
        self.servers[name] = server
        self._cleanup.callback(server.stop)

    def _start_web_and_prepare(self, environment: Mapping[str, str]) -> None:
        """Start web beside the checks without pending migrations, else after the checks.

        Loading Django takes web and the checks a second or two each. The output of web is read
        later: a bad setting fails web as well, and the checks explain the setting better.
        """
        migrated = self.var / "migrated"
        database = [environment.get(name, "") for name in ("DB_HOST", "DB_PORT", "DB_NAME")]
        schema = schema_fingerprint(self.environ.get("DATABASE_URL", ""), *database)
        is_migrated = migrated.exists() and migrated.read_text() == schema
        if is_migrated:
            self._start("web", environment)
        self._prepare(environment)
        if not is_migrated:
            migrated.write_text(schema)
            self._start("web", environment)

    def _prepare(self, environment: Mapping[str, str]) -> None:
        result = self.var / "prepared.json"
        result.unlink(missing_ok=True)
        process = self._spawn(["dev.prepare", str(self.var)], environment)
        error = "the setup failed, see above"
        try:
            for line in _output_lines(process):
                if line.startswith("error: "):
                    error = line.removeprefix("error: ")
                else:
                    self.output("setup", line)
            process.wait()
        finally:
            stop(process, signal.SIGTERM, within_seconds=10)
        if process.returncode != 0:
            raise StartError(error)
        self.prepared = json.loads(result.read_text())
        result.unlink()

    def _start(self, name: str, environment: Mapping[str, str]) -> None:
        self.processes[name] = self._spawn(self._commands()[name], environment)

    def _commands(self) -> dict[str, list[str]]:
        """Return the module and arguments of each process, as in production."""
        return {
            "web": [
                *("uvicorn", "gemchat.asgi:application"),
                *("--host", self.host, "--port", str(self.port)),
                # The program itself reads addresses behind proxies, by TRUSTED_PROXY_COUNT.
                *("--no-server-header", "--no-proxy-headers", "--log-level", "warning"),
                *("--http", "gemchat.asgi:LimitedHttpProtocol", "--no-access-log"),
                *("--timeout-graceful-shutdown", "5"),
            ],
            "worker": [
                *("celery", "--app=gemchat", "--quiet", "worker", "--queues=gemini,default,files"),
                # The only worker: waiting for answers of others takes a second.
                *("--pool=threads", "--loglevel=INFO", "--without-gossip", "--without-mingle"),
            ],
            "beat": [
                *("celery", "--app=gemchat", "--quiet", "beat", "--loglevel=WARNING"),
                f"--schedule={self.var / 'beat-schedule'}",
                "--pidfile=",
            ],
        }

    def _spawn(
        self, arguments: list[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        return spawn(
            [sys.executable, "-m", *arguments],
            env=environment,
            cwd=BASE_DIR,
            stdout=subprocess.PIPE,
            when_orphaned=signal.SIGKILL,
            keep_open=[self._lock],
        )

    def _relay(self, name: str) -> None:
        def relay() -> None:
            for line in _output_lines(self.processes[name]):
                self.output(name, line)

        reader = threading.Thread(target=relay, daemon=True)
        reader.start()
        self._readers.append(reader)

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + WEB_START_SECONDS
        while time.monotonic() < deadline:
            for name, how in self.ended().items():
                raise StartError(f"{name} ended {how}")
            connection = HTTPConnection(self.host, self.port, timeout=2)
            try:
                connection.request("GET", "/livez")
                connection.getresponse()
            except (OSError, HTTPException):
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()
        raise StartError(f"web does not answer at {self.url} within {WEB_START_SECONDS} s")

    def _stop_processes(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        started = time.monotonic()
        for name, process in self.processes.items():
            while process.poll() is None:
                if self._hurry.is_set() or time.monotonic() - started > STOP_SECONDS[name]:
                    process.kill()
                    process.wait()
                time.sleep(0.05)
        for reader in self._readers:
            reader.join(timeout=5)


def _output_lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    if process.stdout is not None:
        for line in process.stdout:
            yield line.decode(errors="replace").rstrip()


def _lock_owner(folder: Path) -> int:
    """Return the process that last locked this folder, 0 for none."""
    text = (folder / "lock").read_text()
    return int(text) if text.isdigit() else 0


def _is_alive(process_id: int) -> bool:
    if process_id == 0:
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
