"""docs/openapi.json has each error code that the program can send."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rest_framework import exceptions

from dev.environment import BASE_DIR
from dev.openapi import PATH

APPS = ("accounts", "billing", "chatrooms", "files", "gemchat", "messaging", "privacy")
# Functions with a code as their argument of this number, and with `code=`.
SENDERS = {"refuse": 3, "self._refuse": 1, "refusal": 1, "problem_response": None, "problem": None}
# Of the base class, which is never raised; of staff's pages and commands, whose text is shown.
NEVER_SENT = {"error", "nothing_to_replay", "reply_not_failed"}
# Of Django REST framework; no view of this program raises others.
RAISED_BY_DRF = {
    exceptions.MethodNotAllowed.default_code,
    exceptions.NotAcceptable.default_code,
    exceptions.NotAuthenticated.default_code,
    exceptions.NotFound.default_code,
    exceptions.ParseError.default_code,
    exceptions.PermissionDenied.default_code,
    exceptions.UnsupportedMediaType.default_code,
}


def sources() -> Iterator[Path]:
    for app in APPS:
        for path in (BASE_DIR / app).rglob("*.py"):
            if not {"tests", "migrations", "management"} & set(path.parts):
                yield path


def codes_of_class(node: ast.ClassDef) -> Iterator[str]:
    """A problem's class has a code, and a message or a status or a detail."""
    values = {
        target.id: each.value
        for each in node.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    if values.keys() & {"message", "status", "default_detail"}:
        for name in ("code", "default_code"):
            if isinstance(value := values.get(name), ast.Constant):
                yield str(value.value)


def codes_of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    if name not in SENDERS:
        return
    position = SENDERS[name]
    given = [each.value for each in node.keywords if each.arg == "code"]
    if position is not None:
        given += node.args[position : position + 1]
    for value in given:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


def sent_codes() -> set[str]:
    found = {*RAISED_BY_DRF}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found |= set(codes_of_class(node))
            elif isinstance(node, ast.Call):
                found |= set(codes_of_call(node))
    return found - NEVER_SENT


def described_codes(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from described_codes(each)
    elif isinstance(part, dict):
        if isinstance(code := part.get("code"), dict):
            yield from [*code.get("enum", []), *code.get("examples", [])]
        for each in part.values():
            yield from described_codes(each)


def test_every_error_code_of_the_program_is_described() -> None:
    sent = sent_codes()

    assert {"overloaded", "head_too_large", "rate_limited", "invalid_host"} <= sent
    assert sent <= set(described_codes(json.loads(PATH.read_text())))
