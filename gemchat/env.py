"""Typed reads of environment variables; an error names the variable in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
FALSE_STRINGS = ("false", "off", "no", "n", "0", "")


class Env(environ.Env):
    """django-environ, with every bad value turned into an ImproperlyConfigured sentence.

    An empty value counts as unset, so that `NAME=` in a compose file means the default.
    """

    def get_value(
        self,
        var: str,
        cast: Callable[..., Any] | None = None,
        default: Any = environ.Env.NOTSET,
        parse_default: bool = False,
    ) -> Any:
        if not self.ENVIRON.get(var):
            if default is self.NOTSET:
                raise ImproperlyConfigured(f"{var} is not set; the program needs it.")
            return default
        if cast is bool:
            self._refuse_unknown_bool(var)
        try:
            return super().get_value(var, cast, default, parse_default)
        except (ValueError, TypeError) as error:
            kind = getattr(cast, "__name__", "valid")
            raise ImproperlyConfigured(f"{var} is not a valid {kind} value.") from error

    def _refuse_unknown_bool(self, var: str) -> None:
        """django-environ reads any unknown word as False, so that `DEBUG=ture` would pass."""
        if self.ENVIRON[var].lower() not in (*self.BOOLEAN_TRUE_STRINGS, *FALSE_STRINGS):
            raise ImproperlyConfigured(f"{var} is not a valid bool value: use true or false.")


env = Env()
# The process environment wins over the file.
env.read_env(str(BASE_DIR / ".env"))
