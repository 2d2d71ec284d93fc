"""docs/openapi.json is true to the program: nothing is missing, and its examples are right."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from django.urls import URLPattern, URLResolver, get_resolver

from dev.openapi import PATH, description

DOCUMENT = json.loads(PATH.read_text())
UUID = "01a20791-51b6-758c-a99f-add8631b2fd9"
PATHS = {re.sub(r"\{\w+\}", UUID, path)[1:]: methods for path, methods in DOCUMENT["paths"].items()}


def patterns(urlconf: str) -> list[tuple[str, URLPattern]]:
    """Each pattern of the API, with the whole of its regular expression."""

    def below(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
        for each in resolver.url_patterns:
            route = prefix + each.pattern.regex.pattern.removeprefix("^")
            if isinstance(each, URLResolver):
                yield from below(each, route)
            else:
                yield route, each

    return [found for found in below(get_resolver(urlconf), "") if found[0].startswith("api/")]


EVERY_PATTERN = patterns("gemchat.urls")


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def examples() -> Iterator[tuple[str, Any, Any]]:
    """Each example with its schema, and where it stands."""
    shared = [
        (name, {"responses": {"": it}}) for name, it in DOCUMENT["components"]["responses"].items()
    ]
    for name, operation in [*operations(), *shared]:
        described = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for status, part in described.items():
            for media_type, content in part.get("content", {}).items():
                for key, example in content.get("examples", {}).items():
                    yield f"{name} {status} {media_type} {key}", example["value"], content["schema"]


def test_file_is_what_the_program_says():
    assert PATH.read_text() == description(), "docs/openapi.json is stale: run `make openapi`"


def test_every_path_of_the_api_is_described():
    missing = [
        route for route, _ in EVERY_PATTERN if not any(re.fullmatch(route, path) for path in PATHS)
    ]

    assert missing == []


def test_every_method_is_described():
    by_router = [(route, it) for route, it in EVERY_PATTERN if hasattr(it.callback, "actions")]
    assert by_router
    for route, pattern in by_router:
        [methods, *_] = [found for path, found in PATHS.items() if re.fullmatch(route, path)]

        assert set(pattern.callback.actions) - {"head"} == set(methods), route


def test_every_path_of_the_api_has_both_slash_forms():
    assert [route for route, _ in EVERY_PATTERN if not route.endswith("/?$")] == []


def test_every_answer_has_an_example():
    without = [
        f"{name} {status}"
        for name, operation in operations()
        for status, answer in operation["responses"].items()
        for content in answer.get("content", {}).values()
        if not content.get("examples")
    ]

    assert without == []


def test_every_example_is_of_its_schema():
    components = {"components": DOCUMENT["components"]}
    wrong = []

    for name, example, schema in examples():
        validator = jsonschema_rs.Draft202012Validator(
            {**components, **schema}, validate_formats=True
        )
        wrong += [f"{name}: {error.message}" for error in validator.iter_errors(example)]

    assert wrong == []


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for _, operation in operations()]

    assert len(set(names)) == len(names)
