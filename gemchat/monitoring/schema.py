"""The calls of the program itself, as docs/openapi.json describes them."""

from typing import Any

from rest_framework import serializers

from gemchat.api.openapi import call


class Dependency(serializers.ChoiceField):
    def __init__(self) -> None:
        super().__init__(["connected", "disconnected"])


class Ready(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["ok", "degraded"])
    database = Dependency()


class Readiness(Ready):
    connections = serializers.ChoiceField(
        ["crowded"], required=False, help_text="There are more than WEB_CONNECTIONS."
    )
    threads = serializers.ChoiceField(
        ["stuck"], required=False, help_text="Each waits for something, and none ends a request."
    )
    schema = serializers.CharField(
        required=False, help_text="How many migrations the database lacks."
    )


class Health(Ready):
    redis = Dependency()
    celery = Dependency()


WELL = {"status": "ok", "database": "connected", "redis": "connected", "celery": "connected"}
READY = {"status": "ok", "database": "connected"}

EXTRA_OPERATIONS = {
    ("/api/v1/health", "get"): call(
        "readHealth",
        "Each dependency; 503 if one is missing",
        description="`celery` is a worker that makes replies.",
        answers={
            200: (Health, WELL),
            503: (Health, {**WELL, "status": "degraded", "redis": "disconnected"}),
        },
        is_public=True,
        is_plain=True,
    ),
    ("/livez", "get"): call(
        "readLiveness",
        "The web process answers",
        answers={
            200: ({"type": "object", "properties": {"status": {"const": "ok"}}}, {"status": "ok"})
        },
        is_public=True,
        is_plain=True,
    ),
    ("/readyz", "get"): call(
        "readReadiness",
        "Whether requests can be served",
        answers={
            200: (Ready, READY),
            503: (Readiness, {**READY, "status": "degraded", "connections": "crowded"}),
        },
        is_public=True,
        is_plain=True,
    ),
}
