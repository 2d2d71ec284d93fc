"""Bodies and queries that nobody means well: 400 or 422, and never 500."""

import json

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from chatrooms.models import Chatroom
from gemchat.api.pagination import sign_cursor
from messaging.models import Message
from tests.support.messaging.rooms import exchange, make_room, url_of

ROOMS = "/api/v1/chatroom/"
SURROGATE, NUL = "\\ud800", "\\u0000"
OVERRIDE = "\u202e"


@pytest.fixture
def room(alice: User) -> Chatroom:
    return make_room(alice)


@pytest.fixture
def reply(room: Chatroom) -> Message:
    return exchange(room)


def post(api: APIClient, body: bytes | str, path: str = ROOMS, method: str = "POST", **more):
    sent = body.encode() if isinstance(body, str) else body
    more.setdefault("content_type", "application/json")
    return api.generic(method, path, sent, **more)


def refused_field(answer) -> tuple[int, str]:
    """The status of an answer, and the first field that the answer refuses."""
    errors = answer.json().get("errors") or [{"field": None}]
    return answer.status_code, errors[0]["field"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"title": "\xed\xa0\x80"}',
        b'{"title": "a\xc3"}',
        b'\xef\xbb\xbf{"title": "BOM"}',
        '{"title": "16"}'.encode("utf-16"),
        b'{"title": NaN}',
        b'{"title": Infinity}',
        b'{"title": -Infinity}',
        b'{"title": ' + b"1" * 5_000 + b"}",
        b'{"title": "one", "title": "two"}',
        b'{"other": {"a": 1, "a": 2}, "title": "nested"}',
        b"[" * 100_000,
        b'{"a":' * 40_000,
        b'{"title": ' + b"[" * 33 + b"]" * 33 + b"}",
        b"[" * 900 + b"]" * 900,
        b'{"title": "tab\there"}',
        b"{'title': 'single'}",
    ],
    ids=lambda body: ascii(body[:24]),
)
def test_what_is_no_json_is_malformed(body, alice_api):
    answer = post(alice_api, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert not Chatroom.objects.exists()


def test_json_is_utf_8_in_spite_of_its_charset(alice_api):
    for charset in ("utf-16", "utf-7", "latin-1", "nonsense"):
        content_type = f"application/json; charset={charset}"

        answer = post(alice_api, '{"title": "é"}', content_type=content_type)

        assert (answer.status_code, answer.json()["title"]) == (201, "é"), charset


def test_body_that_is_no_object_is_refused(alice_api):
    answers = {
        value: post(alice_api, value)
        for value in ("[]", '[{"title": "a"}]', '"title"', "null", "1", "true")
    }
    answers["PATCH"] = post(alice_api, "[]", "/api/v1/user/me", "PATCH")

    assert {answer.json()["code"] for answer in answers.values()} == {"validation_error"}
    assert {key: refused_field(answer) for key, answer in answers.items()} == dict.fromkeys(
        answers, (422, "")
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"title": "a%s"}', "title"),
        ('{"system_prompt": "%s"}', "system_prompt"),
        ('{"%s": 1}', ""),
        ('{"temporary": "%s"}', "temporary"),
        ('{"other": {"deep": ["%s"]}}', "other.deep"),
        ('{"other": {"%s": 1}}', "other"),
        ('["%s"]', ""),
        ('"%s"', ""),
    ],
)
def test_text_that_cannot_be_stored_is_refused_in_each_field(body, field, alice_api):
    answer = post(alice_api, body % NUL)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": field,
            "message": "Null characters and single surrogates are not allowed.",
            "code": "invalid_characters",
        }
    ]


def test_single_surrogates_are_refused(alice_api):
    for text in (SURROGATE, "\\udfff\\ud800"):
        answer = post(alice_api, f'{{"title": "a{text}"}}')

        assert refused_field(answer) == (422, "title"), text


def test_pair_of_surrogates_is_one_character(alice_api):
    answer = post(alice_api, '{"title": "\\ud83d\\ude00 \\\\u0000"}')

    assert (answer.status_code, answer.json()["title"]) == (201, "😀 \\u0000")


def test_title_is_a_string_with_text(alice_api):
    for value in ("1", "1e400", "false", "true", "null", "[]", "{}", '["a"]', '""', '" "'):
        assert refused_field(post(alice_api, f'{{"title": {value}}}')) == (422, "title"), value

    assert post(alice_api, '{"title": "Rivers"}').status_code == 201


def test_flag_is_true_or_false(alice_api, room):
    def patch(field: str, value: str):
        return post(alice_api, f'{{"{field}": {value}}}', f"{ROOMS}{room.pk}", "PATCH")

    for value in ('"true"', "1", "0", '"yes"', "null", "[]", "{}", "1e400"):
        assert refused_field(patch("pinned", value)) == (422, "pinned"), value

    assert refused_field(patch("archived", "1")) == (422, "archived")


def test_rating_is_one_of_three_numbers(alice_api, reply):
    path = f"/api/v1/message/{reply.pk}/feedback"
    for value in ('"1"', "true", "2", "0.5", "null", "[]", "{}", "1e400", "1e99"):
        answer = post(alice_api, f'{{"rating": {value}}}', path, "PUT")

        assert refused_field(answer) == (422, "rating"), value


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("auth/send-otp", "mobile"),
        ("auth/verify-otp", "otp"),
        ("auth/login", "mobile"),
        ("auth/refresh", "refresh_token"),
    ],
)
@pytest.mark.django_db
def test_credential_of_another_type_is_refused(path, field):
    assert post(APIClient(), f'{{"{field}": {{}}}}', f"/api/v1/{path}").status_code == 422


