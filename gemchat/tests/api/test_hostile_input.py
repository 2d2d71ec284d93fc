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


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "latin-1", "nonsense"])
def test_json_is_utf_8_whatever_charset_is_named(charset, alice_api):
    answer = post(alice_api, '{"title": "é"}', content_type=f"application/json; charset={charset}")

    assert (answer.status_code, answer.json()["title"]) == (201, "é")


@pytest.mark.parametrize("value", ["[]", '[{"title": "a"}]', '"title"', "null", "1", "true"])
@pytest.mark.parametrize("method, path", [("POST", ROOMS), ("PATCH", "/api/v1/user/me")])
def test_body_that_is_no_object_is_refused(method, path, value, alice_api):
    answer = post(alice_api, value, path, method)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["field"] == ""


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
@pytest.mark.parametrize("text", [NUL, SURROGATE, "\\udfff\\ud800"])
def test_text_that_cannot_be_kept_is_refused_wherever_it_stands(body, field, text, alice_api):
    answer = post(alice_api, body % text)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": field,
            "message": "Null characters and single surrogates are not allowed.",
            "code": "invalid_characters",
        }
    ]


def test_pair_of_surrogates_is_one_character(alice_api):
    answer = post(alice_api, '{"title": "\\ud83d\\ude00 \\\\u0000"}')

    assert (answer.status_code, answer.json()["title"]) == (201, "😀 \\u0000")


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [('"Rivers"', True), ("1", False), ("1e400", False), ("true", False), ("null", False)]
    + [("[]", False), ("{}", False), ('["a"]', False), ('""', False), ('" "', False)],
)
def test_title_is_a_string(value, is_valid, alice_api):
    answer = post(alice_api, f'{{"title": {value}}}')

    assert answer.status_code == (201 if is_valid else 422)


@pytest.mark.parametrize("value", ['"true"', "1", "0", '"yes"', "null", "[]", "{}", "1e400"])
@pytest.mark.parametrize("field", ["pinned", "archived"])
def test_flag_is_true_or_false(field, value, alice_api, room):
    answer = post(alice_api, f'{{"{field}": {value}}}', f"{ROOMS}{room.pk}", "PATCH")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("value", ['"1"', "true", "2", "0.5", "null", "[]", "{}", "1e400", "1e99"])
def test_rating_is_one_of_three_numbers(value, alice_api, reply):
    answer = post(
        alice_api, f'{{"rating": {value}}}', f"/api/v1/message/{reply.pk}/feedback", "PUT"
    )

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "rating")


@pytest.mark.parametrize("value", ["1", "true", "null", "[]", "{}", '"x"', "1e400"])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("auth/signup", "mobile"),
        ("auth/send-otp", "mobile"),
        ("auth/verify-otp", "otp"),
        ("auth/login", "mobile"),
        ("auth/refresh", "refresh_token"),
    ],
)
@pytest.mark.django_db
def test_credentials_of_another_type_are_refused(path, field, value):
    answer = post(APIClient(), f'{{"{field}": {value}}}', f"/api/v1/{path}")

    # A string is what a refresh token may be, and this one is not valid any more.
    is_text = field == "refresh_token" and value == '"x"'
    assert answer.status_code == (401 if is_text else 422)


@pytest.mark.parametrize(
    "mark", [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]
)
def test_marks_that_turn_text_around_are_refused_in_titles_and_names(mark, alice_api, room):
    body = json.dumps({"title": f"invoice{mark}fdp.exe", "name": f"A{mark}"})

    answers = [
        post(alice_api, body),
        post(alice_api, body, f"{ROOMS}{room.pk}", "PATCH"),
        post(alice_api, body, "/api/v1/user/me", "PATCH"),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert {answer.json()["errors"][0]["code"] for answer in answers} == {"bidi_control"}


def test_marks_that_turn_text_around_are_ones_own_business_in_a_prompt(alice_api, room):
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


@pytest.mark.parametrize("position", [[], [True], ["x", "y", "z"], [True, "x", "y"], {}, 1, None])
def test_cursor_that_this_program_signed_for_something_else_is_malformed(
    position, alice, alice_api
):
    cursor = sign_cursor(position, salt="another list")

    answer = alice_api.get(ROOMS, {"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("name", ["before", "after"])
def test_forged_position_in_a_conversation_is_malformed(name, alice_api, room):
    answer = alice_api.get(url_of(room), {name: "forged"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("days", ["", "0", "-1", "367", "x", "1.5", "9" * 5_000, "%00", "%D9%A1"])
def test_days_out_of_range_are_refused(days, alice_api):
    answer = alice_api.get(f"/api/v1/user/me/usage?days={days}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "days")


@pytest.mark.parametrize("path", ["%FF", "a%00b", "%ED%A0%80", "%C3"])
def test_path_that_is_no_text_is_refused(path):
    assert APIClient().get(f"/api/v1/{path}").status_code in (400, 404)


@pytest.mark.parametrize(
    "given", ["", "a b", "é", "a" * 65, "x" * 10_000, "a\r\nSet-Cookie: b=c", "<script>", "a\0b"]
)
def test_odd_request_id_is_replaced(given):
    answer = APIClient().get("/livez", headers={"X-Request-ID": given})

    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 36


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 64])
def test_request_id_is_kept(given):
    assert APIClient().get("/livez", headers={"X-Request-ID": given})["X-Request-ID"] == given


def test_header_fields_of_any_bytes_do_no_harm(alice_api):
    odd = {"User-Agent": "\0\xff", "Accept-Language": "\xff", "X-Forwarded-For": "\xff, \0"}

    assert alice_api.get("/api/v1/user/me", headers=odd).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["", "x", "\xff", "a.b.c", "x" * 10_000, "\0", "e30.e30.e30"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "", "\xff"])
def test_odd_credentials_are_not_authenticated(scheme, token):
    answer = APIClient().get("/api/v1/user/me", headers={"Authorization": f"{scheme} {token}"})

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
