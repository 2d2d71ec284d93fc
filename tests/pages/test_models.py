"""The choice of a model on the page of chats: plan, level, races and refusals."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.browser.chromium import PHONE, Browsing, once
from tests.support.browser.keys import Keys
from tests.support.browser.pages import (
    chats,
    enter,
    is_answered,
    is_open_to_all,
    picture,
    refused,
    replies,
    send,
)
from tests.support.fakes.gemini import Answer, FakeGemini, Received, directive
from tests.support.stack.api_client import ApiUser

# One stack serves them all.
pytestmark = [pytest.mark.xdist_group("pages-models"), pytest.mark.usefixtures("size")]

LITE, FLASH, OLD_FLASH = "Gemini 3.5 Flash-Lite", "Gemini 3.8 Flash", "Gemini 3.6 Flash"
LAPTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def stack(
    make_stack: Callable[..., Stack], gemini_server: FakeGemini, selling: dict[str, str]
) -> Iterator[Stack]:
    with make_stack(
        **selling,
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
        BASIC_DAILY_LIMIT="50",
        BASIC_CHATROOMS_PER_MINUTE="1000",
    ) as stack:
        yield stack


@pytest.fixture
def make_pro(stack: Stack, stack_stores: dict[str, str]) -> Callable[[], ApiUser]:
    def make() -> ApiUser:
        person = ApiUser(stack.url).sign_in()
        grant = ["grant_pro", "--mobile", person.mobile, "--days", "9", "--reason", "test"]
        subprocess.run(
            [sys.executable, "manage.py", *grant],
            cwd=BASE_DIR,
            env={**os.environ, **stack_stores},
            check=True,
        )
        return person

    return make


@pytest.fixture
def carol(make_pro: Callable[[], ApiUser]) -> ApiUser:
    return make_pro()


@pytest.fixture
def change_model(stack_stores: dict[str, str]) -> Iterator[Callable[..., None]]:
    """Change tier and thinking levels of gemini-3.6-flash, as staff do; undone at the end."""

    def change(*, tier: str, levels: list[str]) -> None:
        with psycopg.connect(stack_stores["DATABASE_URL"]) as connection:
            connection.execute(
                "UPDATE messaging_geminimodel SET tier = %s, thinking_levels = %s"
                " WHERE name = 'gemini-3.6-flash'",
                [tier, levels],
            )

    yield change
    change(tier="pro", levels=[])


def picker(page: Page) -> Locator:
    return page.get_by_role("button", name="Model:")


def entry(page: Page, label: str) -> Locator:
    role = page.locator("#model-menu button")
    return role.filter(has=page.locator(".model-label", has_text=label))


def choose(page: Page, label: str) -> None:
    expect(picker(page)).to_be_enabled()
    picker(page).click()
    entry(page, label).click()


def request_with(gemini_server: FakeGemini, prompt: str) -> Received:
    """The newest request for a reply to this prompt, not for a title."""
    return gemini_server.wait_for(
        lambda fake: next((r for r in reversed(fake.requests) if r.prompt == prompt), None)
    )


def test_choice_is_remembered_by_room_and_person(
    browse: Browsing,
    stack: Stack,
    carol: ApiUser,
    make_pro: Callable[[], ApiUser],
    gemini_server: FakeGemini,
) -> None:
    older = carol.open_room("Older")
    page, _ = chats(browse, stack, "/chat/new", carol)
    prompt = f"How many kitchens? {carol.mobile}"

    choose(page, FLASH)
    expect(picker(page)).to_be_focused()
    picker(page).click()
    page.get_by_label("Thinking").select_option("High")
    expect(picker(page)).to_have_accessible_name("Model: Gemini 3.8 Flash · High")
    is_open_to_all(page)
    page.keyboard.press("Escape")
    send(page, prompt)

    expect(is_answered(page).locator(".about")).to_contain_text(FLASH)
    received = request_with(gemini_server, prompt)
    assert received.model == "gemini-3.8-flash"
    # The SDK spells the name of the level as protobuf does; Gemini takes both spellings.
    assert list(received.body["generationConfig"]["thinkingConfig"].values()) == ["HIGH"]
    page.reload()
    expect(picker(page)).to_have_accessible_name("Model: Gemini 3.8 Flash · High")
    page.goto(f"{stack.url}/chat/{older}")
    expect(picker(page)).to_contain_text(LITE)
    page.goto(f"{stack.url}/chat/new")
    expect(picker(page)).to_have_accessible_name("Model: Gemini 3.8 Flash · High")

    enter(page, stack, make_pro(), "/chat/new")
    expect(picker(page)).to_contain_text(LITE)
    enter(page, stack, ApiUser(stack.url, carol.mobile).sign_in(), "/chat/new")
    expect(picker(page)).to_contain_text(FLASH)


def test_locked_model_leads_to_the_plan(browse: Browsing, stack: Stack) -> None:
    page, _ = chats(browse, stack, "/chat/new")
    if page.viewport_size != PHONE:
        page.set_viewport_size(LAPTOP)
    keys = Keys(page)
    expect(page.get_by_text("answers left today")).to_be_attached()

    keys.use(picker(page))
    keys.is_at(entry(page, LITE))
    expect(entry(page, LITE)).to_have_attribute("aria-checked", "true")
    expect(entry(page, LITE)).to_contain_text(
        "Default: 1 million tokens of context, thinks from minimal to high, reads text"
    )
    is_open_to_all(page)
    picture(page, "model-picker-phone" if page.viewport_size == PHONE else "model-picker")
    keys.press("ArrowUp")
    keys.is_at(page.locator("#model-menu button").last)
    keys.press("Home")
    keys.press("Tab")
    keys.is_at(page.get_by_label("Thinking"))
    keys.press("Escape")
    keys.is_at(picker(page))
    keys.press("Enter")
    keys.press("ArrowDown")
    expect(entry(page, OLD_FLASH)).to_have_accessible_name(
        re.compile("^Gemini 3.6 Flash Pro Locked")
    )
    keys.is_at(entry(page, OLD_FLASH))
    keys.press("Enter")

    dialog = page.get_by_role("dialog", name="Your account")
    keys.is_at(dialog.get_by_role("button", name="Upgrade to Pro"))
    keys.press("Escape")
    keys.is_at(picker(page))
    expect(picker(page)).to_contain_text(LITE)


@once
def test_answer_is_made_again_by_another_model(
    browse: Browsing, stack: Stack, carol: ApiUser, gemini_server: FakeGemini
) -> None:
    room, prompt = carol.open_room("Kitchens"), f"Once more? {carol.mobile}"
    carol.reply(carol.send(room, prompt))
    page, _ = chats(browse, stack, f"/chat/{room}", carol)
    again = is_answered(page).get_by_role("button", name="Ask another model")

    again.click()
    expect(page.get_by_role("dialog", name="Answer again with")).to_be_visible()
    is_open_to_all(page)
    page.keyboard.press("Escape")
    expect(again).to_be_focused()
    again.click()
    entry(page, FLASH).click()

    expect(replies(page).locator(".which")).to_have_text("2/2")
    expect(is_answered(page).locator(".about")).to_contain_text(FLASH)
    assert request_with(gemini_server, prompt).model == "gemini-3.8-flash"
    expect(picker(page)).to_contain_text(LITE)
    assert carol.get(f"chatroom/{room}")["model"] == ""


@once
def test_choice_that_fails_is_taken_back(browse: Browsing, stack: Stack, carol: ApiUser) -> None:
    room = carol.open_room("Kitchens")
    page, _ = chats(browse, stack, f"/chat/{room}", carol)
    expect(picker(page)).to_contain_text(LITE)
    carol.session.delete(f"{carol.url}/chatroom/{room}", timeout=40)

    with refused(browse, page, 404):
        choose(page, FLASH)

    expect(page.locator("#failure-text")).to_contain_text("model of “Kitchens” was not changed")
    expect(picker(page)).to_contain_text(LITE)
    page.goto(f"{stack.url}/chat/new")
    expect(picker(page)).to_contain_text(LITE)


@once
def test_send_waits_for_the_choice(
    browse: Browsing, stack: Stack, carol: ApiUser, gemini_server: FakeGemini
) -> None:
    room, other = carol.open_room("Kitchens"), carol.open_room("Another")
    page, _ = chats(browse, stack, f"/chat/{room}", carol)
    expect(picker(page)).to_be_enabled()
    held: list[Route] = []
    page.route(f"**/api/v1/chatroom/{room}", lambda route: held.append(route), times=1)

    # A choice whose saving is slow: the send waits, and another room shows its model meanwhile.
    with page.expect_request(f"**/api/v1/chatroom/{room}"):
        choose(page, FLASH)
    expect(picker(page)).to_contain_text(FLASH)
    send(page, f"Which model? {carol.mobile}")
    page.get_by_role("link", name="Another").click()
    expect(page.get_by_role("heading", name="Another")).to_be_visible()
    expect(picker(page)).to_contain_text(LITE)
    held[0].continue_()

    received = request_with(gemini_server, f"Which model? {carol.mobile}")
    assert received.model == "gemini-3.8-flash"
    assert carol.get(f"chatroom/{other}")["model"] == ""
    expect(picker(page)).to_contain_text(LITE)


@once
def test_choice_during_the_first_send_is_of_the_new_room(
    browse: Browsing, stack: Stack, carol: ApiUser, gemini_server: FakeGemini
) -> None:
    page, _ = chats(browse, stack, "/chat/new", carol)
    held: list[Route] = []
    page.route("**/api/v1/chatroom/", lambda route: held.append(route), times=1)
    choose(page, OLD_FLASH)

    with page.expect_request("**/api/v1/chatroom/"):
        send(page, f"First? {carol.mobile}")
    choose(page, FLASH)
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        held[0].continue_()

    expect(picker(page)).to_contain_text(FLASH)
    is_answered(page)
    assert request_with(gemini_server, f"First? {carol.mobile}").model == "gemini-3.6-flash"
    assert carol.get("chatroom/")[0]["model"] == "gemini-3.8-flash"


@once
def test_refused_choice_keeps_the_text(
    browse: Browsing, stack: Stack, change_model: Callable[..., None]
) -> None:
    change_model(tier="basic", levels=["low", "high"])
    person = ApiUser(stack.url).sign_in()
    page, _ = chats(browse, stack, f"/chat/{person.open_room('Kitchens')}", person)
    error, prompt = page.locator("#prompt-error"), page.get_by_label("Message to Gemini")
    choose(page, OLD_FLASH)
    picker(page).click()
    page.get_by_label("Thinking").select_option("High")
    page.keyboard.press("Escape")

    change_model(tier="basic", levels=["low"])
    with refused(browse, page, 422):
        send(page, "High?")
    expect(error).to_have_text(
        "The model does not think at this level. Choose another level, and send again."
    )
    expect(prompt).to_have_value("High?")
    expect(page.locator("#model-level")).to_be_empty()

    # The last choice for a new chat is not of the plan any more.
    page.get_by_role("link", name="New chat").click()
    expect(picker(page)).to_contain_text(OLD_FLASH)
    change_model(tier="pro", levels=["low"])
    with refused(browse, page, 403):
        send(page, "Pro?")
    expect(error).to_contain_text("This model is part of Pro. Choose another, or upgrade.")
    expect(error.get_by_role("button", name="Upgrade to Pro")).to_be_visible()
    expect(prompt).to_have_value("Pro?")
    expect(picker(page)).to_contain_text(LITE)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(is_answered(page).locator(".about")).to_contain_text(LITE)


@once
def test_model_of_another_window_is_shown(browse: Browsing, stack: Stack, carol: ApiUser) -> None:
    room = carol.open_room("Kitchens")
    page, _ = chats(browse, stack, f"/chat/{room}", carol)
    expect(picker(page)).to_contain_text(LITE)
    body = {"model": "gemini-3.8-flash"}
    carol.session.patch(f"{carol.url}/chatroom/{room}", json=body, timeout=40)

    send(page, "Which model?")

    expect(is_answered(page).locator(".about")).to_contain_text(FLASH)
    expect(picker(page)).to_contain_text(FLASH)


def test_cut_answer_is_continued(browse: Browsing, stack: Stack, gemini_server: FakeGemini) -> None:
    page, person = chats(browse, stack, "/chat/new")
    cut = directive(Answer(chunks=["Once upon"], finish_reason="MAX_TOKENS"))
    send(page, f"A story, {person.mobile}. {cut}")
    onward = is_answered(page).get_by_role("button", name="Continue")
    expect(onward).to_be_visible()
    is_open_to_all(page)
    page.get_by_label("Message to Gemini").fill("Half a thou")

    onward.click()

    is_answered(page, 2)
    expect(page.locator(".user .content").last).to_have_text("Continue.")
    expect(page.get_by_label("Message to Gemini")).to_have_value("Half a thou")
    expect(page.get_by_role("button", name="Continue")).to_be_hidden()


@once
def test_offline_server_has_no_choice(
    browse: Browsing, make_stack: Callable[..., Stack], selling: dict[str, str]
) -> None:
    with make_stack(**selling, parts=("web",), GOOGLE_API_KEY="") as stack:
        page, _ = chats(browse, stack, "/chat/new")

        picker(page).click()

        expect(picker(page)).to_contain_text("Without Gemini")
        expect(page.get_by_text("This server has no Gemini API key")).to_be_visible()
        expect(entry(page, FLASH)).to_have_attribute("aria-disabled", "true")
        is_open_to_all(page)
        entry(page, FLASH).click(force=True)
        expect(page.get_by_role("dialog", name="Your account")).to_be_hidden()
        expect(page.get_by_role("dialog", name="Model")).to_be_visible()
