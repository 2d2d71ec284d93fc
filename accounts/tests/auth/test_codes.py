"""One-time codes: which of them open an account, how often, and under races."""

import itertools
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import OneTimeCode, User
from tests.support.accounts.sign_in import (
    NUMBER,
    OTHER_NUMBER,
    code_for,
    let_pass,
    post,
    sign_in,
    statuses,
    verify,
    wrong,
)
from tests.support.marks import transactional
from tests.support.waiting import at_once

HOUR = timedelta(hours=1)


@transactional
def test_right_code_sent_many_times_at_once_signs_in_once():
    otp = code_for()

    answers = at_once(12, lambda: verify(otp))

    assert statuses(answers) == [200] + [400] * 11
    assert User.objects.count() == 1


@transactional
@pytest.mark.parametrize("ip, purses", [("127.0.0.1", (0, 5)), ("127.0.0.2", (5, 0))])
def test_wrong_codes_at_once_spend_the_five_tries_of_one_purse(ip, purses):
    otp = code_for()

    answers = at_once(12, lambda: verify(wrong(otp), ip=ip))

    assert statuses(answers) == [400] * 12
    code = OneTimeCode.objects.get()
    assert (code.attempts_left, code.strange_attempts_left) == purses
    assert verify(otp, ip=ip).status_code == 400
    assert verify(otp, ip="127.0.0.2" if ip == "127.0.0.1" else "127.0.0.1").status_code == 200


@transactional
def test_wrong_codes_from_many_networks_at_once_share_one_purse():
    otp = code_for()
    networks = itertools.count(2)

    at_once(12, lambda: verify(wrong(otp), ip=f"127.0.0.{next(networks)}"))

    code = OneTimeCode.objects.get()
    assert (code.attempts_left, code.strange_attempts_left) == (5, 0)
    assert verify(otp, ip="127.0.0.99").status_code == 400
    assert verify(otp).status_code == 200


@pytest.mark.django_db
def test_code_ends_when_both_purses_are_spent():
    otp = code_for()

    for ip in ["127.0.0.1", "127.0.0.2"] * 5:
        verify(wrong(otp), ip=ip)

    assert OneTimeCode.objects.get().ending == OneTimeCode.Ending.TRIES_SPENT
    assert verify(otp).status_code == 400


@transactional
def test_two_verifies_of_a_new_number_at_once_make_one_user():
    otp = code_for()

    at_once(2, lambda: verify(otp))

    assert [user.mobile for user in User.objects.all()] == [NUMBER]


@transactional
def test_codes_asked_for_at_once_are_sent_once():
    answers = at_once(10, lambda: post("auth/send-otp", {"mobile": NUMBER}))

    assert statuses(answers) == [200] + [429] * 9
    assert OneTimeCode.objects.count() == 1


@pytest.mark.django_db
def test_guesses_at_a_number_are_bounded_by_its_sends(settings):
    """Ten codes a day allow 100 guesses at 1 in 1,000,000 each.

    Two codes a day, each with ten tries.
    """
    settings.SMS_PER_NUMBER = 1
    for _ in range(2):
        otp = code_for()
        for ip in ["127.0.0.1", "127.0.0.2"] * 6:
            assert verify(wrong(otp), ip=ip).status_code == 400
        let_pass(HOUR)

    refused = post("auth/send-otp", {"mobile": NUMBER})

    assert refused.status_code == 429
    assert sum(code.tries_spent for code in OneTimeCode.objects.all()) == 20


@pytest.mark.django_db
def test_wrong_codes_of_a_stranger_leave_the_owner_all_codes():
    for _ in range(2):
        otp = code_for(ip="203.0.113.5")
        for _ in range(6):
            verify(wrong(otp), ip="198.51.100.7")
        let_pass(HOUR)

    otp = code_for(ip="203.0.113.5")
    for _ in range(6):
        verify(wrong(otp), ip="198.51.100.7")

    assert verify(otp, ip="203.0.113.5").status_code == 200


