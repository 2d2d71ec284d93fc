"""Files on the page of chats: uploads, states in words, refusals, messages, the account."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import PHONE, Browsing, once
from tests.support.browser.files import chart, chip, drag, given, paste_picture, pick
from tests.support.browser.keys import Keys
from tests.support.browser.pages import (
    chats,
    is_answered,
    is_open_to_all,
    picture,
    refused,
)
from tests.support.fakes.gemini import FakeGemini
from tests.support.files.corpus import encoded, halves, pdf, wav
from tests.support.stack.api_client import ApiUser

# One stack serves them all.
pytestmark = [pytest.mark.xdist_group("pages-files"), pytest.mark.usefixtures("size")]

UPLOADS = "**/api/v1/file/"
TEXT = b"Revenue 2025: 3.1 million. Revenue 2026: 4.2 million.\n"


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_server: FakeGemini) -> Iterator[Stack]:
    with make_stack(
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
        BASIC_STORAGE_MB="1",
        BASIC_FILE_MAX_BYTES=str(1024**2),
        BASIC_FILE_TOKENS="5000",
        BASIC_FILES_PER_MESSAGE="3",
    ) as stack:
        yield stack


@pytest.fixture
def alice(stack: Stack) -> ApiUser:
    return ApiUser(stack.url).sign_in()


@pytest.fixture
def page(browse: Browsing, stack: Stack, alice: ApiUser) -> Page:
    """A room of Alice's, once the limits are known."""
    page, _ = chats(browse, stack, f"/chat/{alice.open_room('Kitchens')}", alice)
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    expect(page.locator("#quota-left")).not_to_be_empty()
    return page


@pytest.fixture
def set_modalities(stack_stores: dict[str, str]) -> Callable[[str], None]:
    """Set what the default model reads, as staff do."""

    def change(kinds: str) -> None:
        with psycopg.connect(stack_stores["DATABASE_URL"]) as connection:
            connection.execute(
                "UPDATE messaging_geminimodel SET modalities = %s"
                " WHERE name = 'gemini-3.5-flash-lite'",
                [kinds.split(",")],
            )

    return change


PHOTO = given("revenue.png", chart(), "image/png")
REPORT = given("report for 2026.pdf", pdf(3), "application/pdf")
NOTES = given("notes.txt", TEXT, "text/plain")


def send_button(page: Page) -> Locator:
    return page.locator("#send")


def received(gemini_server: FakeGemini, text: str) -> list[dict[str, Any]]:
    """The parts of the newest prompt at Gemini with this text, titles aside."""
    request = gemini_server.wait_for(
        lambda fake: next((each for each in reversed(fake.requests) if text in each.prompt), None)
    )
    return request.body["contents"][-1]["parts"]


def newest(person: ApiUser) -> str:
    return person.get("file/")["results"][0]["id"]


def announced(page: Page, text: str) -> None:
    expect(page.locator("#announcement")).to_have_text(text)


def test_files_come_by_button_drop_and_paste(page: Page) -> None:
    pick(page, REPORT)
    drag(page, PHOTO, "dragover")
    expect(page.get_by_text("Drop files to attach")).to_be_visible()
    is_open_to_all(page)
    drag(page, PHOTO, "drop")
    expect(page.get_by_text("Drop files to attach")).to_be_hidden()
    paste_picture(page, encoded(halves(50, 50), "PNG"))

    expect(chip(page, "report for 2026.pdf")).to_contain_text("Ready")
    expect(chip(page, "revenue.png")).to_contain_text("Ready")
    expect(chip(page, "image.png")).to_contain_text("Ready")
    thumbnail = chip(page, "revenue.png").get_by_role("img", name="revenue.png")
    expect(thumbnail).to_have_js_property("naturalWidth", 512)
    expect(send_button(page)).to_have_accessible_name("Send")
    is_open_to_all(page)
    if page.viewport_size == PHONE:
        chips = page.locator("#chips")
        assert chips.evaluate("list => list.scrollWidth > list.clientWidth")
        assert chips.evaluate("list => list.clientHeight < 100")


