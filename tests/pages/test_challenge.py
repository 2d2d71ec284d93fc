"""Sign-in on the pages while the server asks for a proof of work."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import Browsing
from tests.support.browser.pages import picture, refused, visit
from tests.support.stack.api_client import ApiUser

pytestmark = pytest.mark.xdist_group("pages-challenge")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack]) -> Iterator[Stack]:
    with make_stack(parts=["web"], SMS_CHALLENGE="always") as stack:
        yield stack


def test_page_solves_the_challenge_by_itself(browse: Browsing, stack: Stack) -> None:
    """Under the strict Content-Security-Policy, in a worker of this site."""
    page = visit(browse, ApiUser(stack.url))
    notices = watch(page, "#mobile-check")
    page.get_by_label("Mobile number").fill(ApiUser(stack.url).mobile)

    with refused(browse, page, 403):
        page.get_by_role("button", name="Text me a code").click()
        expect(page.get_by_label("Six-digit code")).to_be_focused()

    assert "checking that no robot" in notices()
    expect(page.locator("#mobile-check")).to_be_empty()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("No chats yet")).to_be_visible()


def test_page_says_that_it_solves_the_challenge(browse: Browsing, stack: Stack) -> None:
    page = visit(browse, ApiUser(stack.url))
    page.get_by_label("Mobile number").fill(ApiUser(stack.url).mobile)
    # The worker never answers.
    page.evaluate("Worker.prototype.postMessage = () => {}")

    with refused(browse, page, 403):
        page.get_by_role("button", name="Text me a code").click()

    expect(page.locator("#mobile-check")).to_contain_text("One moment")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"challenge-{(page.viewport_size or {}).get('width')}")


def watch(page: Page, selector: str) -> Callable[[], str]:
    """Collect every text that an element has from now on."""
    page.evaluate(
        """selector => {
            window.notices = [];
            const element = document.querySelector(selector);
            new MutationObserver(() => window.notices.push(element.textContent))
                .observe(element, { childList: true });
        }""",
        selector,
    )
    return lambda: " ".join(page.evaluate("window.notices"))
