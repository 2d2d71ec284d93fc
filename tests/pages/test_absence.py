"""The sign-in page after half a year: whose account is it?"""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import Browsing
from tests.support.browser.pages import ask_for_code, is_open_to_all, refused, visit
from tests.support.stack.api_client import ApiUser

PASSWORD = "a long enough one"

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("pages-absence")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack]) -> Iterator[Stack]:
    with make_stack(parts=("web",)) as stack:
        yield stack


@pytest.fixture
def person(stack: Stack, stack_stores: dict[str, str]) -> ApiUser:
    """A person with one chat, who was away for half a year."""
    person = ApiUser(stack.url).sign_in()
    person.open_room("Old secrets")
    return person


def leave_for_half_a_year(stores: dict[str, str]) -> None:
    with psycopg.connect(stores["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE accounts_user SET last_seen_at = now() - interval '181 days'")


def ask_whose(browse: Browsing, person: ApiUser) -> Page:
    """Sign in by code, up to the question whose account it is."""
    page = visit(browse, person)
    ask_for_code(page, person.mobile)
    with refused(browse, page, 403):
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("group", name="Is the account yours?")).to_be_visible()
    return page


def test_person_confirms_and_finds_the_old_chats(
    browse: Browsing, person: ApiUser, stack_stores: dict[str, str]
) -> None:
    leave_for_half_a_year(stack_stores)

    page = ask_whose(browse, person)
    expect(page.get_by_text("Old secrets")).to_have_count(0)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Choose one of the two.")).to_be_visible()
    page.get_by_label("Yes, I used it before").check()
    expect(page.get_by_text("By going on you confirm")).to_be_visible()
    expect(page.get_by_label("Password of the account")).to_be_hidden()
    is_open_to_all(page)
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_role("link", name="Old secrets")).to_be_visible()


def test_person_starts_with_an_empty_account(
    browse: Browsing, person: ApiUser, stack_stores: dict[str, str]
) -> None:
    leave_for_half_a_year(stack_stores)

    page = ask_whose(browse, person)
    page.get_by_label("start with a new, empty account").check()
    expect(page.get_by_text("The old account loses this number")).to_be_visible()
    is_open_to_all(page)
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_text("No chats yet")).to_be_visible()


def test_account_with_a_password_asks_for_it(
    browse: Browsing, person: ApiUser, stack_stores: dict[str, str]
) -> None:
    person.post("auth/change-password", {"new_password": PASSWORD})
    leave_for_half_a_year(stack_stores)

    page = ask_whose(browse, person)
    page.get_by_label("Yes, I used it before").check()
    password = page.get_by_label("Password of the account")
    is_open_to_all(page)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Give the password of the account.")).to_be_visible()
    with refused(browse, page, 401):
        password.fill("not this one")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("The password is wrong.")).to_be_visible()
    password.fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_role("link", name="Old secrets")).to_be_visible()
