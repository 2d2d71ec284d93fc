"""Sign-in and session of the pages, on a server without keys of any vendor."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Route, expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import DESKTOP, Browsing
from tests.support.browser.pages import (
    ask_for_code,
    chats,
    is_answered,
    is_open_to_all,
    open_account,
    picture,
    refused,
    to_list,
    visit,
)
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("pages-sign-in")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack]) -> Iterator[Stack]:
    with make_stack() as stack:
        yield stack


@pytest.fixture
def person(stack: Stack) -> ApiUser:
    return ApiUser(stack.url)


@pytest.mark.usefixtures("size")
def test_person_signs_up_and_is_answered(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person)
    expect(page).to_have_title("GemChatRoom")
    is_open_to_all(page)
    if page.viewport_size == DESKTOP:
        picture(page, "landing")

    ask_for_code(page, person.mobile)
    is_open_to_all(page)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("No chats yet")).to_be_visible()
    expect(page.get_by_text("5 of 5 answers left today")).to_be_visible()
    is_open_to_all(page)
    page.get_by_role("link", name="New chat").click()
    is_open_to_all(page)
    page.get_by_role("button", name="Write a haiku").click()
    expect(is_answered(page)).to_contain_text("not an AI answer")
    expect(page).to_have_title(re.compile("Write a haiku about a queue .* · GemChatRoom"))
    to_list(page)
    expect(page.get_by_role("link", name="Write a haiku")).to_be_visible()
    expect(page.get_by_text("4 of 5 answers left today")).to_be_visible()


def test_number_is_shown_as_understood_before_the_code(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person)
    mobile, understood = page.get_by_label("Mobile number"), page.locator("#mobile-understood")
    digits = person.mobile[3:]

    mobile.fill(f"0{digits[:5]}\u2013{digits[5:]}")
    expect(understood).to_have_text(f"The code goes to +91 {digits[:5]} {digits[5:]}.")
    is_open_to_all(page)
    mobile.fill("12345")
    expect(understood).to_be_empty()
    with refused(browse, page, 422):
        mobile.fill("1-415-555-2671")
        page.get_by_role("button", name="Text me a code").click()
        expect(page.locator("#mobile-error")).to_contain_text("is the number +1 415-555-2671?")
    expect(understood).to_be_empty()
    ask_for_code(page, digits)

    expect(page.locator("#code-mobile")).to_have_text(f"+91 {digits[:5]} {digits[5:]}")


def test_form_waits_for_the_script(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person, java_script_enabled=False)
    mobile, button = page.get_by_label("Mobile number"), page.locator("#send-code")
    address = page.url

    mobile.fill(person.mobile)
    mobile.press("Enter")
    expect(button).to_be_disabled()
    # What a browser does that has the button enabled still, as after a reload.
    button.evaluate("button => button.disabled = false")
    button.click()
    mobile.press("Enter")

    expect(mobile).to_have_value(person.mobile)
    assert page.url == address


def test_fields_are_made_for_a_phone(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person)
    mobile, code = page.locator("#mobile"), page.locator("#code")

    expect(mobile).to_have_attribute("inputmode", "tel")
    expect(mobile).to_have_attribute("autocomplete", "tel")
    expect(code).to_have_attribute("inputmode", "numeric")
    expect(code).to_have_attribute("autocomplete", "one-time-code")


def test_errors_are_words_at_their_field(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person)
    mobile = page.get_by_label("Mobile number")
    submit = page.get_by_role("button", name="Text me a code")

    submit.click()
    expect(page.locator("#mobile-error")).to_have_text("Give your mobile number.")
    expect(mobile).to_have_attribute("aria-invalid", "true")
    mobile.fill("+1")
    with refused(browse, page, 422):
        submit.click()
    expect(page.locator("#mobile-error")).to_contain_text("+ and 10 to 15 digits")
    is_open_to_all(page)
    ask_for_code(page, person.mobile)
    expect(page.locator("#mobile-error")).to_be_empty()
    code = page.get_by_label("Six-digit code")
    right = code.input_value()
    with refused(browse, page, 400):
        code.fill(f"{(int(right) + 1) % 1_000_000:06d}")  # Complete, it is sent by itself.
    expect(page.locator("#code-error")).to_contain_text("wrong or has expired")
    expect(code).to_be_focused()
    is_open_to_all(page)
    page.get_by_role("button", name="Change number").click()
    with refused(browse, page, 429):
        submit.click()
    expect(page.locator("#mobile-error")).to_contain_text("You can try again in")
    assert person.post("auth/verify-otp", {"mobile": person.mobile, "otp": right})


def test_tokens_are_out_of_reach_of_scripts(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person)
    ask_for_code(page, person.mobile)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("5 of 5 answers left today")).to_be_visible()

    [cookie] = page.context.cookies(f"{page.url.removesuffix('/chat')}/web/session")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    seen = page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, history.state])"
    )
    assert seen == '["",{},{},null]'


def test_session_lasts_over_reloads_and_tabs(
    browse: Browsing, stack: Stack, person: ApiUser
) -> None:
    page, person = chats(browse, stack)
    expect(page.get_by_text("answers left today")).to_be_visible()

    for _ in range(4):
        # Left again while the cookie is being renewed.
        with page.expect_request("**/web/session/refresh"):
            page.reload(wait_until="commit")
    page.reload()
    tabs = [page.context.new_page() for _ in range(4)]
    for tab in tabs:
        tab.goto(page.url, wait_until="commit")

    for tab in [page, *tabs]:
        expect(tab.get_by_text("answers left today")).to_be_visible()
    # The pages have renewed the session of this test's own client.
    assert len(person.get("auth/sessions")) == 1
    browse.complaints[:] = [line for line in browse.complaints if "status of 409" not in line]


def test_landing_page_leads_on_whoever_is_signed_in(browse: Browsing, stack: Stack) -> None:
    page, _ = chats(browse, stack, path="/")

    page.wait_for_url("**/chat")
    expect(page.get_by_text("answers left today")).to_be_visible()


def test_chats_lead_to_signing_in_whoever_is_not(browse: Browsing, person: ApiUser) -> None:
    page = visit(browse, person, "/chat")

    expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()


def test_sign_out_holds_in_every_tab(browse: Browsing, stack: Stack) -> None:
    page, person = chats(browse, stack)
    other_tab = page.context.new_page()
    other_tab.goto(page.url)
    expect(other_tab.get_by_text("answers left today")).to_be_visible()

    open_account(page)
    page.get_by_role("button", name="Sign out", exact=True).click()

    expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()
    assert page.context.cookies(f"{stack.url}/web/session") == []
    assert person.session.get(f"{person.url}/user/me", timeout=10).status_code == 401
    other_tab.get_by_role("link", name="New chat").click()
    other_tab.get_by_label("Message to Gemini").fill("Still here?")
    other_tab.get_by_role("button", name="Send", exact=True).click()
    expect(other_tab.get_by_role("heading", name="Sign in or sign up")).to_be_visible()


def test_access_token_that_is_no_longer_good_is_renewed_unseen(
    browse: Browsing, stack: Stack
) -> None:
    page, _ = chats(browse, stack)
    expect(page.get_by_text("answers left today")).to_be_visible()
    expect(page.get_by_text("No chats yet")).to_be_visible()
    stack.restart("web", JWT_SECRET="another key that is as long as keys have to be, or longer")

    page.get_by_label("Message to Gemini").fill("Are you there?")
    with refused(browse, page, 401):
        page.get_by_role("button", name="Send", exact=True).click()

    expect(is_answered(page)).to_contain_text("Are you there?")


def test_server_that_is_short_of_something_is_asked_again(browse: Browsing, stack: Stack) -> None:
    page, _ = chats(browse, stack)
    expect(page.get_by_text("answers left today")).to_be_visible()
    # As a proxy in front would answer, once.
    short = {"status": 503, "headers": {"Retry-After": "1"}}
    page.route("**/subscription/status", lambda route: route.fulfill(**short), times=1)

    with refused(browse, page, 503):
        page.reload()

    expect(page.get_by_text("answers left today")).to_be_visible()


def test_signing_out_calls_off_what_is_under_way(browse: Browsing, stack: Stack) -> None:
    """It would be refused, and the browser would say so."""
    page, _ = chats(browse, stack)
    open_account(page)
    endings: list[Route] = []
    # Neither is answered.
    page.route("**/api/v1/chatroom/**", lambda route: None)
    page.route("**/web/session", lambda route: endings.append(route))
    with page.expect_request("**/api/v1/chatroom/**"):
        page.evaluate("dispatchEvent(new Event('online'))")

    with page.expect_event("requestfailed", lambda request: "/chatroom/" in request.url):
        page.get_by_role("button", name="Sign out", exact=True).click()
    # A question to the page lets its events come in.
    eventually(lambda: page.title() and endings)
    endings[0].continue_()

    expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()
