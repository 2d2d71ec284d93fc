"""POST and GET /user/me/export: all data of a user, as one ZIP of JSON."""

import asyncio
import io
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Session, User
from accounts.models.audit import AccountAction
from billing.entitlement import grant_pro
from billing.models import Flag
from files.api import downloads
from files.storage import blobs
from gemchat.stores.redis import client
from messaging.conversation import actions
from messaging.models import Message
from privacy.export import all_sections, build_export
from privacy.models import EXPORT_LIFETIME, RECENT, DataExport
from tests.support.accounts.sign_in import NUMBER, api_with, sign_in
from tests.support.marks import transactional
from tests.support.messaging.asgi import ask
from tests.support.messaging.rooms import exchange, make_room
from tests.support.payments import pro
from tests.support.plugins.cast import api_for
from tests.support.privacy.exports import let_pass, make, stored, stored_zip, unzipped
from tests.support.privacy.traces import use
from tests.support.waiting import in_background, wait_until_blocked

pytestmark = pytest.mark.django_db
URL = "/api/v1/user/me/export"


@pytest.mark.parametrize("slash", ["", "/"])
@transactional
def test_export_is_asked_for_made_and_downloaded(slash: str, carol: User) -> None:
    reply = exchange(make_room(carol, title="Rivers"), "Why is the sea salt?", "Rivers bring it.")
    api = api_for(carol)

    asked = api.post(f"{URL}{slash}")
    waiting = api.get(f"{URL}{slash}").json()
    build_export(export_id=DataExport.objects.get().pk)
    ready = api.get(f"{URL}{slash}").json()
    link = urlsplit(ready["download_url"])
    status, headers, body = ask(f"{link.path}{slash}?{link.query}")

    assert (asked.status_code, asked.json()["status"]) == (202, "queued")
    assert waiting["status"] == "queued"
    assert "download_url" not in waiting
    assert (ready["status"], link.netloc) == ("ready", "testserver")
    assert (status, headers["content-type"]) == (200, "application/zip")
    assert headers["cache-control"] == "no-store"
    assert int(headers["content-length"]) == len(body) == ready["size"]
    files = unzipped(body)
    assert [row["content"] for row in files["messages"]] == [
        "Why is the sea salt?",
        "Rivers bring it.",
    ]
    assert files["messages"][1]["parent_id"] == str(reply.parent_id)
    assert files["about"]["rows"]["messages"] == 2
    [event] = AuditEvent.objects.filter(action="export_downloaded")
    assert (event.user_id, event.actor) == (carol.pk, "")


@transactional
def test_asking_for_an_export_tells_the_queue(carol: User) -> None:
    before = client().llen("default")

    api_for(carol).post(URL)
    api_for(carol).post(URL)

    assert client().llen("default") == before + 1
    assert AuditEvent.objects.filter(action="user_exported").count() == 1


def test_export_needs_a_token_and_is_the_users_own(alice_api: APIClient, bob: User) -> None:
    make(bob)

    assert APIClient().post(URL).status_code == 401
    assert APIClient().get(URL).status_code == 401
    assert alice_api.get(URL).status_code == 404
    assert alice_api.put(URL).status_code == 405


def age_sign_in(user: User) -> None:
    made_at = timezone.now() - timedelta(minutes=10)
    Session.objects.filter(user=user).update(authenticated_at=made_at)


def test_stolen_token_carries_nothing_off(alice: User, alice_api: APIClient) -> None:
    age_sign_in(alice)

    asked = alice_api.post(URL)
    make(alice)
    linked = alice_api.get(URL)

    for answer in (asked, linked):
        assert (answer.status_code, answer.json()["code"]) == (403, "recent_sign_in_required")
    assert not AuditEvent.objects.filter(action="user_exported").exists()


def test_state_of_an_export_needs_no_recent_sign_in(alice: User, alice_api: APIClient) -> None:
    alice_api.post(URL)
    age_sign_in(alice)

    assert alice_api.get(URL).json()["status"] == "queued"


def test_asking_again_gives_the_export_that_was_made_lately(
    alice: User, alice_api: APIClient
) -> None:
    first = make(alice)

    again = alice_api.post(URL).json()
    let_pass(RECENT)
    later = alice_api.post(URL).json()

    assert (again["status"], later["status"]) == ("ready", "queued")
    assert DataExport.objects.get().pk != first.pk


@transactional
def test_two_that_ask_at_once_get_one_export(carol: User) -> None:
    with transaction.atomic():
        export, _ = DataExport.objects.get_or_start(carol)
        other = in_background(lambda: DataExport.objects.get_or_start(carol))
        wait_until_blocked(1)

    assert other.result(20) == (export, False)


def test_every_table_that_names_a_user_is_in_the_export(
    alice: User,
    alice_api: APIClient,
    stripe: Any,
) -> None:
    """A new table is exported, or named here with the reason."""
    left_out = {
        "LogEntry": "what staff did, to others mostly",
        "Erasure": "its user cannot come in any more",
        "APIKey": "the operator's",
        "UpcomingInvoice": "dj-stripe never stores one",
        "User_groups": "the rights of staff",
        "User_user_permissions": "the rights of staff",
    }
    pro(alice_api, stripe)
    alice.refresh_from_db()

    exported = {section.rows.model.__name__ for section in all_sections(alice)}

    related = {
        model.__name__
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if field.related_model is User or field.name in ("user_id", "mobile", "customer")
    }
    assert related - exported - left_out.keys() == set()


