"""The page of chats while a reply waits for Gemini."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import Browsing
from tests.support.browser.pages import chats, is_answered, is_open_to_all, replies, send
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser
from tests.support.stack.start import EVERY_PART

pytestmark = pytest.mark.xdist_group("pages-waits")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_server: FakeGemini) -> Iterator[Stack]:
    with make_stack(
        parts=EVERY_PART, GOOGLE_API_KEY="test-key", GEMINI_API_BASE=gemini_server.url
    ) as stack:
        yield stack


def test_wait_for_the_next_try_is_counted_down_in_words(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    page, _ = chats(browse, stack, f"/chat/{person.open_room('Kitchens')}", person)
    answers = directive(Answer.rate_limited(12), Answer(chunks=["Here it is."]))

    send(page, f"What is a kitchen? {person.mobile} {answers}")

    state = replies(page).locator(".state")
    expect(state).to_contain_text("Gemini is getting many requests from here. The next try is in")
    expect(page.locator("#announcement")).to_contain_text("The next try is in")
    is_open_to_all(page)
    page.reload()
    expect(state).to_contain_text("The next try is in")
    expect(is_answered(page)).to_contain_text("Here it is.")
    expect(state).to_be_hidden()
