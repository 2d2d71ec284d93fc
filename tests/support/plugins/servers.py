"""Gives every test run separate servers and an environment without real keys.

`addopts = -p` in pytest.ini loads this module before Django reads the settings. The first process
of pytest (xdist's controller) starts PostgreSQL and Valkey, and ends them with the run. xdist's
workers inherit the addresses. DATABASE_URL, DB_HOST and REDIS_URL name other servers. Runs do not
meet: each works on a copy of a migrated cluster, which lasts until a migration changes.
"""

import gc
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dev.environment import BASE_DIR, schema_fingerprint
from dev.servers.embedded import start_postgres, start_valkey
from dev.servers.processes import StartError, lock_folder

TEST_FOLDER = BASE_DIR / "var" / "test"
TEMPLATE_DATABASE = "template_gemchat"
TEMPLATES_KEPT = 3
TEMPLATE_WAIT_SECONDS = 300  # Another run may be making the one that this run needs.

# They import models, so they can load only after Django is set up: `-p` would be too early.
FIXTURE_PLUGINS = [
    f"tests.support.plugins.{name}" for name in ("cast", "files", "gemini", "stripe")
]

SERVERS = ("DATABASE_URL", "REDIS_URL", "DB_")
# What settings or a vendor's SDK would read behind a test's back; proxies would swallow loopback.
FOREIGN = ("GOOGLE_", "GEMINI_", "STRIPE_", "CELERY_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
TEST_ENVIRONMENT = {
    "DEBUG": "false",
    "SECRET_KEY": "test-secret-key-that-is-long-enough-for-every-check-0123456789",
    "JWT_SECRET": "test-jwt-secret-that-is-long-enough-for-every-check-0123456789",
    "OTP_SECRET": "test-otp-secret-that-is-long-enough-for-every-check-0123456789",
    "SMS_BACKEND": "tests.support.fakes.sms.Outbox",
}


class OutsideWorld(Exception):
    """A test tried to reach an address that is not this machine's."""


_running = ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    sys.addaudithook(_refuse_other_addresses)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        os.environ["REDIS_URL"] = _redis_of(worker)
        return
    _set_environment()
    with _uncaptured(early_config):
        try:
            _start_servers()
        except StartError as error:
            _running.close()
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    for name in FIXTURE_PLUGINS:
        config.pluginmanager.import_plugin(name)


def pytest_collection_finish() -> None:
    """Collect garbage less often, and without the objects of modules and collected tests.

    A full collection over half a million objects takes a third of a second.
    """
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_unconfigure() -> None:
    _running.close()


def _set_environment() -> None:
    servers = {name: value for name, value in os.environ.items() if name.startswith(SERVERS)}
    documented = _names_in(BASE_DIR / ".env") | _names_in(BASE_DIR / ".env.example")
    foreign = {name for name in os.environ if name.startswith(FOREIGN)}
    # Empty and not absent, or settings would take the value from .env.
    os.environ.update(dict.fromkeys(documented | foreign, ""))
    os.environ.update(servers)
    for name in PROXIES:
        os.environ.pop(name, None)
    os.environ.update(TEST_ENVIRONMENT)


def _names_in(path: Path) -> set[str]:
    """The variables that an environment file sets, or mentions in a comment."""
    if not path.exists():
        return set()
    lines = (line.lstrip("# ").partition("=") for line in path.read_text().splitlines())
    return {name for name, equals, _ in lines if equals and name.isidentifier() and name.isupper()}


def _start_servers() -> None:
    has_database = os.environ.get("DATABASE_URL") or os.environ.get("DB_HOST")
    has_redis = os.environ.get("REDIS_URL")
    if has_database and has_redis:
        return
    folder, lock = _make_run_folder()
    if not has_database:
        os.environ["TEST_CLUSTER"] = str(_copy_template(folder / "postgres"))
        postgres = start_postgres(folder / "postgres", durable=False, keep_open=[lock])
        _running.callback(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
        os.environ["TEST_DATABASE_TEMPLATE"] = TEMPLATE_DATABASE
    if not has_redis:
        valkey = start_valkey(folder / "valkey", durable=False, keep_open=[lock])
        _running.callback(valkey.stop)
        os.environ["REDIS_URL"] = valkey.url


def _make_run_folder() -> tuple[Path, int]:
    """A new folder, locked while this run or a server of this run lives."""
    TEST_FOLDER.mkdir(parents=True, exist_ok=True)
    for abandoned in TEST_FOLDER.glob("run-*"):
        _remove_if_free(abandoned)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=TEST_FOLDER))
    folder.chmod(0o755)  # PostgreSQL may run as another user; its own folder is closed.
    lock = lock_folder(folder)
    if lock is None:
        raise StartError(f"{folder} is taken by another run")
    _running.callback(os.close, lock)
    _running.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder, lock


def _remove_if_free(folder: Path) -> None:
    # A run that has made its folder and not yet locked it: too young to be abandoned.
    if not (folder / "lock").exists():
        return
    lock = lock_folder(folder)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _copy_template(destination: Path) -> Path:
    """Copy the migrated cluster, which the first run makes, and return the copy."""
    templates = TEST_FOLDER / "templates"
    lock = lock_folder(templates, wait_seconds=TEMPLATE_WAIT_SECONDS)
    if lock is None:
        raise StartError(f"another test run holds {templates} for too long")
    try:
        starter = BASE_DIR / "dev" / "servers" / "embedded.py"
        template = templates / f"cluster-{schema_fingerprint(starter.read_text())}"
        if not template.exists():
            _make_template(template, lock=lock)
        os.utime(template)
        shutil.copytree(template, destination)
    finally:
        os.close(lock)
    return template


def _make_template(template: Path, *, lock: int) -> None:
    print("Making the test database; it is kept until a migration changes ...", flush=True)
    others = sorted(template.parent.glob("cluster-*"), key=lambda path: path.stat().st_mtime)
    for old in others[: -(TEMPLATES_KEPT - 1)]:
        shutil.rmtree(old)
    unfinished = template.parent / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    server = start_postgres(unfinished, database=TEMPLATE_DATABASE, durable=False, keep_open=[lock])
    try:
        _migrate(server.url)
    finally:
        server.stop(signal.SIGINT)  # Cleanly, or every copy would start with a recovery.
    unfinished.rename(template)


def _migrate(database_url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--skip-checks", "-v0"]
    # Migrating sends nothing to Redis, but settings ask for its address.
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1"}
    if subprocess.run(command, cwd=BASE_DIR, env=environment).returncode != 0:
        raise StartError("migrate failed on the test database, see above")


def _redis_of(worker: str) -> str:
    """Each of xdist's workers has a separate database number, since tests flush their database."""
    url = urlsplit(os.environ["REDIS_URL"])
    first = int(url.path.strip("/") or 0)
    return url._replace(path=f"/{first + int(worker.removeprefix('gw'))}").geturl()


@contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    """Lets progress and errors through to the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


def _refuse_other_addresses(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: sees every connection that Python code makes, before it is made."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if isinstance(host, str) and host not in ("", "localhost") and not _is_loopback(host):
        raise OutsideWorld(f"a test tried to reach {host}; tests talk to loopback alone")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
