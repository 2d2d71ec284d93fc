"""The Postman collection: every call of the API, run by newman against the running server."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.environment import BASE_DIR
from dev.servers.stack import Stack

COLLECTION = BASE_DIR / "docs" / "gemchatroom.postman_collection.json"
NEWMAN = BASE_DIR / "dev" / "newman" / "node_modules" / "newman" / "bin" / "newman.js"
SECONDS = 120


def newman() -> list[str]:
    node = shutil.which("node") or pytest.fail("No Node.js: install version 20 or newer")
    if not NEWMAN.exists():
        pytest.fail("No newman: dev/scripts/newman.sh installs it")
    return [node, str(NEWMAN)]


def requests_in(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        if "item" in item:
            yield from requests_in(item["item"])
        else:
            yield item


def run_collection(stack: Stack) -> str:
    """Run every request of the collection, and return what newman writes."""
    command = [*newman(), "run", COLLECTION, "--env-var", f"base_url={stack.url}"]
    run = subprocess.run(
        [*command, "--color", "off", "--timeout", str(SECONDS * 1000)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 30,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.xdist_group("shared_stack")
def test_collection_runs_where_stripe_is_set_up(shared_stack: Stack) -> None:
    assert "there is no Stripe behind this server" not in run_collection(shared_stack)


def test_collection_runs_without_stripe(make_stack: Callable[..., Stack]) -> None:
    with make_stack() as stack:
        written = run_collection(stack)

    assert "there is no Stripe behind this server" in written


def test_every_request_looks_at_its_answer() -> None:
    collection = json.loads(COLLECTION.read_text())

    untested = [
        item["name"]
        for item in requests_in(collection["item"])
        if not any(
            event["listen"] == "test"
            and any("pm.test(" in line for line in event["script"]["exec"])
            for event in item["event"]
        )
    ]

    assert untested == []


def test_collection_keeps_nobodys_tokens() -> None:
    variables = json.loads(COLLECTION.read_text())["variable"]

    kept = {variable["key"] for variable in variables if variable["value"]}

    assert kept == {"base_url", "looks"}


def test_collection_has_every_call_of_the_api() -> None:
    collection = json.loads(COLLECTION.read_text())
    described = json.loads((BASE_DIR / "docs" / "openapi.json").read_text())
    calls = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path))
        for path, methods in described["paths"].items()
        for method in methods
        if method != "parameters"
    }

    sent = set()
    for item in requests_in(collection["item"]):
        path = item["request"]["url"]["raw"].removeprefix("{{base_url}}").partition("?")[0]
        if path == "{{download_url}}":
            path = "/api/v1/user/me/export/file"
        sent.add((item["request"]["method"], re.sub(r"\{\{\w+\}\}", "*", path)))

    assert calls - sent == set()
