"""A person's own account on the pages: sessions, name, export and erasure."""

from collections.abc import Callable, Iterator
from zipfile import ZipFile

import psycopg
import pytest
from playwright.sync_api import expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import Browsing
from tests.support.browser.keys import Keys
from tests.support.browser.pages import (
    ask_for_code,
    chats,
    is_open_to_all,
    open_account,
    refused,
)
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("pages-account")

USER = "SELECT id FROM accounts_user WHERE mobile = %s"
SIGN_IN_IS_OLD = """UPDATE accounts_session
    SET created_at = created_at - interval '1 hour',
        authenticated_at = authenticated_at - interval '1 hour'
    WHERE user_id = (SELECT id FROM accounts_user WHERE mobile = %s)"""


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack]) -> Iterator[Stack]:
    with make_stack() as stack:
        yield stack


def test_sessions_are_listed_and_ended(browse: Browsing, stack: Stack) -> None:
    page, person = chats(browse, stack)
    other = ApiUser(stack.url, person.mobile).sign_in()

    page.get_by_role("button", name="Account").click()
    sessions = page.locator("#sessions li")
    expect(sessions).to_have_count(2)
    is_open_to_all(page)
    page.get_by_role("button", name="End the session on python-requests").click()

    expect(sessions).to_have_count(1)
    assert other.session.get(f"{other.url}/user/me", timeout=10).status_code == 401


def test_sign_out_everywhere_asks_first(browse: Browsing, stack: Stack) -> None:
    page, person = chats(browse, stack)

    open_account(page)
    everywhere = page.get_by_role("button", name="Sign out everywhere…")
    everywhere.click()
    is_open_to_all(page)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(everywhere).to_be_focused()
    assert len(person.get("auth/sessions")) == 1
    everywhere.click()
    page.get_by_role("button", name="Sign out everywhere", exact=True).click()

    expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()
    assert person.session.get(f"{person.url}/user/me", timeout=10).status_code == 401


def test_name_is_kept_and_refused_in_words(browse: Browsing, stack: Stack) -> None:
    page, person = chats(browse, stack)
    page.get_by_role("button", name="Account").click()
    name = page.get_by_label("Name", exact=True)
    save = page.get_by_role("button", name="Save")

    with refused(browse, page, 422):
        name.fill("Alice \u202eecila")
        save.click()
    expect(page.locator("#profile-name-error")).to_contain_text("direction of writing")
    name.fill("Alice")
    save.click()

    expect(page.locator("#announcement")).to_have_text("Your name is saved.")
    assert person.get("user/me")["name"] == "Alice"


def test_upgrade_without_payments_is_refused_in_words(browse: Browsing, stack: Stack) -> None:
    page, _ = chats(browse, stack)

    with refused(browse, page, 503):
        page.get_by_role("button", name="Upgrade to Pro").click()

    expect(page.locator("#upgrade-error")).to_contain_text("payments are not set up here")
    is_open_to_all(page)


def test_everything_is_exported(browse: Browsing, stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    person.reply(person.send(person.open_room(), "What is to be kept?"))
    page, _ = chats(browse, stack, person=person)
    keys, export = Keys(page), page.get_by_role("button", name="Export everything")
    open_account(page, keys)

    with page.expect_download() as download:
        keys.use(export, by="Shift+Tab")
    expect(page.get_by_text("Your browser is downloading the file.")).to_be_visible()
    keys.is_at(export)
    is_open_to_all(page)

    with ZipFile(download.value.path()) as file:
        assert b"What is to be kept?" in b"".join(map(file.read, file.namelist()))


def test_export_with_an_old_sign_in_leads_to_a_new_one(
    browse: Browsing, stack: Stack, stack_stores: dict[str, str]
) -> None:
    page, person = chats(browse, stack)
    keys, export = Keys(page), page.get_by_role("button", name="Export everything")
    open_account(page, keys)
    with psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as database:
        database.execute(SIGN_IN_IS_OLD, [person.mobile])

    with refused(browse, page, 403):
        keys.use(export, by="Shift+Tab")
    expect(page.get_by_text("Sign in again first")).to_be_visible()
    expect(page.get_by_text("The file is being prepared.")).to_be_hidden()
    again = page.get_by_role("button", name="Sign in again")
    expect(again).to_be_in_viewport()
    is_open_to_all(page)
    again.click()
    page.wait_for_url(f"{stack.url}/")
    ask_for_code(page, person.mobile)
    page.get_by_role("button", name="Sign in").click()
    open_account(page)

    with page.expect_download():
        page.get_by_role("button", name="Export everything").click()


@pytest.mark.usefixtures("size")
def test_account_is_deleted_after_a_question_and_a_new_sign_in(
    browse: Browsing, stack: Stack, stack_stores: dict[str, str]
) -> None:
    page, person = chats(browse, stack)
    keys, delete = Keys(page), page.get_by_role("button", name="Delete account…")
    yes = page.get_by_role("button", name="Delete account", exact=True)
    open_account(page, keys)

    keys.use(delete, by="Shift+Tab")
    expect(page.get_by_text(f"All data of {person.mobile} is erased")).to_be_visible()
    is_open_to_all(page)
    keys.is_at(page.get_by_role("button", name="Cancel", exact=True))
    keys.press("Enter")
    keys.is_at(delete)
    with psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as database:
        database.execute(SIGN_IN_IS_OLD, [person.mobile])
        keys.press("Enter")
        with refused(browse, page, 403):
            keys.use(yes)
        expect(page.get_by_text("Sign in again first")).to_be_visible()
        keys.is_at(delete)
        is_open_to_all(page)
        keys.use(page.get_by_role("button", name="Sign in again"))
        ask_for_code(page, person.mobile)
        keys.press("Enter")
        open_account(page, keys)
        keys.use(delete, by="Shift+Tab")
        keys.use(yes)

        expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()
        assert page.context.cookies(f"{stack.url}/web/session") == []
        eventually(lambda: not database.execute(USER, [person.mobile]).fetchall())


def test_question_does_not_take_the_answer_of_the_one_before(
    browse: Browsing, stack: Stack
) -> None:
    page, _ = chats(browse, stack)
    open_account(page)
    page.get_by_role("button", name="Sign out everywhere…").click()

    # As fast as two keys can be: the browser's event of a closing comes a frame later.
    page.evaluate("""() => {
        document.getElementById("confirm").close();
        document.getElementById("sign-out-everywhere").click();
    }""")
    page.get_by_role("button", name="Sign out everywhere", exact=True).click()

    expect(page.get_by_role("heading", name="Sign in or sign up")).to_be_visible()