def test_send_waits_for_the_files(page: Page) -> None:
    held: list[Route] = []
    page.route(UPLOADS, lambda route: held.append(route), times=1)
    prompt = page.get_by_label("Message to Gemini")
    prompt.fill("What is in it?")

    with page.expect_request(UPLOADS):
        pick(page, NOTES)
    announced(page, "Uploading notes.txt.")
    expect(chip(page, "notes.txt")).to_contain_text("54 bytes · Uploading")
    expect(send_button(page)).to_have_accessible_name("Waiting for 1 file")
    prompt.press("Enter")
    expect(page.locator("#prompt-error")).to_have_text("Waiting for 1 file.")
    is_open_to_all(page)
    held[0].continue_()

    expect(chip(page, "notes.txt")).to_contain_text("Ready")
    announced(page, "notes.txt: Ready")
    expect(send_button(page)).to_have_accessible_name("Send")
    expect(page.locator("#prompt-error")).to_be_empty()
    expect(prompt).to_have_value("What is in it?")


def test_refused_file_must_be_removed_first(page: Page) -> None:
    page.get_by_label("Message to Gemini").fill("What is in it?")

    pick(page, given("secret.pdf", pdf(password="open"), "application/pdf"), NOTES)

    secret = chip(page, "secret.pdf")
    expect(secret).to_contain_text("Refused: this PDF has a password. Remove the password first")
    expect(secret.get_by_role("button", name="Retry")).to_be_hidden()
    expect(chip(page, "notes.txt")).to_contain_text("Ready")
    expect(send_button(page)).to_have_accessible_name("Remove the refused file first")
    send_button(page).click(force=True)
    expect(page.locator("#prompt-error")).to_have_text("Remove the refused file first.")
    expect(page.locator(".message")).to_have_count(0)
    is_open_to_all(page)
    secret.get_by_role("button", name="Remove secret.pdf").click()
    expect(page.locator("#prompt-error")).to_be_empty()
    expect(send_button(page)).to_have_accessible_name("Send")


@once
def test_limits_are_checked_before_a_byte_is_sent(page: Page) -> None:
    uploads: list[str] = []
    page.on("request", lambda sent: uploads.append(sent.url) if sent.method == "POST" else None)

    large = given("concert.wav", wav(80), "audio/wav")
    film = given("film.mp4", b"film", "video/mp4")
    pick(page, large, film, given("empty.txt", b"", "text/plain"), NOTES)

    expect(chip(page, "concert.wav")).to_contain_text("Refused: a file may have at most 1 MiB")
    expect(chip(page, "film.mp4")).to_contain_text("Refused: only JPEG, PNG, WEBP and GIF")
    expect(chip(page, "empty.txt")).to_contain_text("Refused: the file is empty")
    expect(page.locator("#prompt-error")).to_have_text(
        "A message may have 3 files: 1 file was not attached."
    )
    notes = page.locator("#chips-notes")
    expect(notes).to_contain_text("Pro takes larger files.")
    expect(notes.get_by_role("button", name="Upgrade to Pro")).to_be_visible()
    is_open_to_all(page)
    assert [url for url in uploads if "/file/" in url] == []


@once
def test_too_many_tokens_are_named_at_once(page: Page) -> None:
    second = given("door.png", encoded(halves(300, 300), "PNG"), "image/png")

    pick(page, PHOTO, REPORT, second)

    notes = page.locator("#chips-notes")
    expect(notes).to_contain_text("about 5,600 tokens, and 5,000 is the limit")
    chip(page, "door.png").get_by_role("button", name="Remove door.png").click()
    expect(notes).to_be_empty()


@once
def test_full_storage_leads_to_the_files(browse: Browsing, page: Page) -> None:
    pick(page, given("first.wav", wav(40), "audio/wav"))
    expect(chip(page, "first.wav")).to_contain_text("Ready")
    with refused(browse, page, 429):
        pick(page, given("second.wav", wav(41), "audio/wav"))
    second = chip(page, "second.wav")
    expect(second).to_contain_text("Upload failed: your files take all the space of your plan")
    is_open_to_all(page)

    page.get_by_role("button", name="Your files").click()
    dialog = page.get_by_role("dialog", name="Your account")
    expect(dialog.get_by_role("heading", name="Files")).to_be_focused()
    expect(dialog.get_by_text("640 kB of 1 MB used")).to_be_visible()
    dialog.get_by_role("button", name="Delete first.wav").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(dialog.get_by_text("0 bytes of 1 MB used")).to_be_visible()
    page.keyboard.press("Escape")
    second.get_by_role("button", name="Retry second.wav").click()

    expect(second).to_contain_text("Ready")


