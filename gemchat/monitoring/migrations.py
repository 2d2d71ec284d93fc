"""Whether the database has the schema of this program, without a load of the migrations."""

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from django.apps import apps
from django.db import ProgrammingError, connection
from django.db.migrations.loader import MigrationLoader


def missing_migrations() -> int:
    """Count the migrations to apply. Raises Error where the database does not answer.

    Migrations of a newer version do no harm.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    except ProgrammingError:  # There is no such table.
        applied = set()
    return len(known_migrations() - applied)


@cache
def known_migrations() -> frozenset[tuple[str, str]]:
    """Return app and name of each migration.

    An import of all modules would take a second of CPU.
    """
    return frozenset(_migration_files())


def _migration_files() -> Iterator[tuple[str, str]]:
    for app in apps.get_app_configs():
        name, is_explicit = MigrationLoader.migrations_module(app.label)
        try:
            package = import_module(name) if name else None
        except ModuleNotFoundError:
            # Apps without migrations; an explicit name is a fault of the settings.
            if is_explicit:
                raise
            continue
        if package is not None:
            for module in pkgutil.iter_modules(package.__path__):
                if not module.ispkg and module.name[0] not in "_~":
                    yield app.label, module.name