@pytest.mark.django_db
def test_mobile_is_a_string():
    for value in ("1", "true", "null", "[]", "{}", '"x"', "1e400"):
        answer = post(APIClient(), f'{{"mobile": {value}}}', "/api/v1/auth/signup")

        assert refused_field(answer) == (422, "mobile"), value


def test_each_mark_that_turns_text_around_is_refused(alice_api):
    for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)):
        answer = post(alice_api, json.dumps({"title": f"invoice{chr(code)}fdp.exe"}))

        assert answer.json()["errors"][0]["code"] == "bidi_control", hex(code)


def test_marks_that_turn_text_around_are_refused_in_titles_and_names(alice_api, room):
    body = json.dumps({"title": f"invoice{OVERRIDE}fdp.exe", "name": f"A{OVERRIDE}"})

    answers = [
        post(alice_api, body, f"{ROOMS}{room.pk}", "PATCH"),
        post(alice_api, body, "/api/v1/user/me", "PATCH"),
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert {answer.json()["errors"][0]["code"] for answer in answers} == {"bidi_control"}


def test_marks_that_turn_text_around_are_allowed_in_a_prompt(alice_api, room):
    answer = post(alice_api, json.dumps({"prompt": f"What does {OVERRIDE} do?"}), url_of(room))

    assert answer.json()["data"]["message"]["content"] == f"What does {OVERRIDE} do?"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=-1", 422),
        ("limit=1.0", 422),
        ("limit=1e2", 422),
        ("limit=%D9%A1", 422),
        ("limit=%00", 422),
        ("limit=", 422),
        ("limit=%2B5", 422),
        ("limit=" + "9" * 5_000, 200),
        ("limit=" + "0" * 5_000 + "1", 200),
        ("limit=" + "0" * 5_000, 422),
        ("limit=1&limit=x", 422),
        ("archived=maybe", 422),
        ("archived=%00", 422),
        ("q=%00", 422),
        ("q=" + "x" * 201, 422),
        ("q=%FF", 400),
        ("q=%ED%A0%80", 400),
        ("%FF=1", 400),
        ("%C3=1", 400),
        ("other=%00", 200),
        ("cursor=", 400),
        ("cursor=%00", 400),
        ("cursor=x:y:z", 400),
        ("cursor=" + "x" * 5_000, 400),
        ("cursor=%F0%9F%98%80", 400),
    ],
    ids=lambda value: str(value)[:24],
)
def test_query_is_understood_or_refused(query, status, alice_api, room):
    answer = alice_api.get(f"{ROOMS}?{query}")

    assert answer.status_code == status
    assert status == 200 or answer["Content-Type"] == "application/problem+json"


def test_cursor_signed_for_something_else_is_malformed(alice_api):
    for position in ([], [True], ["x", "y", "z"], [True, "x", "y"], {}, 1, None):
        answer = alice_api.get(ROOMS, {"cursor": sign_cursor(position, salt="another list")})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), position


def test_forged_position_in_a_conversation_is_malformed(alice_api, room):
    for name in ("before", "after"):
        answer = alice_api.get(url_of(room), {name: "forged"})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), name


def test_days_out_of_range_are_refused(alice_api):
    for days in ("", "0", "-1", "367", "x", "1.5", "9" * 5_000, "%00", "%D9%A1"):
        answer = alice_api.get(f"/api/v1/user/me/usage?days={days}")

        assert refused_field(answer) == (422, "days"), days


def test_path_that_is_no_text_is_refused():
    for path in ("%FF", "a%00b", "%ED%A0%80", "%C3"):
        assert APIClient().get(f"/api/v1/{path}").status_code in (400, 404), path


def test_odd_request_id_is_replaced():
    odd = ("", "a b", "é", "a" * 65, "x" * 10_000, "a\r\nSet-Cookie: b=c", "<script>", "a\0b")
    for given in odd:
        answer = APIClient().get("/livez", headers={"X-Request-ID": given})

        assert answer["X-Request-ID"] != given
        assert len(answer["X-Request-ID"]) == 36, given


def test_plain_request_id_stays():
    for given in ("a", "A.b_c-9", "x" * 64):
        answer = APIClient().get("/livez", headers={"X-Request-ID": given})

        assert answer["X-Request-ID"] == given


def test_header_fields_of_any_bytes_do_no_harm(alice_api):
    odd = {"User-Agent": "\0\xff", "Accept-Language": "\xff", "X-Forwarded-For": "\xff, \0"}

    assert alice_api.get("/api/v1/user/me", headers=odd).status_code == 200


@pytest.mark.django_db
def test_odd_credentials_are_not_authenticated():
    tokens = ("", "x", "\xff", "a.b.c", "x" * 10_000, "\0", "e30.e30.e30")
    schemes = ("bearer x", "Basic x", " x", "\xff x", "bearer e30.e30.e30")
    for given in (*(f"Bearer {token}" for token in tokens), *schemes):
        answer = APIClient().get("/api/v1/user/me", headers={"Authorization": given})

        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer"), given[:40]