def test_upload_fails_offline_and_is_tried_again(browse: Browsing, page: Page) -> None:
    slow = page.context.new_cdp_session(page)
    rates = {"offline": False, "latency": 0, "downloadThroughput": -1}
    slow.send("Network.emulateNetworkConditions", {**rates, "uploadThroughput": 50_000})
    pick(page, given("long.wav", wav(30), "audio/wav"))
    long = chip(page, "long.wav")
    expect(long).to_contain_text(re.compile(r"Uploading [1-9]\d? %"))

    slow.send("Network.emulateNetworkConditions", {**rates, "uploadThroughput": -1})
    page.context.set_offline(True)

    expect(long).to_contain_text("Upload failed")
    announced(page, "long.wav: Upload failed")
    expect(send_button(page)).to_have_accessible_name("Upload the failed file again, or remove it")
    is_open_to_all(page)
    page.context.set_offline(False)
    long.get_by_role("button", name="Retry long.wav").click()
    expect(long).to_contain_text("Ready")
    browse.complaints[:] = [line for line in browse.complaints if "net::ERR_" not in line]


def test_files_by_keyboard(page: Page) -> None:
    keys = Keys(page)
    with page.expect_file_chooser() as chosen:
        keys.use(page.get_by_role("button", name="Attach files"))
    chosen.value.set_files([NOTES, REPORT])
    expect(chip(page, "notes.txt")).to_contain_text("Ready")
    expect(chip(page, "report for 2026.pdf")).to_contain_text("Ready")

    remove = page.get_by_role("button", name="Remove notes.txt")
    keys.use(remove, by="Shift+Tab")
    keys.is_at(page.get_by_role("button", name="Remove report for 2026.pdf"))
    announced(page, "notes.txt is removed.")
    keys.press("Enter")
    keys.is_at(page.get_by_role("button", name="Attach files"))
    expect(page.locator("#chips")).to_be_hidden()


@once
def test_same_file_is_attached_once_and_survives_a_reload(page: Page, stack: Stack) -> None:
    pick(page, NOTES)
    expect(chip(page, "notes.txt")).to_contain_text("Ready")
    pick(page, given("copy.txt", TEXT, "text/plain"))
    announced(page, "notes.txt is attached already.")
    expect(page.locator("#chips li")).to_have_count(1)

    page.get_by_role("link", name="New chat").click()
    expect(page.locator("#chips li")).to_have_count(0)
    page.go_back()
    expect(chip(page, "notes.txt")).to_contain_text("Ready")
    page.reload()

    expect(chip(page, "notes.txt")).to_contain_text("Ready")


def test_account_lists_the_files(page: Page) -> None:
    pick(page, NOTES, REPORT, PHOTO)
    for name in ("notes.txt", "report for 2026.pdf", "revenue.png"):
        expect(chip(page, name)).to_contain_text("Ready")
    if page.viewport_size == PHONE:
        page.get_by_role("link", name="All chats").click()

    page.get_by_role("button", name="Account").click()

    files = page.locator("#files li")
    expect(files).to_have_count(3)
    expect(files.filter(has_text="report for 2026.pdf")).to_contain_text("PDF · ")
    expect(files.filter(has_text="report for 2026.pdf")).to_contain_text("3 pages")
    is_open_to_all(page)
    page.get_by_label("Kind").select_option("Pictures")
    expect(files).to_have_count(1)
    page.get_by_role("button", name="Delete revenue.png").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No files here.")).to_be_visible()
    announced(page, "revenue.png is deleted.")
    expect(page.get_by_role("heading", name="Files")).to_be_focused()


