"""The pages with a keyboard alone: the focus reaches everything and is always visible."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import PHONE, Browsing, once
from tests.support.browser.keys import Keys
from tests.support.browser.pages import chats, is_answered, open_account, replies, visit
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser

# One stack serves them all.
pytestmark = [pytest.mark.xdist_group("pages-keyboard"), pytest.mark.usefixtures("size")]

SLOW = Answer(chunks=["It ", "begins ", "slowly, "], chunk_delay=0.1, ending="hang")


@pytest.fixture(scope="module")
def stack(
    make_stack: Callable[..., Stack], gemini_server: FakeGemini, selling: dict[str, str]
) -> Iterator[Stack]:
    with make_stack(
        **selling,
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
        BASIC_DAILY_LIMIT="20",
        BASIC_SENDS_PER_MINUTE="1000",
        BASIC_WAITING_REPLIES="1000",
        BASIC_CHATROOMS_PER_MINUTE="1000",
    ) as stack:
        yield stack


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def prompt_of(page: Page) -> Locator:
    return page.get_by_label("Message to Gemini")


def room_link(page: Page, title: str) -> Locator:
    return page.get_by_role("navigation", name="Chats").get_by_role("link", name=title)


def has_arrived(keys: Keys) -> None:
    """The focus of a chat: the field, or the name on a phone."""
    is_phone = keys.page.viewport_size == PHONE
    keys.is_at(keys.page.locator("#room-title") if is_phone else prompt_of(keys.page))


def start_of(page: Page) -> Locator:
    """The focus outside a chat: the field, or a link on a phone."""
    return (
        page.get_by_role("link", name="New chat")
        if page.viewport_size == PHONE
        else prompt_of(page)
    )


def to_list(keys: Keys) -> None:
    if keys.page.viewport_size == PHONE:
        keys.use(keys.page.get_by_role("link", name="All chats"), by="Shift+Tab")
        keys.is_at(keys.page.get_by_role("link", name="New chat"))


def from_menu(keys: Keys, item: str, key: str = "Enter") -> None:
    keys.use(button(keys.page, "Chat menu"))
    keys.use(keys.page.locator("#room-menu").get_by_role("button", name=item), key)


def test_person_signs_in_writes_and_signs_out(browse: Browsing, stack: Stack) -> None:
    first, person = ApiUser(stack.url), ApiUser(stack.url)
    page = visit(browse, person)
    keys = Keys(page)
    mobile, code = page.get_by_label("Mobile number"), page.get_by_label("Six-digit code")

    keys.press("Tab")
    keys.is_at(page.get_by_role("link", name="Skip to signing in"))
    keys.press("Enter")
    keys.press("Tab")
    keys.is_at(mobile)
    keys.write(first.mobile)
    keys.press("Enter")
    keys.is_at(code)
    keys.use(button(page, "Change number"), by="Shift+Tab")
    keys.is_at(mobile)
    keys.write(person.mobile)
    keys.press("Enter")
    keys.is_at(code)
    keys.press("Enter")
    expect(page.get_by_text("No chats yet")).to_be_visible()
    keys.use(page.get_by_role("link", name="New chat"))
    has_arrived(keys)
    keys.use(page.get_by_label("Temporary chat"), "Space", by="Shift+Tab")
    keys.use(button(page, "Write a haiku about a queue that never loses anything"), by="Shift+Tab")
    keys.is_at(prompt_of(page))
    is_answered(page)
    expect(page.locator("#temporary-badge")).to_be_visible()
    keys.write("First line")
    keys.press("Shift+Enter")
    keys.write("second line")
    keys.press("Enter")
    is_answered(page, 2)
    keys.is_at(prompt_of(page))
    expect(prompt_of(page)).to_have_value("")
    expect(page.locator(".user .content").last).to_have_text("First line\nsecond line")
    to_list(keys)
    open_account(page, keys)
    keys.use(button(page, "Sign out"))

    expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()


def test_answer_is_stopped_made_again_and_rated(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    page, _ = chats(browse, stack, f"/chat/{person.open_room('Kitchens')}", person)
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    keys, answer = Keys(page), replies(page)

    keys.go(prompt_of(page))
    keys.write(person.mobile + directive(SLOW, Answer(chunks=["Second."])))
    keys.press("Enter")
    expect(answer).to_contain_text("It begins slowly,")
    keys.use(button(page, "Stop the answer"))
    keys.is_at(prompt_of(page))
    expect(is_answered(page)).to_contain_text("Stopped.")

    keys.use(button(answer, "Answer again"), by="Shift+Tab")
    expect(is_answered(page).locator(".content")).to_have_text("Second.")
    keys.is_at(answer)
    keys.use(button(answer, "Previous version"))
    expect(answer.locator(".content")).to_contain_text("It begins slowly,")
    keys.is_at(button(answer, "Next version"))
    keys.press("Space")
    expect(answer.locator(".content")).to_have_text("Second.")
    keys.is_at(button(answer, "Previous version"))

    keys.use(button(answer, "Good answer"), "Space")
    expect(button(answer, "Good answer")).to_have_attribute("aria-pressed", "true")
    keys.use(button(answer, "Bad answer"))
    keys.is_at(page.get_by_label("Your comment"))
    keys.write("It says nothing.")
    keys.use(button(page, "Send comment"))
    keys.is_at(button(answer, "Bad answer"))
    expect(button(answer, "Bad answer")).to_have_attribute("aria-pressed", "true")

    question = page.locator(".message.user")
    keys.use(button(question, "Edit"), by="Shift+Tab")
    keys.is_at(page.get_by_label("Your message"))
    keys.press("Escape")
    keys.is_at(button(question, "Edit"))
    keys.press("Enter")
    keys.press("Control+a")
    keys.write("Another wording " + directive(Answer(chunks=["Third."])))
    keys.use(button(question, "Send"))
    expect(is_answered(page).locator(".content")).to_have_text("Third.")
    keys.is_at(question)
    keys.use(button(question, "Previous version"))
    expect(answer.locator(".content")).to_have_text("Second.")
    keys.is_at(button(question, "Next version"))


def test_room_is_found_named_and_put_away(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    older, _ = person.open_room("Older"), person.open_room("Newer")
    person.reply(person.send(older, "Tell me of the kingfisher, please"))
    page, _ = chats(browse, stack, person=person)
    keys, menu = Keys(page), button(page, "Chat menu")
    expect(room_link(page, "Older")).to_be_visible()

    keys.go(page.get_by_role("searchbox", name="Search chats"), by="Shift+Tab")
    keys.write("kingfisher")
    expect(page.get_by_text("Found in 1 chat")).to_be_visible()
    keys.use(room_link(page, "Older"))
    expect(page.locator(".message.found")).to_contain_text("kingfisher")
    has_arrived(keys)

    from_menu(keys, "Name and instructions…")
    keys.is_at(page.get_by_label("Name of the chat"))
    keys.write("Wiser")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Wiser")).to_be_visible()
    keys.is_at(menu)
    from_menu(keys, "Pin", "Space")
    expect(page.locator("#announcement")).to_have_text("Pinned.")
    keys.is_at(menu)
    from_menu(keys, "Archive")
    expect(page.locator("#announcement")).to_have_text("Archived.")
    keys.is_at(menu)
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Escape")
    expect(page.locator("#room-menu")).to_be_hidden()
    keys.is_at(menu)
    to_list(keys)
    keys.go(page.get_by_role("searchbox", name="Search chats"), by="Shift+Tab")
    keys.press("Escape")
    keys.use(button(page, "Archived"), "Space")
    keys.use(room_link(page, "Wiser"))
    has_arrived(keys)
    from_menu(keys, "Back to the chats")
    expect(page.locator("#announcement")).to_have_text("Moved back to the chats.")
    keys.is_at(menu)

    from_menu(keys, "Delete…")
    keys.is_at(button(page, "Cancel"))
    keys.press("Escape")
    keys.is_at(menu)
    from_menu(keys, "Delete…")
    keys.use(button(page, "Delete"))
    expect(page.locator("#announcement")).to_have_text("Deleted.")
    keys.is_at(start_of(page))
    assert [room["title"] for room in person.get("chatroom/")] == ["Newer"]


def test_plan_and_account_are_looked_after(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    person.reply(person.send(person.open_room(), "One for the chart"))
    page, _ = chats(browse, stack, person=person)
    keys, plan = Keys(page), page.get_by_role("heading", name="Plan")
    expect(page.get_by_text("answers left today")).to_be_visible()

    keys.use(button(page, "Upgrade to Pro"), by="Shift+Tab")
    button(page, "Pay").press("Enter")  # Of another's page.
    keys.use(page.get_by_role("link", name="Back to your chats"))
    expect(page.locator("#pro-badge")).to_be_visible()
    keys.use(button(page, "Account"), by="Shift+Tab")
    keys.is_at(button(page, "Close"))
    expect(page.get_by_text("Pro, renewed on")).to_be_visible()
    keys.use(page.get_by_text("Day by day"), "Space")
    expect(page.locator("#usage-details tbody tr")).to_be_visible()
    keys.use(button(page, "Cancel Pro…"), by="Shift+Tab")
    keys.is_at(button(page, "Cancel"))
    keys.use(button(page, "Cancel Pro"))
    expect(page.get_by_text("then Basic")).to_be_visible()
    keys.is_at(plan)
    keys.use(button(page, "Keep Pro"))
    expect(page.get_by_text("Pro, renewed on")).to_be_visible()
    keys.is_at(plan)
    keys.go(page.get_by_label("Name", exact=True), by="Shift+Tab")
    keys.write("Alice")
    keys.press("Enter")
    expect(page.locator("#announcement")).to_have_text("Your name is saved.")
    keys.is_at(page.get_by_label("Name", exact=True))
    keys.use(button(page, "Sign out everywhere…"))
    keys.is_at(button(page, "Cancel"))
    keys.press("Enter")
    keys.is_at(button(page, "Sign out everywhere…"))
    keys.press("Escape")
    keys.is_at(button(page, "Account"))


def test_focus_stays_where_something_else_happens(
    browse: Browsing, stack: Stack, gemini_server: FakeGemini
) -> None:
    person = ApiUser(stack.url).sign_in()
    person.open_room("Another")
    page, _ = chats(browse, stack, f"/chat/{person.open_room('Kitchens')}", person)
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    keys = Keys(page)
    gates = [f"{name}-{person.mobile}" for name in ("first", "second")]
    first, second = (directive(Answer(chunks=["One. ", "Two. "], gate=gate)) for gate in gates)

    # An answer ends while its Stop has the focus.
    keys.go(prompt_of(page))
    keys.write(first)
    keys.press("Enter")
    keys.go(button(page, "Stop the answer"))
    gemini_server.open(gates[0])
    is_answered(page)
    keys.is_at(page.get_by_role("log"))

    # Another chat ends, and the list is drawn again, while a chat of the list has the focus.
    keys.go(prompt_of(page))
    keys.write(second)
    keys.press("Enter")
    expect(button(page, "Stop the answer")).to_be_visible()
    to_list(keys)
    with page.expect_response("**/chatroom/?archived=false"):
        keys.go(
            room_link(page, "Another"), by="Shift+Tab" if page.viewport_size != PHONE else "Tab"
        )
        person.open_room("One more")
        page.evaluate("dispatchEvent(new Event('online'))")
    expect(room_link(page, "One more")).to_be_visible()
    keys.is_at(room_link(page, "Another"))

    # Back to the list, on a phone, where what had the focus is not to be seen.
    keys.press("Enter")
    has_arrived(keys)
    page.go_back()
    keys.is_at(start_of(page))


@once
def test_menu_closes_behind_whoever_goes_on(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    page, _ = chats(browse, stack, f"/chat/{person.open_room('Kitchens')}", person)
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    keys = Keys(page)

    keys.use(button(page, "Chat menu"), by="Shift+Tab")
    keys.go(page.locator("#room-menu").get_by_role("button", name="Delete…"))
    keys.press("Tab")

    expect(page.locator("#room-menu")).to_be_hidden()
    keys.is_at(page.get_by_role("log"))


def test_first_stop_leads_to_the_field(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    page, _ = chats(browse, stack, f"/chat/{person.open_room('Kitchens')}", person)
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    keys = Keys(page)

    keys.use(page.get_by_role("link", name="Skip to the message field"), by="Shift+Tab")

    keys.is_at(prompt_of(page))
    assert "#" not in page.url
