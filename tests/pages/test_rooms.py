"""The list of chats with its actions, and the plan with a fake Stripe."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.browser.chromium import Browsing
from tests.support.browser.pages import (
    chats,
    is_answered,
    is_open_to_all,
    menu,
    picture,
    refused,
    send,
    to_list,
)
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.stack.api_client import ApiUser

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("pages-rooms")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], selling: dict[str, str]) -> Iterator[Stack]:
    with make_stack(**selling) as stack:
        yield stack


@pytest.fixture(scope="module")
def reader(stack: Stack, stack_stores: dict[str, str]) -> ApiUser:
    """Somebody with more rooms and messages than a page of them holds."""
    person = ApiUser(stack.url).sign_in()
    seed = ["seed_demo", "--mobile", person.mobile, "--rooms", "55", "--messages", "60"]
    subprocess.run(
        [sys.executable, "manage.py", *seed],
        cwd=BASE_DIR,
        env={**os.environ, **stack_stores},
        check=True,
    )
    return person


def rooms(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Chats").get_by_role("listitem")


def test_list_and_conversation_go_on_page_by_page(
    browse: Browsing, stack: Stack, reader: ApiUser
) -> None:
    page, _ = chats(browse, stack, person=ApiUser(stack.url, reader.mobile).sign_in())
    expect(rooms(page)).to_have_count(50)
    is_open_to_all(page)

    rooms(page).last.scroll_into_view_if_needed()

    expect(rooms(page)).to_have_count(55)
    expect(page.get_by_role("button", name="Show more chats")).to_be_hidden()

    rooms(page).first.get_by_role("link").click()
    messages = page.locator(".message")
    expect(messages).to_have_count(50)
    expect(messages.last).to_be_in_viewport()
    first = messages.first.text_content()

    messages.first.scroll_into_view_if_needed()

    expect(messages).to_have_count(60)
    expect(messages.nth(10)).to_have_text(first)
    # What was looked at stays where it was.
    expect(messages.nth(10)).to_be_in_viewport()
    expect(page.get_by_role("button", name="Show earlier messages")).to_be_hidden()
    # What is gone with what was asked of it leaves the focus with the conversation.
    expect(page.get_by_role("log")).not_to_be_focused()
    page.get_by_role("button", name="To the latest message").click()
    expect(messages.last).to_be_in_viewport()
    expect(page.get_by_role("log")).to_be_focused()


def test_version_far_up_is_switched_back(browse: Browsing, stack: Stack, reader: ApiUser) -> None:
    page, _ = chats(browse, stack, person=ApiUser(stack.url, reader.mobile).sign_in())
    rooms(page).last.get_by_role("link").click()
    messages = page.locator(".message")
    expect(messages).to_have_count(50)
    page.get_by_role("button", name="Show earlier messages").focus()
    expect(messages).to_have_count(60)
    expect(page.get_by_role("log")).to_be_focused()

    messages.nth(1).get_by_role("button", name="Answer again").click()
    expect(messages).to_have_count(2)
    is_answered(page)
    messages.nth(1).get_by_role("button", name="Previous version").click()

    expect(messages).to_have_count(60)
    expect(messages.nth(1).get_by_role("button", name="Next version")).to_be_focused()


def test_search_shows_where_the_words_are(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room("About birds")
    person.open_room("About fish")
    person.reply(person.send(room, "Tell me of the kingfisher, please"))
    page, _ = chats(browse, stack, person=person)
    search = page.get_by_role("searchbox", name="Search chats")
    expect(rooms(page)).to_have_count(2)

    search.fill("kingfisher")
    expect(rooms(page)).to_have_count(1)
    expect(rooms(page).locator("mark").first).to_have_text("kingfisher")
    expect(page.get_by_text("Found in 1 chat")).to_be_visible()
    is_open_to_all(page)
    rooms(page).get_by_role("link", name="About birds").click()
    expect(page.locator(".message.found")).to_contain_text("kingfisher")
    to_list(page)
    search.fill("pelican")
    expect(page.get_by_text("Found in no chat")).to_be_visible()
    search.fill("")
    expect(rooms(page)).to_have_count(2)


@pytest.mark.usefixtures("size")
def test_room_is_named_pinned_and_archived(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    older, newer = person.open_room("Older"), person.open_room("Newer")
    page, _ = chats(browse, stack, f"/chat/{older}", person)
    expect(page.get_by_role("heading", name="Older")).to_be_visible()
    page.get_by_role("button", name="Chat menu").click()
    is_open_to_all(page)
    page.keyboard.press("Escape")

    menu(page, "Name and instructions")
    name = page.get_by_label("Name of the chat")
    save = page.get_by_role("button", name="Save")
    is_open_to_all(page)
    with refused(browse, page, 422):
        name.fill("\u202eredlO")
        save.click()
    expect(page.locator("#rename-name-error")).to_contain_text("direction of writing")
    name.fill("Older and wiser")
    page.get_by_label("Instructions for Gemini").fill("Be brief.")
    save.click()
    expect(page.get_by_role("heading", name="Older and wiser")).to_be_visible()
    expect(page).to_have_title("Older and wiser · GemChatRoom")
    assert person.get(f"chatroom/{older}")["system_prompt"] == "Be brief."

    menu(page, "Pin")
    expect(page.locator("#announcement")).to_have_text("Pinned.")
    to_list(page)
    expect(rooms(page).first).to_contain_text("Older and wiser")
    expect(rooms(page).first).to_contain_text("Pinned")
    rooms(page).last.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Newer")).to_be_visible()
    menu(page, "Archive")
    expect(page.locator("#announcement")).to_have_text("Archived.")
    to_list(page)
    expect(rooms(page)).to_have_count(1)
    page.get_by_role("button", name="Archived").click()
    expect(rooms(page)).to_have_count(1)
    expect(rooms(page)).to_contain_text("Newer")
    is_open_to_all(page)
    rooms(page).get_by_role("link").click()
    menu(page, "Back to the chats")
    to_list(page)
    expect(page.get_by_text("Nothing is archived")).to_be_visible()
    assert person.get(f"chatroom/{newer}")["archived"] is False


def test_room_is_deleted_after_a_question(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room("Not for long")
    page, _ = chats(browse, stack, f"/chat/{room}", person)

    menu(page, "Delete…")
    expect(page.get_by_text("“Not for long” and all its messages")).to_be_visible()
    is_open_to_all(page)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("button", name="Chat menu")).to_be_focused()
    assert person.get(f"chatroom/{room}")
    menu(page, "Delete…")
    page.get_by_role("button", name="Delete", exact=True).click()

    expect(page.get_by_text("No chats yet")).to_be_visible()
    assert page.url == f"{stack.url}/chat"
    assert person.get("chatroom/") == []
    with refused(browse, page, 404):
        page.go_back()
    expect(page.get_by_role("heading", name="This chat is not here")).to_be_visible()
    is_open_to_all(page)


def test_room_is_exported(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room("To keep")
    person.reply(person.send(room, "What is to be kept?"))
    page, _ = chats(browse, stack, f"/chat/{room}", person)

    with page.expect_download() as markdown:
        menu(page, "Export as Markdown")
    with page.expect_download() as whole:
        menu(page, "Export as JSON")

    assert markdown.value.suggested_filename == f"chatroom-{room}.md"
    assert "What is to be kept?" in Path(markdown.value.path()).read_text()
    assert "What is to be kept?" in json.dumps(json.loads(Path(whole.value.path()).read_text()))


def test_temporary_chat_is_in_no_list(browse: Browsing, stack: Stack) -> None:
    page, person = chats(browse, stack, "/chat/new")

    page.get_by_label("Temporary chat").check()
    send(page, "Forget this soon")
    is_answered(page)
    page.reload()
    is_answered(page)

    expect(page.locator("#temporary-badge")).to_be_visible()
    page.get_by_role("button", name="Chat menu").click()
    expect(page.locator("#room-menu").get_by_role("button")).to_have_count(2)
    page.keyboard.press("Escape")
    to_list(page)
    expect(page.get_by_text("No chats yet")).to_be_visible()
    assert person.get("chatroom/") == []


def test_upgrade_leads_over_payment_to_pro_and_back(
    browse: Browsing, stack: Stack, stripe_server: FakeStripe
) -> None:
    page, person = chats(browse, stack)

    page.get_by_role("button", name="Upgrade to Pro").click()
    page.wait_for_url(f"{stripe_server.url}/c/pay/**")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="You are on Pro")).to_be_visible()
    is_open_to_all(page)
    picture(page, "billing-success")
    page.get_by_role("link", name="Back to your chats").click()

    expect(page.locator("#pro-badge")).to_be_visible()
    expect(page.get_by_role("button", name="Upgrade to Pro")).to_be_hidden()
    page.get_by_role("button", name="Account").click()
    expect(page.get_by_text("Pro, renewed on")).to_be_visible()
    page.get_by_role("button", name="Cancel Pro…").click()
    page.get_by_role("button", name="Cancel Pro", exact=True).click()
    expect(page.get_by_text("then Basic")).to_be_visible()
    page.get_by_role("button", name="Keep Pro").click()
    expect(page.get_by_text("Pro, renewed on")).to_be_visible()
    is_open_to_all(page)
    assert person.get("subscription/status")["subscription"]["cancel_at_period_end"] is False
    page.get_by_role("button", name="Card and invoices").click()
    page.wait_for_url(f"{stripe_server.url}/p/session/**")


def test_payment_that_is_down_is_told_in_words(
    browse: Browsing, stack: Stack, stripe_server: FakeStripe
) -> None:
    page, _ = chats(browse, stack)
    stripe_server.fail("POST", "/v1/customers", status=500, times=2)

    with refused(browse, page, 503):
        page.get_by_role("button", name="Upgrade to Pro").click()

    expect(page.locator("#upgrade-error")).to_contain_text("payment")


def test_pages_after_checkout_are_of_one_look(browse: Browsing, stack: Stack) -> None:
    page, _ = chats(browse, stack)

    for path, heading in [
        ("/billing/success", "Nothing to show"),
        ("/billing/cancel", "You did not subscribe"),
    ]:
        page.goto(stack.url + path)
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        is_open_to_all(page)
    page.get_by_role("link", name="Back to your chats").click()
    expect(page.get_by_text("answers left today")).to_be_visible()


def test_usage_is_drawn_and_told(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()
    for prompt in ("One", "Two"):
        person.reply(person.send(room, prompt))
    page, _ = chats(browse, stack, person=person)

    page.get_by_role("button", name="Account").click()

    chart = page.get_by_role("img", name="2 answers, at most 2 on one day")
    expect(chart).to_be_visible()
    expect(chart.locator("rect")).to_have_count(30)
    expect(chart.locator("rect:not(.none)")).to_have_count(1)
    page.get_by_text("Day by day").click()
    expect(page.locator("#usage-details tbody tr")).to_have_count(1)
    expect(page.get_by_text("3 of 5 answers left today")).to_be_visible()
    is_open_to_all(page)
