"""Typed reads of environment variables; an error names the variable in one sentence."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from gemchat.stores.postgres import LimitedConnection

BASE_DIR = Path(__file__).resolve().parent.parent
# Parameters of FILES_STORAGE_URL, by the option of the storage.
BUCKET_OPTIONS = ("endpoint_url", "region_name")
FALSE_STRINGS = ("false", "off", "no", "n", "0", "")

# Headers of the API for pages of other origins (CORS).
ALLOWED_HEADERS = [
    "accept",
    "authorization",
    "content-disposition",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-request-id",
]
EXPOSED_HEADERS = [
    "Content-Disposition",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Retry-After",
    "X-Quota-Limit",
    "X-Quota-Remaining",
    "X-Quota-Reset",
    "X-Request-ID",
    "X-Storage-Limit",
    "X-Storage-Used",
]


class Env(environ.Env):
    """django-environ, with an ImproperlyConfigured sentence for every bad value.

    An empty value counts as unset, so `NAME=` in a compose file means the default.
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

    def numbers(self, prefix: str, **defaults: int | float) -> dict[str, Any]:
        """Read `PREFIX_NAME` for each name, as a number of the default's type."""
        return {
            name: self.get_value(f"{prefix}_{name.upper()}", type(default), default)
            for name, default in defaults.items()
        }

    def _refuse_unknown_bool(self, var: str) -> None:
        """django-environ reads any unknown word as False, so `DEBUG=ture` would pass."""
        if self.ENVIRON[var].lower() not in (*self.BOOLEAN_TRUE_STRINGS, *FALSE_STRINGS):
            raise ImproperlyConfigured(f"{var} is not a valid bool value: use true or false.")


env = Env()
# The process environment wins over the file.
env.read_env(str(BASE_DIR / ".env"))


def secret(name: str, *, is_development: bool) -> str:
    """Read a secret. Only development has a default; elsewhere a missing secret stops the start."""
    if is_development:
        return env.str(
            name, default=f"development-only-{name.lower().replace('_', '-')}-never-deploy"
        )
    return env.str(name)


def backend(variable: str, backends: Mapping[str, str], *, default: str) -> str:
    """Return the dotted path of a backend, from a path or a short name.

    The variable holds the path or the short name.
    """
    name = env.str(variable, default=default)
    if name not in backends and "." not in name:
        raise ImproperlyConfigured(
            f"{variable} is {name}; it must be {', '.join(backends)} or a dotted path."
        )
    return backends.get(name, name)


def database(*, pool_size: int) -> dict[str, Any]:
    """Return the database of DB_HOST and the related variables, or else of DATABASE_URL."""
    if env.str("DB_HOST", default=""):
        config = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": env.str("DB_HOST"),
            "PORT": env.int("DB_PORT", default=5432),
            "NAME": env.str("DB_NAME", default="gemchat"),
            "USER": env.str("DB_USER", default="gemchat"),
            "PASSWORD": env.str("DB_PASSWORD", default=""),
        }
    else:
        config = env.db_url("DATABASE_URL")
    # A pool, since each short-lived thread would keep a connection. The pool gives up after
    # `reconnect_timeout`, and connects at the next request. Else the waits between tries double,
    # and the pool would miss the end of a long outage by minutes.
    pool = {
        "min_size": 1,
        "max_size": pool_size,
        "timeout": 5,
        "max_idle": 60,
        "reconnect_timeout": 3,
        "connection_class": LimitedConnection,
    }
    # The kernel detects a network with a loss of all packets within 15 s.
    network = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2}
    config["OPTIONS"] = {
        **config.get("OPTIONS", {}),
        "pool": pool,
        "connect_timeout": 3,
        "tcp_user_timeout": 15_000,
        **network,
    }
    # The pool checks each connection, so a restart of PostgreSQL heals.
    config["CONN_HEALTH_CHECKS"] = True
    config["TEST"] = {"TEMPLATE": env.str("TEST_DATABASE_TEMPLATE", default="") or None}
    return config


def file_storage(url: str, *, root: str) -> dict[str, Any]:
    """Return the storage of files: a bucket by `s3://BUCKET?endpoint_url=…`, or a folder."""
    if not url:
        options: dict[str, Any] = {"location": root, "allow_overwrite": True}
        return {"BACKEND": "files.storage.local.FolderStorage", "OPTIONS": options}
    bucket, parameters = _bucket(url)
    return {
        "BACKEND": "files.storage.s3.BucketStorage",
        "OPTIONS": {"bucket_name": bucket, **parameters},
    }


def bucket_origins(url: str) -> list[str]:
    """Return the origins of the bucket's signed URLs, for a page's policy."""
    if not url:
        return []
    bucket, parameters = _bucket(url)
    if endpoint := parameters.get("endpoint_url"):
        return ["{0.scheme}://{0.netloc}".format(urlsplit(endpoint))]
    region = parameters.get("region_name", "us-east-1")
    return [f"https://{bucket}.s3.amazonaws.com", f"https://{bucket}.s3.{region}.amazonaws.com"]


def _bucket(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    is_known = parameters.keys() <= set(BUCKET_OPTIONS)
    if parts.scheme != "s3" or not parts.netloc or parts.path not in ("", "/") or not is_known:
        raise ImproperlyConfigured(
            "FILES_STORAGE_URL is not of the form s3://BUCKET?endpoint_url=…&region_name=…."
        )
    return parts.netloc, parameters


def redis_cache(*, url: str, lifetime_seconds: int) -> dict[str, Any]:
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        # A list, as Django splits a string at commas, and a password may have commas.
        "LOCATION": [url],
        "OPTIONS": {
            "pool_class": "gemchat.stores.redis.Pool",
            "socket_connect_timeout": 1.0,
            "socket_timeout": 1.0,
        },
        "TIMEOUT": lifetime_seconds,
        "KEY_PREFIX": "cache",
    }


def logging_config(*, is_development: bool) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": "gemchat.monitoring.log_format.formatter", "readable": is_development}
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            # uvicorn brings handlers along, and its access log has query strings.
            "uvicorn": {"handlers": [], "level": "WARNING", "propagate": True},
            "uvicorn.error": {"level": "WARNING"},
            "uvicorn.access": {"handlers": [], "level": "WARNING"},
            "gemchat.access": {"level": "WARNING" if is_development else "INFO"},
            # At each try to connect; health reports a database that is down.
            "psycopg.pool": {"level": "ERROR"},
            "stripe": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},  # A 4xx is the client's business.
            "django.template": {"level": "INFO"},  # Else with all parts of a page.
            "httpx2": {"level": "WARNING"},  # A line for each request to Gemini.
            # Two lines for each task, and the sweeps alone are a dozen a minute.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
        },
    }


def beat_schedule(times: dict[str, Any]) -> dict[str, Any]:
    """Return the schedule of beat; `times` has seconds or a crontab by task."""
    return {
        task.rpartition(".")[2].replace("_", "-"): {"task": task, "schedule": time}
        for task, time in times.items()
    }
