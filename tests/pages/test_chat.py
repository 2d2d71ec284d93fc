"""The page of chats: streams, their breaks and resumption, versions and ratings."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from dev.servers.stack import Stack
from tests.support.browser.chromium import DESKTOP, PHONE, Browsing, once
from tests.support.browser.pages import (
    chats,
    is_answered,
    is_open_to_all,
    picture,
    refused,
    replies,
    send,
    to_list,
)
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser
from tests.support.stack.start import EVERY_PART

# One stack serves them all.
pytestmark = [pytest.mark.xdist_group("pages-chat"), pytest.mark.usefixtures("size")]

MARKDOWN = """## Two ways to say it

A **monolith** is one kitchen: one team, one menu, *one* [fire](https://example.com/fire "Fire").

1. Order at the counter
2. Eat at the table

```python
def serve(order: str) -> str:
    return f"{order}, hot and from one kitchen only, whoever it was that asked for it today"
```

| kitchen | doors |
| --- | --- |
| monolith | one |
| services | many |
"""
SLOW = Answer(chunks=["It ", "begins ", "slowly, "], chunk_delay=0.1, ending="hang")


SENTENCES = {"MAX_TOKENS": "cut off", "CONTINUATION": "cut off", "OTHER": "early"}
SENTENCES |= {"MODEL_ARMOR": "safety filters ended the answer"}


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_server: FakeGemini) -> Iterator[Stack]:
    with make_stack(
        parts=EVERY_PART,
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
        BASIC_DAILY_LIMIT="20",
        BASIC_SENDS_PER_MINUTE="1000",
        BASIC_WAITING_REPLIES="1000",
        BASIC_CHATROOMS_PER_MINUTE="1000",
        # A reply whose worker was lost is made again at once.
        REPLY_LEASE_SECONDS="1",
        REPLY_SWEEP_SECONDS="0.5",
    ) as stack:
        yield stack


def pieces(text: str, size: int = 9) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def open_room(browse: Browsing, stack: Stack, **options: object) -> tuple[Page, ApiUser, str]:
    """A room that has a title, on the page of its owner."""
    person = ApiUser(stack.url).sign_in()
    room = person.open_room("Kitchens")
    page, _ = chats(browse, stack, f"/chat/{room}", person, **options)
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    return page, person, room


def both_sizes(browse: Browsing, stack: Stack, prompt: str) -> list[Page]:
    """Send the same prompt at each screen size, and wait until the answers have begun."""
    pages = []
    for size in (DESKTOP, PHONE):
        page, person, _ = open_room(browse, stack, size=size)
        send(page, person.mobile + prompt)
        pages.append(page)
    for page in pages:
        expect(replies(page).locator(".content")).not_to_be_empty()
    return pages


def test_answer_is_shown_as_it_is_written(
    browse: Browsing, stack: Stack, gemini_server: FakeGemini
) -> None:
    page, person, _ = open_room(browse, stack)
    log = page.get_by_role("log")
    gate = f"shown-{person.mobile}"
    chunks = pieces(MARKDOWN)
    gemini_server.script(Answer(chunks=chunks, gate=gate))
    gemini_server.allow(gate, len(chunks) - 2)

    send(page, "What is a monolith? I know kitchens better than computers.")

    expect(page.get_by_text("Thinking…").or_(replies(page).locator("h4"))).to_be_visible()
    expect(replies(page).locator("pre")).to_contain_text("def serve")
    expect(log).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    picture(page, "chat-phone" if page.viewport_size == PHONE else "chat-streaming")
    gemini_server.open(gate)
    answer = is_answered(page)
    expect(answer.get_by_role("table")).to_be_visible()
    expect(answer.get_by_role("link", name="fire")).to_have_attribute("rel", re.compile("noopener"))
    expect(page.locator("#announcement")).to_contain_text("Two ways to say it")
    expect(page.get_by_label("Message to Gemini")).to_be_focused()
    is_open_to_all(page)


@once
def test_html_of_a_message_never_runs(browse: Browsing, stack: Stack) -> None:
    page, _, _ = open_room(browse, stack)
    asked_elsewhere = []
    page.on(
        "request",
        lambda request: (
            asked_elsewhere.append(request.url) if not request.url.startswith(stack.url) else None
        ),
    )
    attack = (
        "<script>hacked = 1</script>\n\n<img src=x onerror='hacked = 1'> text "
        "<a href='javascript:hacked=1' style='color: red'>one</a> [two](javascript:hacked=1) "
        "[three](data:text/html,x) ![picture](https://elsewhere.example/x.png) [four](/new)\n\n"
        "<iframe srcdoc='<script>parent.hacked = 1</script>'></iframe>\n\n"
        "<style>body { display: none }</style>\n\n- [x] done\n\n> <svg onload='hacked = 1'>"
    )

    send(page, attack + directive(Answer(chunks=pieces(attack))))

    answer = is_answered(page)
    expect(answer).to_contain_text("<script>hacked = 1</script>")
    inside = page.locator("#messages .content")
    assert inside.locator("script, img, iframe, style, svg, form, input, [style]").count() == 0
    assert inside.locator("[onerror], [onload], [href^='javascript'], [href^='data']").count() == 0
    links = [link.get_attribute("href") for link in answer.locator("a").all()]
    assert [href for href in links if href] == ["https://elsewhere.example/x.png"]
    assert page.evaluate("window.hacked") is None
    assert asked_elsewhere == []


@once
def test_code_is_copied(browse: Browsing, stack: Stack) -> None:
    page, _, _ = open_room(browse, stack)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    send(page, directive(Answer(chunks=[MARKDOWN])))
    answer = is_answered(page)

    answer.get_by_role("button", name="Copy code").click()
    expect(page.locator("#announcement")).to_have_text("Copied.")
    code = page.evaluate("navigator.clipboard.readText()")
    answer.get_by_role("button", name="Copy", exact=True).click()

    assert code.startswith("def serve(order: str)")
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('##')")


def test_answer_is_stopped(browse: Browsing, stack: Stack) -> None:
    page, _, _ = open_room(browse, stack)
    send(page, directive(SLOW))
    expect(replies(page)).to_contain_text("It begins slowly,")

    page.get_by_role("button", name="Stop the answer").click()

    expect(is_answered(page)).to_contain_text("Stopped.")
    expect(replies(page)).to_contain_text("It begins slowly,")
    expect(page.get_by_label("Message to Gemini")).to_be_focused()
    is_open_to_all(page)


@once
def test_reload_in_mid_reply_goes_on_where_it_was(
    browse: Browsing, stack: Stack, gemini_server: FakeGemini
) -> None:
    text = "All that is written is kept. " * 5
    answer = Answer(chunks=pieces(text), gate="reload")
    pages = both_sizes(browse, stack, directive(answer))
    gemini_server.allow("reload", 3)

    for page in pages:
        page.reload(wait_until="commit")

    for page in pages:
        expect(replies(page)).to_contain_text("All that is written")
        expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    gemini_server.open("reload")
    for page in pages:
        expect(is_answered(page).locator(".content")).to_have_text(text.strip())


@once
def test_stream_goes_on_after_the_server_broke_off(
    browse: Browsing, stack: Stack, gemini_server: FakeGemini
) -> None:
    text = "Nothing of it is lost or doubled. " * 8
    answer = Answer(chunks=pieces(text), gate="break")
    pages = both_sizes(browse, stack, directive(answer))

    stack.restart("web")
    gemini_server.open("break")

    for page in pages:
        expect(is_answered(page).locator(".content")).to_have_text(text.strip())
    forget_network_errors(browse)


@once
def test_reply_whose_worker_was_lost_is_shown_anew(browse: Browsing, stack: Stack) -> None:
    answers = directive(SLOW, Answer(chunks=["Once more, ", "with feeling."]))
    pages = both_sizes(browse, stack, answers)

    stack.restart("worker")

    for page in pages:
        expect(is_answered(page).locator(".content")).to_have_text("Once more, with feeling.")


def test_going_offline_and_back_loses_nothing(
    browse: Browsing, stack: Stack, gemini_server: FakeGemini
) -> None:
    page, person, _ = open_room(browse, stack)
    text = "Under the sea and up again. " * 8
    gate = f"offline-{person.mobile}"
    send(page, directive(Answer(chunks=pieces(text), gate=gate)))
    gemini_server.allow(gate, 3)
    expect(replies(page)).to_contain_text("Under the sea")

    page.context.set_offline(True)
    expect(page.get_by_text("You are offline. What you write")).to_be_visible()
    is_open_to_all(page)
    send(page, "Are you still there?")
    expect(page.locator("#prompt-error")).to_contain_text("You are offline")
    expect(page.get_by_label("Message to Gemini")).to_have_value("Are you still there?")
    page.context.set_offline(False)
    gemini_server.open(gate)

    expect(is_answered(page).locator(".content")).to_have_text(text.strip())
    page.get_by_role("button", name="Send", exact=True).click()
    expect(is_answered(page, 2)).to_contain_text("Are you still there?")
    forget_network_errors(browse)


@once
def test_early_end_has_a_sentence(browse: Browsing, stack: Stack) -> None:
    page, _, _ = open_room(browse, stack)

    for number, (reason, sentence) in enumerate(SENTENCES.items(), start=1):
        send(page, directive(Answer(chunks=["Once"], finish_reason=reason)))
        expect(is_answered(page, number).locator(".state")).to_contain_text(sentence)


def test_failed_answer_says_why_and_is_asked_again(browse: Browsing, stack: Stack) -> None:
    page, person, _ = open_room(browse, stack)
    half = Answer(chunks=["Half of"], ending="drop")
    send(page, person.mobile + directive(half, Answer(chunks=["All of it."])))
    answer = is_answered(page)
    expect(answer).to_contain_text("Half of")
    expect(answer.locator(".state.error")).to_contain_text("You can ask again.")
    is_open_to_all(page)

    answer.get_by_role("button", name="Answer again").click()

    expect(is_answered(page).locator(".content")).to_have_text("All of it.")


def test_versions_are_made_and_switched(browse: Browsing, stack: Stack) -> None:
    page, person, _ = open_room(browse, stack)
    # The fake counts by prompt, so that of the other size is to be another.
    answers = directive(Answer(chunks=["First."]), Answer(chunks=["Second."]))
    send(page, f"{person.mobile} {answers}")
    expect(is_answered(page)).to_contain_text("First.")

    replies(page).get_by_role("button", name="Answer again").click()
    expect(is_answered(page).locator(".content")).to_have_text("Second.")
    expect(replies(page).locator(".which")).to_have_text("2/2")
    replies(page).get_by_role("button", name="Previous version").click()
    expect(replies(page).locator(".content")).to_have_text("First.")
    expect(replies(page).get_by_role("button", name="Next version")).to_be_focused()
    page.keyboard.press("Enter")
    expect(replies(page).locator(".content")).to_have_text("Second.")
    expect(replies(page).get_by_role("button", name="Previous version")).to_be_focused()
    is_open_to_all(page)

    prompt = page.locator(".message.user")
    prompt.get_by_role("button", name="Edit").click()
    field = page.get_by_label("Your message")
    expect(field).to_be_focused()
    is_open_to_all(page)
    page.keyboard.press("Escape")
    expect(prompt.get_by_role("button", name="Edit")).to_be_focused()
    prompt.get_by_role("button", name="Edit").click()
    with refused(browse, page, 422):
        field.fill(" ")
        prompt.get_by_role("button", name="Send").click()
    expect(page.locator("#edit-text-error")).to_contain_text("Write a prompt")
    field.fill("Another wording " + directive(Answer(chunks=["Third."])))
    prompt.get_by_role("button", name="Send").click()
    expect(is_answered(page).locator(".content")).to_have_text("Third.")
    expect(prompt.locator(".which")).to_have_text("2/2")
    prompt.get_by_role("button", name="Previous version").click()
    expect(replies(page).locator(".content")).to_have_text("Second.")
    page.reload()
    expect(replies(page).locator(".content")).to_have_text("Second.")


def test_answer_is_rated(browse: Browsing, stack: Stack) -> None:
    page, person, room = open_room(browse, stack)
    send(page, "Was this good?")
    answer = is_answered(page)
    good, bad = (answer.get_by_role("button", name=name) for name in ("Good answer", "Bad answer"))

    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    bad.click()
    expect(page.get_by_role("dialog", name="What was wrong with it?")).to_be_visible()
    is_open_to_all(page)
    page.get_by_label("Your comment").fill("It says nothing.")
    with page.expect_response("**/feedback"):
        page.get_by_role("button", name="Send comment").click()

    expect(bad).to_be_focused()
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    assert person.get(f"chatroom/{room}")["messages"][1]["feedback"] == {
        "rating": -1,
        "comment": "It says nothing.",
    }
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")


def test_quota_that_is_used_up_is_told_with_the_way_out(browse: Browsing, stack: Stack) -> None:
    page, person, room = open_room(browse, stack)
    for _ in range(20):
        person.send(room, "Again")
    page.goto(f"{stack.url}/chat")
    expect(page.get_by_text("0 of 20 answers left today")).to_be_visible()
    page.get_by_role("link", name="New chat").click()

    with refused(browse, page, 429):
        send(page, "One more?")

    error = page.locator("#prompt-error")
    expect(error).to_contain_text("You have used today's 20 answers. The next ones are there at")
    expect(error.get_by_role("button", name="Upgrade to Pro")).to_be_visible()
    expect(page.get_by_label("Message to Gemini")).to_have_value("One more?")
    expect(page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    is_open_to_all(page)
    assert [room["title"] for room in person.get("chatroom/")] == ["Kitchens"]
    with refused(browse, page, 503):
        error.get_by_role("button", name="Upgrade to Pro").click()
    expect(error.get_by_text("payments are not set up here")).to_be_visible()


def test_text_that_was_not_sent_is_there_after_a_reload(browse: Browsing, stack: Stack) -> None:
    page, _, _ = open_room(browse, stack)
    prompt = page.get_by_label("Message to Gemini")
    prompt.fill("Half a thou")
    to_list(page)
    page.get_by_role("link", name="New chat").click()
    expect(prompt).to_have_value("")

    page.go_back()
    if page.viewport_size == PHONE:
        page.go_back()
    expect(prompt).to_have_value("Half a thou")
    page.reload()

    expect(prompt).to_have_value("Half a thou")


@once
def test_nothing_is_sent_elsewhere_while_a_room_is_loading(browse: Browsing, stack: Stack) -> None:
    page, person, room = open_room(browse, stack)
    held: list[Route] = []
    page.route(f"**/api/v1/chatroom/{room}", lambda route: held.append(route), times=1)
    page.reload()

    send(page, "Am I early?")
    expect(page.locator("#prompt-error")).to_have_text("The conversation is still loading.")
    held[0].continue_()
    expect(page.get_by_role("heading", name="Kitchens")).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).click()

    expect(is_answered(page)).to_contain_text("Am I early?")
    assert [each["id"] for each in person.get("chatroom/")] == [room]


def forget_network_errors(browse: Browsing) -> None:
    """What a browser writes about a connection that broke is no fault of the page."""
    browse.complaints[:] = [line for line in browse.complaints if "net::ERR_" not in line]