@pytest.mark.django_db
def test_wrong_code_spends_a_try_of_every_live_code():
    first = code_for()
    let_pass(timedelta(seconds=31))
    second = code_for()
    guess = next(str(n) for n in range(100_000, 999_999) if str(n) not in (first, second))

    verify(guess)

    assert [code.attempts_left for code in OneTimeCode.objects.all()] == [4, 4]


@pytest.mark.django_db
def test_tries_without_a_live_code_do_not_shut_the_number():
    for _ in range(12):
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
    for number in range(5):
        # From other networks, none of which is familiar to the number then.
        verify(code_for(), ip=f"198.51.100.{number}")
    assert post("auth/send-otp", {"mobile": NUMBER}).status_code == 429
    let_pass(HOUR)
    for number in range(5):
        verify(code_for(), ip=f"198.51.100.{number}")
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
@pytest.mark.parametrize("resent_from", ["127.0.0.1", "198.51.100.7"])
@pytest.mark.parametrize("used", [0, 1])
def test_resend_leaves_the_live_code_valid_and_use_of_one_ends_both(resent_from, used):
    codes = [code_for()]
    let_pass(timedelta(seconds=31))
    codes.append(code_for(ip=resent_from))

    answer = verify(codes[used])
    again = verify(codes[1 - used])

    assert (answer.status_code, again.status_code) == (200, 400)
    assert not OneTimeCode.objects.filter(ended_at=None).exists()


@pytest.mark.django_db
def test_strangers_requests_do_not_use_up_the_owners_codes(alice, settings):
    settings.SMS_PER_NUMBER = 2
    sign_in(alice.mobile, ip="203.0.113.5")
    # The first sign-in came from a network that was not familiar yet.
    for number in range(3):
        let_pass(HOUR)
        code_for(alice.mobile, ip=f"198.51.100.{number}")

    stranger = post("auth/send-otp", {"mobile": alice.mobile}, ip="198.51.100.99")
    owner = verify(code_for(alice.mobile, ip="203.0.113.5"), alice.mobile, ip="203.0.113.5")

    assert (stranger.status_code, owner.status_code) == (429, 200)


@pytest.mark.django_db
def test_strangers_request_gives_the_owner_no_gap_to_wait_for(alice):
    sign_in(alice.mobile, ip="2001:db8:1:2::7")
    code_for(alice.mobile, ip="198.51.100.7")

    same_network = post("auth/send-otp", {"mobile": alice.mobile}, ip="2001:db8:1:2::8")
    other_network = post("auth/send-otp", {"mobile": alice.mobile}, ip="2001:db8:1:3::7")

    assert (same_network.status_code, other_network.status_code) == (200, 429)


@pytest.mark.django_db
def test_network_is_familiar_for_ninety_days(alice):
    sign_in(alice.mobile, ip="203.0.113.5")
    let_pass(timedelta(days=90))
    code_for(alice.mobile, ip="198.51.100.7")

    refused = post("auth/send-otp", {"mobile": alice.mobile}, ip="203.0.113.5")

    assert refused.status_code == 429


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
def test_code_in_another_shape_is_refused_and_costs_no_try():
    otp = code_for()
    shapes = {
        "arabic": "".join(chr(0x0660 + int(digit)) for digit in otp),
        "newline": otp + "\n",
        "space": " " + otp,
        "int": int(otp),
        "list": [otp],
        "object": {"otp": otp},
        "short": otp[:5],
        "long": otp + "0",
        "null": None,
        "bool": True,
    }

    answers = {name: verify(shape) for name, shape in shapes.items()}

    fields = {name: answer.json()["errors"][0]["field"] for name, answer in answers.items()}
    assert statuses(answers.values()) == [422] * len(shapes)
    assert fields == dict.fromkeys(shapes, "otp")
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
@pytest.mark.parametrize(
    ("path", "body"),
    [
        *[(path, {}) for path in ("signup", "verify-otp", "login", "forgot-password")],
        *[("send-otp", body) for body in ({}, {"mobile": 12}, {"mobile": "12"}, {"mobile": None})],
        ("send-otp", []),
    ],
)
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
