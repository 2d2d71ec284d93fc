"""The texts of people: hidden from staff without a permission and a reason."""

import csv
import io

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult

from accounts.models import AuditEvent
from chatrooms.models import Chatroom
from messaging.models import Message
from tests.support.backoffice.staff_client import events, url
from tests.support.backoffice.staff_rows import make_row
from tests.support.messaging.rooms import exchange, make_room

SECRETS = ["My diary", "Be my confessor", "What I did", "What it said", "What I thought of it"]


@pytest.fixture
def room(alice) -> Chatroom:
    room = make_room(alice, title="My diary", system_prompt="Be my confessor")
    reply = exchange(room, "What I did", "What it said")
    Message.objects.filter(pk=reply.pk).update(rating=1, feedback_comment="What I thought of it")
    return room


@pytest.fixture
def reply(room) -> Message:
    return Message.objects.get(sender="gemini")


def read(browser, row, **form):
    return browser.post(url(type(row), "content", row.pk), {"reason": "complaint", **form})


def secrets_in(page) -> list[str]:
    text = page.content.decode()
    return [secret for secret in SECRETS if secret in text]


def test_no_page_of_the_back_office_shows_content(staff_client, room, reply):
    pages = [
        url(Chatroom),
        url(Chatroom, "change", room.pk),
        url(Chatroom, "content", room.pk),
        url(Message),
        url(Message, "change", reply.pk),
        url(Message, "change", reply.parent_id),
        url(Message, "content", reply.pk),
        f"{url(AuditEvent)}?q={room.pk}",
        "/admin/",
    ]

    assert {path: secrets_in(staff_client.get(path)) for path in pages} == {
        path: [] for path in pages
    }


@pytest.mark.parametrize("model", [Chatroom, Message])
def test_lists_as_files_hold_no_content(staff_client, room, model):
    text = b"".join(
        staff_client.post(url(model, "export"), {"reason": "asked to"}).streaming_content
    ).decode()

    assert str(room.pk) in text
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize("term", ["My diary", "What I did", "diary"])
@pytest.mark.parametrize("model", [Chatroom, Message])
def test_search_does_not_tell_whether_something_was_said(staff_client, room, model, term):
    assert list(staff_client.get(url(model), {"q": term}).context["cl"].result_list) == []


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        (Message, "content__contains"),
        (Message, "chatroom__title"),
        (Message, "feedback_comment__startswith"),
        (Chatroom, "title__contains"),
        (Chatroom, "system_prompt__gt"),
        (Chatroom, "messages__content__contains"),
    ],
)
def test_url_does_not_tell_whether_something_was_said(staff_client, room, model, lookup):
    assert staff_client.get(url(model), {lookup: "a"}).status_code == 400


@pytest.mark.parametrize("term", ["", "My diary"])
def test_autocomplete_tells_nothing_of_what_was_said(staff_client, room, term):
    source = {"app_label": "messaging", "model_name": "message", "field_name": "chatroom"}

    found = staff_client.get("/admin/autocomplete/", {**source, "term": term})

    assert found.status_code in (200, 403)
    assert secrets_in(found) == []


def test_room_is_read_for_a_reason_and_that_is_audited(staff_client, staff, room):
    page = read(staff_client, room)

    assert secrets_in(page) == SECRETS
    assert "no-store" in page["Cache-Control"]
    [event] = events("content_read")
    assert (event.user_id, event.target) == (room.user_id, str(room.pk))
    assert (event.actor, event.details["reason"]) == (str(staff.pk), "complaint")


def test_reply_is_read_with_its_prompt_and_nothing_else(staff_client, room, reply):
    exchange(room, "Later prompt", "Later reply")

    text = read(staff_client, reply).content.decode()

    assert "What I did" in text
    assert "What it said" in text
    assert "Later" not in text


@pytest.mark.parametrize("reason", ["", " ", "x" * 201])
def test_without_a_reason_nothing_is_read(staff_client, room, reason):
    page = read(staff_client, room, reason=reason)

    assert secrets_in(page) == []
    assert events("content_read") == []


def test_each_look_is_audited(staff_client, room, reply):
    read(staff_client, room)
    read(staff_client, room)
    read(staff_client, reply)

    assert [event.target for event in events("content_read")] == [
        str(room.pk),
        str(room.pk),
        str(reply.pk),
    ]


def test_long_room_is_read_a_page_at_a_time(staff_client, room, reply):
    now = timezone.now()
    Message.objects.bulk_create(
        Message(
            chatroom=room,
            user=room.user,
            parent=reply,
            sender="user",
            status="complete",
            content=f"number {number};",
            created_at=now,
        )
        for number in range(60)
    )

    first = read(staff_client, room)
    second = read(staff_client, room, before=first.context["more"])

    assert "number 59;" in first.content.decode()
    assert "number 9;" not in first.content.decode()
    assert "number 9;" in second.content.decode()
    assert len(events("content_read")) == 2


def test_room_that_is_being_erased_is_not_read(staff_client, room):
    Chatroom.objects.filter(pk=room.pk).mark_deleted(now=timezone.now())

    assert read(staff_client, room).status_code == 404
    assert events("content_read") == []


def test_content_is_inert_in_the_page(staff_client, alice):
    room = make_room(alice, title="<img src=x onerror=alert(1)>")
    exchange(room, "<script>alert(1)</script>", "</div><script>alert(2)</script>")

    text = read(staff_client, room).content.decode()

    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_content_is_no_formula_in_the_file(staff_client, alice):
    room = make_room(alice, title='=HYPERLINK("http://evil.example")')
    exchange(room, "@SUM(A1)", "<script>alert(1)</script>")

    answer = read(staff_client, room, file="1")

    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["title"] for row in rows} == {'\'=HYPERLINK("http://evil.example")'}
    assert [row["content"] for row in rows] == ["'@SUM(A1)", "<script>alert(1)</script>"]
    assert events("content_read")[0].details["as_file"] is True


def test_failed_task_shows_no_words_of_its_exception(staff_client):
    task = make_row(TaskResult, 0)

    pages = [
        staff_client.get(url(TaskResult)),
        staff_client.get(url(TaskResult, "change", task.pk)),
    ]

    assert all("secret diary" not in page.content.decode() for page in pages)
    assert "line 12, in generate_reply" in pages[1].content.decode()
    assert "ValueError" in pages[0].content.decode()
