"""Refuses to serve with settings that do not go together."""

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured


def refuse_bad_settings() -> None:
    """Raise ImproperlyConfigured with the first error that the system checks find.

    `manage.py` and Celery run the checks by themselves; a web server does not.
    """
    serious = [message for message in run_checks() if message.is_serious()]
    if serious:
        raise ImproperlyConfigured(f"{serious[0].msg} ({serious[0].id})")
