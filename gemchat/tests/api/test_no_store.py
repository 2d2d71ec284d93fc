"""Answers that are one person's, and tokens, are kept by no cache."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from accounts.models import User
from tests.support.plugins.cast import api_for

PRIVATE = ("api/", "web/")
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def routes(patterns: list, prefix: str = "") -> Iterator[str]:
    """The path of each route, with an id where it has a parameter."""
    for each in patterns:
        route = prefix + str(each.pattern).removeprefix("^")
        if isinstance(each, URLPattern):
            yield route
        else:
            yield from routes(each.url_patterns, route)


def private_paths() -> list[str]:
    found = [route for route in routes(get_resolver().url_patterns) if route.startswith(PRIVATE)]
    return sorted({f"/{_filled(route)}" for route in found})


def _filled(route: str) -> str:
    """`(?P<name>…)` and `<name>` with an id in their place, without what may be left out."""
    filled, depth = "", 0
    for character in route.replace("/?$", "").replace("\\Z", ""):
        if character in "(<":
            filled += "" if depth else "01a20791-51b6-758c-a99f-add8631b2fd9"
            depth += 1
        elif character in ")>":
            depth -= 1
        elif not depth and character not in "^$?\\":
            filled += character
    return filled


def test_routes_are_found() -> None:
    paths = private_paths()

    assert len(paths) > 30
    assert {"/api/v1/user/me", "/web/session", "/api/v1/health"} <= set(paths)


@pytest.mark.django_db
def test_no_private_answer_is_kept(alice: User) -> None:
    token = {"Authorization": api_for(alice)._credentials["HTTP_AUTHORIZATION"]}
    client = Client(raise_request_exception=False)
    kept = []

    for path in [*private_paths(), "/api/v1/nothing", "/web/nothing", "/api/"]:
        for method in METHODS:
            for headers in ({}, token):
                answer = client.generic(method, path, headers=headers)
                if "no-store" not in answer.get("Cache-Control", ""):
                    kept.append((method, path, answer.status_code))

    assert not kept


@pytest.mark.parametrize("path", ["/api/v1/user/me", "/web/session"])
def test_preflight_and_refusals_are_not_kept(path: str, settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://chat.example.com"]
    asked = {"Origin": "https://chat.example.com", "Access-Control-Request-Method": "POST"}

    answers = [
        Client().options(path, headers=asked),
        Client().get(path, headers={"Host": "evil.example"}),
        Client().get(f"{path}?q=%FF"),
    ]

    assert [answer["Cache-Control"] for answer in answers] == ["no-store"] * 3


def test_description_of_the_api_may_be_kept() -> None:
    assert Client().get("/openapi.json")["Cache-Control"] == "no-cache"
