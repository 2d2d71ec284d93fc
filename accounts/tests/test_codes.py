"""One-time codes: which of them open an account, how often, and to how many at once."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import OneTimeCode, User
from accounts.tests.phones import (
    NUMBER,
    OTHER_NUMBER,
    code_for,
    let_pass,
    post,
    statuses,
    verify,
    wrong,
)
from tests.marks import committed
from tests.waiting import at_once

HOUR = timedelta(hours=1)


@committed
def test_right_code_sent_fifty_times_at_once_signs_in_once():
    otp = code_for()

    answers = at_once(50, lambda: verify(otp))

    assert statuses(answers) == [200] + [400] * 49
    assert User.objects.count() == 1


@committed
def test_fifty_wrong_codes_at_once_are_judged_five_times_and_end_the_code():
    otp = code_for()

    answers = at_once(50, lambda: verify(wrong(otp)))

    assert statuses(answers) == [400] * 50
    code = OneTimeCode.objects.get()
    assert (code.attempts_left, code.ending) == (0, OneTimeCode.Ending.TRIES_SPENT)
    assert verify(otp).status_code == 400


@committed
def test_two_verifies_of_a_new_number_at_once_make_one_user():
    otp = code_for()

    at_once(2, lambda: verify(otp))

    assert [user.mobile for user in User.objects.all()] == [NUMBER]


@committed
def test_codes_asked_for_at_once_are_sent_once():
    answers = at_once(10, lambda: post("auth/send-otp", {"mobile": NUMBER}))

    assert statuses(answers) == [200] + [429] * 9
    assert OneTimeCode.objects.count() == 1


@pytest.mark.django_db
def test_number_that_failed_twenty_times_is_shut_for_a_day_whatever_is_resent():
    for _ in range(4):
        otp = code_for()
        for _ in range(5):
            assert verify(wrong(otp)).status_code == 400
        let_pass(HOUR)

    refused = verify(code_for())

    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert 19 * 3600 < int(refused["Retry-After"]) <= 20 * 3600
    let_pass(20 * HOUR)
    assert verify(code_for()).status_code == 200


@pytest.mark.django_db
def test_tries_without_a_live_code_do_not_shut_the_number():
    for _ in range(30):
        assert verify("000000").status_code == 400

    assert verify(code_for()).status_code == 200


@pytest.mark.django_db
def test_second_send_within_thirty_seconds_is_told_how_long_to_wait():
    code_for()

    again = post("auth/send-otp", {"mobile": NUMBER})

    assert again.status_code == 429
    assert 25 <= int(again["Retry-After"]) <= 30
    assert again.json()["code"] == "rate_limited"


@pytest.mark.django_db
def test_gap_between_sends_doubles():
    gaps = []
    for _ in range(4):
        sent = post("auth/send-otp", {"mobile": NUMBER})
        gaps.append(sent.json()["data"]["resend_after"])
        let_pass(timedelta(seconds=gaps[-1] - 5))
        assert post("auth/send-otp", {"mobile": NUMBER}).status_code == 429
        let_pass(timedelta(seconds=5))

    assert gaps == [30, 60, 120, 240]


@pytest.mark.django_db
def test_used_code_lifts_the_gap():
    verify(code_for())

    assert post("auth/forgot-password", {"mobile": NUMBER}).status_code == 200


@pytest.mark.django_db
def test_number_gets_five_codes_an_hour_and_ten_a_day():
    accepted = 0
    for _ in range(5):
        verify(code_for())
    assert post("auth/send-otp", {"mobile": NUMBER}).status_code == 429
    let_pass(HOUR)
    for _ in range(5):
        verify(code_for())
        accepted += 1
    let_pass(HOUR)

    eleventh = post("auth/send-otp", {"mobile": NUMBER})

    assert (accepted, eleventh.status_code) == (5, 429)
    assert int(eleventh["Retry-After"]) > 21 * 3600


@pytest.mark.django_db
def test_code_for_one_number_does_not_open_another():
    otp = code_for(NUMBER)
    other = code_for(OTHER_NUMBER)
    assert otp != other, "two codes met by chance, one time in a million"

    answer = verify(otp, OTHER_NUMBER)

    assert answer.status_code == 400
    assert answer.json()["code"] == "otp_invalid"
    assert not User.objects.exists()


@pytest.mark.django_db
def test_new_code_ends_the_one_before():
    first = code_for()
    let_pass(timedelta(seconds=31))
    second = code_for()

    assert verify(first).status_code == (200 if first == second else 400)
    assert verify(second).status_code == 200


@pytest.mark.django_db
def test_wrong_expired_and_unknown_codes_are_answered_alike():
    otp = code_for()
    wrong_answer = verify(wrong(otp))
    unknown_answer = verify(otp, OTHER_NUMBER)
    let_pass(timedelta(minutes=5))
    expired_answer = verify(otp)

    answers = [wrong_answer, unknown_answer, expired_answer]

    assert statuses(answers) == [400] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert {answer.json()["code"] for answer in answers} == {"otp_invalid"}


@pytest.mark.django_db
def test_code_with_leading_zeros_works():
    code = OneTimeCode.objects.issue(mobile=NUMBER, ip=None)
    salt = 0
    while not code.digits.startswith("00"):
        salt += 1
        code.salt = salt.to_bytes(16)
    code.save(update_fields=["salt"])

    assert len(code.digits) == 6
    assert verify(code.digits).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "shape",
    [
        lambda otp: "".join(chr(0x0660 + int(digit)) for digit in otp),
        lambda otp: otp + "\n",
        lambda otp: " " + otp,
        int,
        lambda otp: [otp],
        lambda otp: {"otp": otp},
        lambda otp: otp[:5],
        lambda otp: otp + "0",
        lambda otp: None,
        lambda otp: True,
    ],
    ids=["arabic", "newline", "space", "int", "list", "object", "short", "long", "null", "bool"],
)
def test_code_in_another_shape_is_refused_and_costs_no_try(shape):
    otp = code_for()

    answer = verify(shape(otp))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "otp"
    assert OneTimeCode.objects.get().attempts_left == 5


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["signup", "send-otp", "forgot-password"])
def test_known_and_unknown_numbers_are_answered_alike(path, alice):
    known = post(f"auth/{path}", {"mobile": alice.mobile})
    unknown = post(f"auth/{path}", {"mobile": NUMBER})

    assert known.status_code == unknown.status_code
    assert known.json() == unknown.json()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["signup", "send-otp", "forgot-password"])
def test_known_and_unknown_numbers_cost_the_same_queries(path, alice):
    post(f"auth/{path}", {"mobile": OTHER_NUMBER})

    with CaptureQueriesContext(connection) as for_known:
        post(f"auth/{path}", {"mobile": alice.mobile})
    with CaptureQueriesContext(connection) as for_unknown:
        post(f"auth/{path}", {"mobile": NUMBER})

    assert len(for_known) == len(for_unknown)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["signup", "send-otp", "verify-otp", "login", "forgot-password"])
@pytest.mark.parametrize("body", [{}, {"mobile": 12}, {"mobile": "12"}, {"mobile": None}, []])
def test_bad_body_is_told_the_field(path, body):
    answer = post(f"auth/{path}", body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.django_db
def test_code_is_echoed_only_when_asked_for(settings):
    assert "otp" not in post("auth/send-otp", {"mobile": NUMBER}).json()["data"]

    settings.OTP_ECHO = True
    echoed = post("auth/send-otp", {"mobile": OTHER_NUMBER}).json()["data"]["otp"]

    assert verify(echoed, OTHER_NUMBER).status_code == 200


@pytest.mark.django_db
def test_disabled_user_is_not_let_in_by_a_right_code(alice):
    alice.disable()

    answer = verify(code_for(alice.mobile), alice.mobile)

    assert answer.status_code == 403
    assert answer.json()["code"] == "account_disabled"
