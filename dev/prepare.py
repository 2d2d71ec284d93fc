"""Check the settings, migrate, and make the staff login: `python -m dev.prepare VAR`.

A single process does all the work, since loading Django costs the most. On failure the process ends
with status 1 and a line with the reason. On success it leaves VAR/prepared.json for its parent:
{"gemini_backend": str, "gemini_model": str, "staff": {"mobile", "password", "is_new"} | null}.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from dev.environment import write_private
from gemchat.checks import refuse_bad_settings
from gemchat.stores.postgres import failure_cause

# 555-0100 to 0199 are for fiction: https://nationalnanpa.com/number_resource_info/555_numbers.html
STAFF_MOBILE = "+12025550100"


def main() -> None:
    var = Path(sys.argv[1])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
    try:
        django.setup()
        # A single connection is enough here, and a pool would hide the reason of a failure.
        connection.settings_dict["OPTIONS"].pop("pool", None)
        refuse_bad_settings()
        _migrate()
        staff = _staff_login(var / "staff.json")
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")
    except OperationalError as error:
        reason = failure_cause(error, password=connection.settings_dict["PASSWORD"])
        sys.exit(f"error: the database does not answer, see DATABASE_URL or DB_HOST: {reason}")
    prepared = {
        "gemini_backend": settings.GEMINI_BACKEND,
        "gemini_model": settings.GEMINI_MODEL,
        "staff": staff,
    }
    write_private(var / "prepared.json", json.dumps(prepared))


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        print("Migrating the database", flush=True)
        call_command("migrate", interactive=False, skip_checks=True)
    if lacking := _lacking_columns():
        table, column = min(lacking)
        sys.exit(
            f"error: {table} has no {column}: the database comes from older migrations. Migrations"
            " may be rewritten until release 1.0. Begin with an empty database;"
            " `make clean` removes that of make run"
        )


def _lacking_columns() -> set[tuple[str, str]]:
    """List columns of models missing in a database with every migration applied."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema()"
        )
        there = set(cursor.fetchall())
    return {
        (model._meta.db_table, str(field.column))
        for model in apps.get_models()
        if model._meta.managed
        for field in model._meta.local_concrete_fields
    } - there


def _staff_login(path: Path) -> dict[str, Any] | None:
    """Read the login stored in `path`; make the login first in a database without staff.

    Return None for a database with staff of other origin.
    """
    from django.contrib.auth import get_user_model  # Models exist only after django.setup().

    users = get_user_model()._default_manager
    if not users.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        users.filter(mobile=STAFF_MOBILE).delete()
        users.create_superuser(mobile=STAFF_MOBILE, password=password)
        write_private(path, json.dumps({"mobile": STAFF_MOBILE, "password": password}))
        return {"mobile": STAFF_MOBILE, "password": password, "is_new": True}
    if not path.exists():
        return None
    return {**json.loads(path.read_text()), "is_new": False}


if __name__ == "__main__":
    main()