def test_export_has_what_every_app_keeps(
    alice: User,
    alice_api: APIClient,
    staff: User,
    stripe: Any,
) -> None:
    subscription = pro(alice_api, stripe)
    alice.refresh_from_db()
    archived = make_room(alice)
    archived.update_fields(archived=True, title="Old")
    reply = exchange(archived, "Hello", "Indeed.")
    actions.rate(reply=Message.objects.get(pk=reply.pk), rating=1, comment="Well said")
    use(alice, reply_id=reply.pk)
    until = timezone.now() + timedelta(days=1)
    grant_pro(user=alice, until=until, reason="goodwill", by=staff)
    Flag.objects.raise_once(kind="refund", stripe_id="ch_1", user=alice, note="100 inr")

    files = stored(make(alice))

    assert files["account"][0]["mobile"] == alice.mobile
    assert len(files["sessions"]) == 1
    assert [room["title"] for room in files["chatrooms"]] == ["Old"]
    assert files["messages"][1]["feedback_comment"] == "Well said"
    assert files["usage"][0]["cost_micro_usd"] == 5
    assert files["usage"][0]["search_queries"] == 3
    assert files["daily_quotas"][0]["used"] == 1
    assert files["grants"][0]["reason"] == "goodwill"
    assert files["flags"][0]["note"] == "100 inr"
    assert [row["id"] for row in files["stripe_subscription"]] == [subscription["id"]]
    assert files["stripe_customer"][0]["id"] == alice.stripe_customer_id
    assert files["stripe_event"]
    assert files["exports"][0]["status"] == "building"
    assert files["about"]["rows"] == {
        name: len(rows) for name, rows in files.items() if name != "about"
    }


def test_export_has_no_secret_and_nothing_of_anybody_else(bob: User, staff: User) -> None:
    tokens = sign_in(NUMBER)
    user = User.objects.get(mobile=NUMBER)
    user.change_password("a long enough one", keep=Session.objects.get())
    exchange(make_room(user))
    exchange(make_room(bob, title="Bob's"), "What Bob says", "What Bob hears")
    grant_pro(user=user, until=timezone.now() + timedelta(days=1), reason="goodwill", by=staff)
    AuditEvent.objects.record(AccountAction.USER_ENABLED, user_id=user.pk, actor=str(staff.pk))
    api_with(tokens["access_token"]).get("/api/v1/user/me")

    text = json.dumps(stored(make(user)))

    user.refresh_from_db()
    session = Session.objects.get(user=user)
    for secret in (
        user.password,
        bytes(session.refresh_digest).hex(),
        tokens["refresh_token"],
        str(bob.pk),
        str(staff.pk),
        "Bob",
    ):
        assert secret not in text


def test_temporary_and_deleted_rooms_are_not_in_the_export(carol: User) -> None:
    exchange(make_room(carol, title="Kept"), "kept")
    exchange(make_room(carol, title="Secret", temporary=True), "whispered")
    deleted = make_room(carol, title="Gone")
    exchange(deleted, "regretted")
    actions.delete(room=deleted)

    files = stored(make(carol))

    assert [room["title"] for room in files["chatrooms"]] == ["Kept"]
    assert "whispered" not in json.dumps(files["messages"])
    assert "regretted" not in json.dumps(files["messages"])
    assert "Temporary" in files["about"]["left_out"]


def test_expired_export_is_gone(alice: User, alice_api: APIClient) -> None:
    make(alice)
    let_pass(EXPORT_LIFETIME)

    assert alice_api.get(URL).status_code == 404


@transactional
def test_link_is_good_for_a_live_session_and_a_few_minutes(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_for(carol)
    make(carol)
    link = urlsplit(api.get(URL).json()["download_url"])
    path = f"{link.path}?{link.query}"

    statuses = [ask(path)[0], ask(f"{path}x")[0], ask(link.path)[0], ask(path, method="POST")[0]]
    monkeypatch.setattr("privacy.api.views.LINK_SECONDS", -1)
    statuses.append(ask(path)[0])
    monkeypatch.undo()
    api.post("/api/v1/auth/logout")
    status, headers, body = ask(path)

    assert statuses == [200, 403, 403, 405, 403]
    assert (status, json.loads(body)["code"]) == (403, "link_invalid")
    assert headers["content-type"] == "application/problem+json"


@transactional
def test_download_reads_a_piece_when_the_piece_before_is_taken(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PIECE_BYTES", 500)
    exchange(make_room(carol))
    export = make(carol)
    whole = stored_zip(export)
    link = urlsplit(api_for(carol).get(URL).json()["download_url"])
    sent: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        if body := message.get("body"):
            sent.append(body)
            await asyncio.to_thread(blobs.delete, export.key)

    with pytest.raises(downloads.BlobGone):
        ask(f"{link.path}?{link.query}", send=send)

    assert sent[0] == whole[:500]
    assert len(sent) <= 2 < len(whole) / 500


def test_command_writes_the_same_into_a_file(carol: User, tmp_path: Any) -> None:
    exchange(make_room(carol))
    file, out = tmp_path / "carol.zip", io.StringIO()
    command = ("user_export", "--mobile", carol.mobile, "--output", str(file), "--json")

    call_command(*command, stdout=out)

    report = json.loads(out.getvalue())
    files = unzipped(file.read_bytes())
    assert report["file"] == str(file)
    assert report["rows"]["messages"] == len(files["messages"]) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert [event["action"] for event in files["events_by_others"]] == ["user_exported"]
    with pytest.raises(CommandError, match="there is a file"):
        call_command(*command)
    assert list(tmp_path.iterdir()) == [file]
