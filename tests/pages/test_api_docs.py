"""The pages of the API's description work without a network, under a strict policy."""

from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, expect

from dev.openapi import PATH
from dev.servers.stack import Stack

pytestmark = pytest.mark.xdist_group("shared_stack")


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


@pytest.mark.parametrize("path", ["openapi.json", "openapi.json/"])
def test_description_is_served_as_it_is_kept(path: str, stack: Stack) -> None:
    first = requests.get(f"{stack.url}/{path}", timeout=10)
    again = requests.get(
        f"{stack.url}/{path}", headers={"If-None-Match": first.headers["ETag"]}, timeout=10
    )

    assert (first.status_code, first.headers["Content-Type"]) == (200, "application/json")
    assert first.content == PATH.read_bytes()
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "name"), [("docs", "/api/v1/auth/signup"), ("redoc/", "Sign up with a mobile number")]
)
def test_page_shows_the_calls(
    path: str, name: str, stack: Stack, browse: Callable[..., Page]
) -> None:
    """`browse` fails the test for any complaint of the policy; nothing else may be asked."""
    page, asked = browse(), []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{stack.url}/{path}")

    expect(page.locator("#description").get_by_text(name, exact=True).last).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((stack.url, "data:"))] == []


def test_call_can_be_tried_out_in_the_page(stack: Stack, browse: Callable[..., Page]) -> None:
    page = browse()
    page.goto(f"{stack.url}/docs#/health/readLiveness")

    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
