"""Write docs/openapi.json, the description of the API: `make openapi`.

The file is in the repository. The program serves the file unchanged, and the history of the file
is the history of the API.
"""

import json
import os
from typing import Any

import django
from django.conf import settings
from django.test.utils import override_settings

from dev.environment import BASE_DIR

PATH = BASE_DIR / "docs" / "openapi.json"
# The settings require these variables; nothing connects to the servers.
ENVIRONMENT = {
    "DEBUG": "true",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DJANGO_SETTINGS_MODULE": "gemchat.settings",
}
DESCRIPTION = """
People sign up with a mobile number and a one-time code, open chatrooms and send messages, and
Gemini answers them. Every path answers with and without a trailing slash.

Errors are problem documents (RFC 9457, `application/problem+json`) with a `code` to program
against. A method that a path does not take is answered 405 with `Allow`.
""".strip()
SCHEMA_CLASS = "drf_spectacular.openapi.AutoSchema"
SETTINGS: dict[str, Any] = {
    "TITLE": "GemChatRoom",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": "/"}],
    "AUTHENTICATION_WHITELIST": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "PREPROCESSING_HOOKS": ["dev.openapi.add_plain_views"],
    "POSTPROCESSING_HOOKS": ["gemchat.api.openapi.hooks.add_common_parts"],
}

# Paths with the slash in the documented form.
LISTS = {"/api/v1/chatroom/", "/api/v1/model/"}


def description() -> str:
    """Build the text of the file. Django must be set up."""
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.settings import patched_settings

    # Not in settings.py: the program would import drf-spectacular at each start.
    rest = {**settings.REST_FRAMEWORK, "DEFAULT_SCHEMA_CLASS": SCHEMA_CLASS}
    with override_settings(REST_FRAMEWORK=rest), patched_settings(SETTINGS):
        document = SchemaGenerator().get_schema(request=None, public=True)
        GENERATOR_STATS.emit_summary()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def add_plain_views(endpoints: list[Any]) -> list[Any]:
    """Return the calls under their documented paths, with the views outside DRF."""
    # Importing a schema describes the app's views, before drf-spectacular reads the views.
    from accounts.api import schema as _accounts_schema  # noqa: F401
    from billing.api.schema import EXTRA_OPERATIONS as BILLING
    from files.api.schema import EXTRA_OPERATIONS as FILES
    from gemchat.api.openapi import placeholder_view
    from gemchat.monitoring.schema import EXTRA_OPERATIONS as PROJECT
    from messaging.api.schema import EXTRA_OPERATIONS as MESSAGING
    from privacy.api.schema import EXTRA_OPERATIONS as ACCOUNT

    found = [
        (path if path in LISTS else path.rstrip("/"), pattern, method, view)
        for path, pattern, method, view in endpoints
    ]
    for stand_ins in (BILLING, ACCOUNT, FILES, MESSAGING, PROJECT):
        for (path, method), described in stand_ins.items():
            found.append((path, path, method.upper(), placeholder_view(method, described)))
    return found


def main() -> None:
    os.environ.update(ENVIRONMENT)
    django.setup()
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(description())


if __name__ == "__main__":
    main()