def test_files_are_sent_with_the_message(
    page: Page, alice: ApiUser, gemini_server: FakeGemini
) -> None:
    pick(page, REPORT, PHOTO)
    expect(chip(page, "report for 2026.pdf")).to_contain_text("Ready")
    expect(chip(page, "revenue.png").get_by_role("img")).to_be_visible()
    page.get_by_label("Message to Gemini").fill("Does the chart fit the report?")
    picture(page, "files-phone" if page.viewport_size == PHONE else "files")

    page.get_by_label("Message to Gemini").fill(f"Does the chart fit? {alice.mobile}")
    send_button(page).click()

    expect(page.locator("#chips li")).to_have_count(0)
    is_answered(page)
    files = page.locator(".message-files")
    expect(files.get_by_role("link", name="report for 2026.pdf")).to_contain_text("3 pages")
    expect(files.get_by_role("img", name="revenue.png")).to_have_js_property("naturalWidth", 512)
    is_open_to_all(page)
    parts = received(gemini_server, alice.mobile)
    assert len([part for part in parts if "inlineData" in part]) == 2
    with page.context.expect_page() as opened:
        files.get_by_role("link", name="revenue.png").click()
    expect(opened.value.locator("img")).to_have_js_property("naturalWidth", 640)


@once
def test_refused_send_keeps_the_files(
    browse: Browsing, page: Page, alice: ApiUser, set_modalities: Callable[[str], None]
) -> None:
    set_modalities("text")
    page.reload()
    pick(page, PHOTO)
    expect(chip(page, "revenue.png")).to_contain_text("Ready")
    expect(page.locator("#chips-notes")).to_contain_text(
        "Gemini 3.5 Flash-Lite does not read pictures. Choose another model, or remove the file."
    )

    with refused(browse, page, 422):
        send_button(page).click()
    expect(page.locator("#prompt-error")).to_contain_text("The model reads no pictures.")
    expect(chip(page, "revenue.png")).to_contain_text("Ready")
    set_modalities("text,image,pdf,audio")
    send_button(page).click()

    is_answered(page)
    expect(page.locator(".message-files").get_by_role("img")).to_be_visible()
    expect(page.locator(".message.user .content")).to_be_hidden()
    alice.session.delete(f"{alice.url}/file/{newest(alice)}", timeout=40)
    page.reload()
    expect(page.get_by_text("revenue.png was deleted")).to_be_visible()


def test_edit_keeps_or_removes_files(page: Page, alice: ApiUser, gemini_server: FakeGemini) -> None:
    pick(page, NOTES, PHOTO)
    expect(chip(page, "revenue.png")).to_contain_text("Ready")
    page.get_by_label("Message to Gemini").fill(f"First {alice.mobile}")
    send_button(page).click()
    is_answered(page)
    question = page.locator(".message.user")

    question.get_by_role("button", name="Edit").click()
    is_open_to_all(page)
    question.get_by_role("button", name="Remove revenue.png").click()
    expect(question.get_by_role("button", name="Remove notes.txt")).to_be_focused()
    question.get_by_label("Your message").fill(f"Second {alice.mobile}")
    question.get_by_role("button", name="Send").click()

    expect(question.locator(".which")).to_have_text("2/2")
    expect(question.locator(".message-files li")).to_have_count(1)
    expect(question.get_by_role("link", name="notes.txt")).to_be_visible()
    assert not [part for part in received(gemini_server, "Second") if "inlineData" in part]


@once
def test_address_that_has_ended_is_renewed(browse: Browsing, page: Page) -> None:
    pick(page, PHOTO)
    expect(chip(page, "revenue.png")).to_contain_text("Ready")
    send_button(page).click()
    is_answered(page)
    page.route("**/thumbnail?*", lambda route: route.fulfill(status=404), times=1)

    with refused(browse, page, 404):
        page.reload()
    shown = page.locator(".message-files").get_by_role("img", name="revenue.png")
    expect(shown).to_have_js_property("naturalWidth", 512)
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 16 * 60 * 1000; }")
    with page.expect_request(re.compile(r"/file/[^/?]+$")), page.context.expect_page() as opened:
        shown.click()

    expect(opened.value.locator("img")).to_have_js_property("naturalWidth", 640)
