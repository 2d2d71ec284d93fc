"""`make backup` and `make restore`: the database as one file, with a manifest beside it.

The file has pg_dump's custom format; pg_restore reads the file without the manifest. The manifest,
FILE.json, lists rows of each table, migrations, versions and a checksum. Both are of one snapshot.
Redis is not backed up: the program can make its content again. Nor are the secrets backed up:
secrets do not belong beside the data. The storage of files is the second thing to back up; see
docs/operations.md.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dev.environment import BASE_DIR, names_database, schema_fingerprint, write_private
from dev.servers.embedded import client_program, start_postgres
from dev.servers.processes import StartError, lock_folder

TABLES_SQL = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
OTHER_CONNECTIONS_SQL = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
CLOSING_SECONDS = 3.0
# The old schema has this name until the restored schema is known to be whole.
SAVED_SCHEMA = "before_restore"
# The schema as initdb makes it.
MAKE_PUBLIC_SQL = [
    "CREATE SCHEMA public",
    "COMMENT ON SCHEMA public IS 'standard public schema'",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    "ALTER SCHEMA public OWNER TO pg_database_owner",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["backup", "restore"])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--force", action="store_true", help="replace what is in the database")
    parser.add_argument("--var", type=Path, default=BASE_DIR / "var", help="where data is kept")
    options = parser.parse_args()
    from gemchat.env import env  # noqa: F401 reads .env as it is imported

    try:
        if options.action == "backup":
            with database(options.var, os.environ) as conninfo:
                file = options.file or default_file(options.var)
                manifest = back_up(conninfo, file)
            print(f"{file}: {describe(manifest)}")
            print("The storage of files is not in it: see docs/operations.md.")
        else:
            if options.file is None:
                raise StartError("name the file: make restore FILE=var/backups/…")
            with database(options.var, os.environ, alone=True) as conninfo:
                manifest = restore(conninfo, options.file, force=options.force)
                reset_run_state(options.var)
            print(f"Restored {describe(manifest)}.\n{next_steps(manifest)}")
    except (StartError, psycopg.Error, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


@contextmanager
def database(var: Path, environ: Mapping[str, str], *, alone: bool = False) -> Iterator[str]:
    """Yield the conninfo of the environment's database, or of `make run`'s.

    When `make run` is down, the PostgreSQL of `make run` is started meanwhile. With `alone` the
    program must not be running from this folder.
    """
    lock = lock_folder(var)
    try:
        if alone and lock is None:
            raise StartError("GemChatRoom is running from this folder: end it first")
        if names_database(environ):
            yield conninfo_from(environ)
        elif lock is None:
            yield conninfo_from(running_environment(var))
        elif not (var / "postgres" / "data").exists() and not alone:
            raise StartError(f"there is no database in {var}, and none is named by DATABASE_URL")
        else:
            server = start_postgres(var / "postgres", keep_open=[lock])
            try:
                yield server.url
            finally:
                server.stop()
    finally:
        if lock is not None:
            os.close(lock)


def reset_run_state(var: Path) -> None:
    """Delete the data of `make run` about the replaced database.

    `make run` makes the data again.
    """
    (var / "migrated").unlink(missing_ok=True)
    shutil.rmtree(var / "valkey", ignore_errors=True)


def running_environment(var: Path) -> dict[str, str]:
    """Read the variables that a running `make run` has written."""
    path = var / "environment"
    if not path.exists():
        raise StartError("GemChatRoom is just starting or ending; try again in a moment")
    lines = shlex.split(path.read_text())
    return dict(line.split("=", 1) for line in lines)


def conninfo_from(environ: Mapping[str, str]) -> str:
    """Build the conninfo of the settings' database from these variables."""
    if not environ.get("DB_HOST"):
        return environ["DATABASE_URL"]
    return make_conninfo(
        host=environ["DB_HOST"],
        port=environ.get("DB_PORT") or "5432",
        dbname=environ.get("DB_NAME") or "gemchat",
        user=environ.get("DB_USER") or "gemchat",
        password=environ.get("DB_PASSWORD", ""),
    )


def default_file(var: Path) -> Path:
    folder = var / "backups"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"gemchat-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"


def manifest_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def back_up(conninfo: str, file: Path) -> dict[str, Any]:
    """Write the file and its manifest, whole or not at all. Raises StartError."""
    if file.exists():
        raise StartError(f"{file} is there already: choose another FILE")
    unfinished = file.with_name(f"{file.name}.part")
    # The file holds private messages: only the owner may read the file, also during the writing.
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with psycopg.connect(conninfo) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            [snapshot] = connection.execute("SELECT pg_export_snapshot()").fetchone() or [""]
            _run(
                connection,
                "pg_dump",
                *("--format=custom", "--no-owner", "--no-privileges", "--no-comments"),
                *(f"--snapshot={snapshot}", f"--file={unfinished}"),
            )
            manifest = {
                "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "postgresql": connection.info.parameter_status("server_version"),
                "schema": schema_fingerprint(),
                "migrations": _migrations(connection),
                "rows": _row_counts(connection),
                "bytes": unfinished.stat().st_size,
                "sha256": _checksum(unfinished),
            }
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        write_private(manifest_path(file), json.dumps(manifest, indent=1) + "\n")
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def restore(conninfo: str, file: Path, *, force: bool = False) -> dict[str, Any]:
    """Restore a backup; only `force` replaces a database that is not empty.

    If the restore fails, or differs from the manifest, the database stays as it was. Raises
    StartError.
    """
    manifest = _read_manifest(file)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if others := _other_connections(connection):
            raise StartError(
                f"the database has {others} other connections: end web, worker and beat first"
            )
        has_tables = connection.execute(TABLES_SQL).fetchone() is not None
        if has_tables and not force:
            raise StartError("the database is not empty: FORCE=1 replaces what is in it")
        with _schema_set_aside(connection):
            _run(
                connection,
                "pg_restore",
                *("--no-owner", "--no-privileges", "--single-transaction", str(file)),
            )
            if _row_counts(connection) != manifest["rows"]:
                raise StartError("the restored rows differ from those of the manifest")
        # Until autovacuum runs, the planner has no statistics of the new tables.
        connection.execute("ANALYZE")
    return manifest


