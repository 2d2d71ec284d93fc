"""Refuses to serve with settings that do not go together; checks how many connections they need."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from gemchat.database import LIVE_THREADS, LOOK_THREADS


def refuse_bad_settings() -> None:
    """Raise ImproperlyConfigured with the first error that the system checks find.

    `manage.py` and Celery run the checks by themselves; a web server does not.
    """
    serious = [message for message in run_checks() if message.is_serious()]
    if serious:
        raise ImproperlyConfigured(f"{serious[0].msg} ({serious[0].id})")


@register
def check_pool(**kwargs: Any) -> list[CheckMessage]:
    """Each thread of a web process may hold a connection; a worker's let go of theirs to wait."""
    needed = settings.WEB_THREADS + LIVE_THREADS + LOOK_THREADS
    if needed <= settings.DATABASE_POOL_SIZE:
        return []
    return [
        Error(
            f"DATABASE_POOL_SIZE must be {needed} or more for {settings.WEB_THREADS} WEB_THREADS.",
            id="gemchat.E030",
        )
    ]


@register(Tags.database)
def check_server(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """One web process and one worker must find their connections; beat takes none.

    This is run by `migrate`, and by `check --database default`.
    """
    found: list[CheckMessage] = []
    for alias in databases or []:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int"
            )
            (free,) = cursor.fetchone()
        if free < 2 * settings.DATABASE_POOL_SIZE:
            found.append(
                Warning(
                    f"PostgreSQL has {free} connections for a web process and a worker, which take"
                    f" {settings.DATABASE_POOL_SIZE} each: raise its max_connections, or lower"
                    " WEB_THREADS and DATABASE_POOL_SIZE.",
                    id="gemchat.W031",
                )
            )
    return found
