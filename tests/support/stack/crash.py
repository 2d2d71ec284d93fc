"""Kill a process in the middle of its work on the tests' database.

`python -m tests.support.stack.crash MODULE:FUNCTION KEYWORD=UUID MODULE:NAME CALLS` calls the
function. It kills itself (SIGKILL) where it would call NAME of MODULE, or after CALLS of them.
"""

import importlib
import os
import signal
import subprocess
import sys
import uuid
from functools import reduce
from typing import Any
from urllib.parse import urlsplit


def kill_in(function: str, keyword: dict[str, uuid.UUID], point: str, *, calls: int = 0) -> None:
    """Run `function` in such a process; fail if the function returns."""
    from django.conf import settings
    from django.db import connection

    [(name, value)] = keyword.items()
    database = urlsplit(os.environ["DATABASE_URL"])._replace(
        path=f"/{connection.settings_dict['NAME']}"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": database.geturl(),
        "STRIPE_API_BASE": settings.STRIPE_API_BASE,
        "STRIPE_SECRET_KEY": settings.STRIPE_SECRET_KEY,
        "STRIPE_PRO_PRICE_ID": ",".join(settings.PLANS["pro"].stripe_price_ids),
        "FILES_STORAGE_URL": settings.FILES_STORAGE_URL,
        "FILES_ROOT": settings.STORAGES["files"]["OPTIONS"].get("location", ""),
        "FILES_TEMP_DIR": settings.FILES_TEMP_DIR,
    }
    command = [sys.executable, "-m", __name__, function, f"{name}={value}", point, str(calls)]
    ended = subprocess.run(command, env=environment, timeout=60)
    assert ended.returncode == -signal.SIGKILL, f"{function} did not come to {point}"


def main(function: str, argument: str, point: str, calls: str) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")
    django.setup()
    holder, name = find(point)
    original, left = getattr(holder, name), [int(calls)]

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return original(*args, **kwargs)

    setattr(holder, name, deadly)
    keyword, _, value = argument.partition("=")
    holder, name = find(function)
    getattr(holder, name)(**{keyword: uuid.UUID(value)})


def find(path: str) -> tuple[Any, str]:
    """Return the module or class that holds `module:Class.name`, and the last name."""
    module, _, names = path.partition(":")
    *outer, name = names.split(".")
    return reduce(getattr, outer, importlib.import_module(module)), name


if __name__ == "__main__":
    main(*sys.argv[1:])