def _other_connections(connection: psycopg.Connection[Any]) -> int:
    """Count other connections, after a short wait for closing connections."""
    deadline = time.monotonic() + CLOSING_SECONDS
    while True:
        [others] = connection.execute(OTHER_CONNECTIONS_SQL).fetchone() or [0]
        if not others or time.monotonic() > deadline:
            return int(others)
        time.sleep(0.05)


@contextmanager
def _schema_set_aside(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Give the block an empty schema; bring the old schema back if the block fails.

    After a kill the next restore brings the old schema back.
    """
    _restore_saved_schema(connection)
    with connection.transaction():
        connection.execute(f"ALTER SCHEMA public RENAME TO {SAVED_SCHEMA}")
        for statement in MAKE_PUBLIC_SQL:
            connection.execute(statement)
        _move_extensions(connection, SAVED_SCHEMA, "public")
    try:
        yield
    except BaseException:
        _restore_saved_schema(connection)
        raise
    connection.execute(f"DROP SCHEMA {SAVED_SCHEMA} CASCADE")


def _restore_saved_schema(connection: psycopg.Connection[Any]) -> None:
    known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SAVED_SCHEMA])
    if known.fetchone():
        with connection.transaction():
            _move_extensions(connection, "public", SAVED_SCHEMA)
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute(f"ALTER SCHEMA {SAVED_SCHEMA} RENAME TO public")


def _move_extensions(connection: psycopg.Connection[Any], old: str, new: str) -> None:
    """Move extensions: a database has each once, and the saved tables need the extensions too."""
    found = connection.execute(
        "SELECT extname FROM pg_extension WHERE extnamespace = %s::regnamespace", [old]
    )
    for (name,) in found.fetchall():
        connection.execute(
            sql.SQL("ALTER EXTENSION {} SET SCHEMA {}").format(
                sql.Identifier(name), sql.Identifier(new)
            )
        )


def describe(manifest: Mapping[str, Any]) -> str:
    rows = sum(manifest["rows"].values())
    size = manifest["bytes"] / 1e6
    return f"{rows:,} rows of {len(manifest['rows'])} tables, {size:.1f} MB, {manifest['made_at']}"


def next_steps(manifest: Mapping[str, Any]) -> str:
    is_same = manifest["schema"] == schema_fingerprint()
    migrate = "" if is_same else " Another version made it: migrate first (make run does)."
    return (
        f"Start web, worker and beat again.{migrate} Empty your own Redis before that (FLUSHDB):"
        " its content is of another time. Workers get queued and unfinished replies again within"
        " a minute. Sign-ins last if the secrets are the same. Then restore the storage of files,"
        " and run manage.py files_check --dry-run."
    )


def _read_manifest(file: Path) -> dict[str, Any]:
    """Read the manifest. Raises StartError for a broken file, or for a newer version."""
    if not file.exists():
        raise StartError(f"there is no {file}")
    try:
        manifest = json.loads(manifest_path(file).read_text())
    except (FileNotFoundError, ValueError):
        raise StartError(f"{manifest_path(file)} is missing or broken") from None
    if _checksum(file) != manifest["sha256"]:
        raise StartError(f"{file} is not the file of its manifest")
    unknown = [name for name in manifest["migrations"] if not _is_known(name)]
    if unknown:
        raise StartError(f"it was made by a newer version: {', '.join(unknown)} is not known here")
    return manifest


def _is_known(migration: str) -> bool:
    """Check whether this version has the migration; migrations of packages always pass."""
    app, _, name = migration.partition(".")
    folder = BASE_DIR / app / "migrations"
    return not folder.exists() or (folder / f"{name}.py").exists()


def _checksum(file: Path) -> str:
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _migrations(connection: psycopg.Connection[Any]) -> list[str]:
    found = connection.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
    return [name for (name,) in found]


def _row_counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    counts = {}
    for (table,) in connection.execute(TABLES_SQL).fetchall():
        counted = connection.execute(
            sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table))
        )
        [counts[table]] = counted.fetchone() or [0]
    return counts


def _run(connection: psycopg.Connection[Any], program: str, *arguments: str) -> None:
    """Run a client program of PostgreSQL on the connection's database."""
    path = client_program(program, server_version=connection.info.server_version // 10_000)
    parameters: dict[str, Any] = conninfo_to_dict(connection.info.dsn)
    # In the environment: other users can read the arguments of a process.
    environment = {**os.environ, "PGPASSWORD": connection.info.password}
    parameters.pop("password", None)
    ended = subprocess.run(
        [path, f"--dbname={make_conninfo(**parameters)}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if ended.returncode != 0:
        raise StartError(f"{program} failed: {ended.stderr.strip()}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
