"""What the tests of pages do over and over: sign in, find things, expect refusals."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.browser.chromium import PHONE, Browsing, serious_barriers
from tests.support.browser.keys import Keys
from tests.support.stack.api_client import ApiUser

# Without the prefix `__Host-`: the stack is in development, on plain HTTP.
COOKIE = "gemchat_refresh"


def window(browse: Browsing, person: ApiUser, **options: object) -> Page:
    address = person.session.headers["X-Forwarded-For"]
    return browse(**options, extra_http_headers={"X-Forwarded-For": address})


def visit(browse: Browsing, person: ApiUser, path: str = "/", **options: object) -> Page:
    """A page in a browser of this person's, who has not signed in there."""
    page = window(browse, person, **options)
    page.goto(person.url.removesuffix("/api/v1") + path)
    return page


def chats(
    browse: Browsing,
    stack: Stack,
    path: str = "/chat",
    person: ApiUser | None = None,
    **options: object,
) -> tuple[Page, ApiUser]:
    """The page of chats of a signed-in person; by default a new person."""
    person = person or ApiUser(stack.url).sign_in()
    page = window(browse, person, **options)
    enter(page, stack, person, path)
    return page, person


def enter(page: Page, stack: Stack, person: ApiUser, path: str) -> None:
    """Continue the person's session in the browser of the page."""
    cookie = {"name": COOKIE, "value": person.refresh_token, "domain": stack.host, "path": "/"}
    page.context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Strict"}])
    page.goto(stack.url + path)


def send(page: Page, prompt: str) -> None:
    page.get_by_label("Message to Gemini").fill(prompt)
    page.get_by_role("button", name="Send", exact=True).click()


def replies(page: Page) -> Locator:
    return page.locator(".message.gemini")


def is_answered(page: Page, count: int = 1) -> Locator:
    """The last of `count` answers, once that answer is complete."""
    expect(replies(page)).to_have_count(count)
    expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")
    return replies(page).last


def to_list(page: Page) -> None:
    """On a phone the list is a separate view."""
    if page.viewport_size == PHONE:
        page.get_by_role("link", name="All chats").click()


def open_account(page: Page, keys: Keys | None = None) -> None:
    """The whole account page; the server refuses unfinished calls when a session ends."""
    expect(page.locator("#rooms li, #rooms-note:not(:empty)").first).to_be_visible()
    expect(page.get_by_text("answers left today")).to_be_visible()
    button = page.get_by_role("button", name="Account")
    with page.expect_response("**/subscription/status"):
        if keys:
            keys.use(button, by="Shift+Tab")
        else:
            button.click()
    expect(page.locator("#sessions li").first).to_be_visible()


def menu(page: Page, item: str) -> None:
    page.get_by_role("button", name="Chat menu").click()
    page.locator("#room-menu").get_by_role("button", name=item).click()


@contextmanager
def refused(browse: Browsing, page: Page, status: int) -> Iterator[None]:
    """Within, the server refuses something, of which the browser writes an error by itself."""
    told = f"status of {status}"
    with page.expect_console_message(lambda line: told in line.text):
        yield
    browse.complaints[:] = [line for line in browse.complaints if told not in line]


def is_open_to_all(page: Page) -> None:
    """Nothing shuts people out, in either colour scheme, and nothing runs off a phone's side."""
    page.emulate_media(reduced_motion="reduce")  # Nothing is half faded while it is looked at.
    assert serious_barriers(page) == []
    page.emulate_media(color_scheme="dark")
    assert serious_barriers(page, rules=["color-contrast"]) == []
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    size = page.viewport_size
    for width in sorted({size["width"], PHONE["width"]}):
        page.set_viewport_size({**size, "width": width})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def picture(page: Page, name: str) -> None:
    """A picture for the documents, where SCREENSHOTS asks for them."""
    if os.environ.get("SCREENSHOTS"):
        path = Path(BASE_DIR) / "docs" / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, animations="disabled")


def ask_for_code(page: Page, mobile: str) -> None:
    page.get_by_label("Mobile number").fill(mobile)
    page.get_by_role("button", name="Text me a code").click()
    expect(page.get_by_label("Six-digit code")).to_be_focused()
