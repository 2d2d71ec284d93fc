"""The proof of work before a code: when the server asks, and which answers pass."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.auth.challenges import new_challenge
from accounts.models import LimitHit, OneTimeCode
from tests.support.accounts.proof_of_work import encode, solve
from tests.support.accounts.sign_in import NUMBER, OTHER_NUMBER, let_pass, post, verify

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def always(settings):
    settings.SMS_CHALLENGE = "always"
    settings.SMS_CHALLENGE_WORK = 200


def ask(mobile=NUMBER, solution=None, **options):
    body = {"mobile": mobile, **({"challenge_solution": solution} if solution else {})}
    return post("auth/send-otp", body, **options)


@pytest.mark.parametrize("path", ["send-otp", "forgot-password"])
def test_code_is_sent_for_a_solution(path):
    refused = post(f"auth/{path}", {"mobile": NUMBER})
    assert (refused.status_code, refused.json()["code"]) == (403, "challenge_required")
    assert not OneTimeCode.objects.exists()

    solution = encode(solve(refused.json()["challenge"]))
    sent = post(f"auth/{path}", {"mobile": NUMBER, "challenge_solution": solution})

    assert sent.status_code == 200
    assert verify(OneTimeCode.objects.get().digits).status_code == 200


def test_known_and_unknown_numbers_are_asked_alike(alice):
    answers = [ask(alice.mobile), ask(NUMBER)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json()["challenge"].keys() == answers[1].json()["challenge"].keys()


def test_solution_is_good_once():
    solution = encode(solve(ask().json()["challenge"]))
    assert ask(solution=solution).status_code == 200
    let_pass(timedelta(seconds=31))

    assert ask(solution=solution).json()["code"] == "challenge_required"


def test_solution_that_a_limit_refused_stays_good(settings):
    solution = encode(solve(ask().json()["challenge"]))
    settings.SMS_DAILY_BUDGET = 0
    assert ask(solution=solution).json()["code"] == "sms_budget_spent"
    settings.SMS_DAILY_BUDGET = 10

    assert ask(solution=solution).status_code == 200


def test_solution_of_one_number_is_not_good_for_another():
    solution = encode(solve(ask(NUMBER).json()["challenge"]))

    assert ask(OTHER_NUMBER, solution).status_code == 403


def test_solution_is_good_for_five_minutes():
    made = timezone.now() - timedelta(minutes=5)

    assert ask(solution=encode(solve(new_challenge(NUMBER, made)))).status_code == 403


def longer(solved):
    """Move the expiry of a solution without another proof."""
    return {**solved, "salt": solved["salt"].replace("expires=", "expires=9")}


def shifted(solved):
    """Move digits of the number to the end of the salt, with the same digest."""
    number = str(solved["number"] + 10)
    return {**solved, "salt": solved["salt"] + number[0], "number": int(number[1:])}


def test_forged_solutions_are_refused():
    solved = solve(ask().json()["challenge"])
    forged = [
        longer(solved),
        shifted(solved),
        {**solved, "number": solved["number"] + 1},
        {**solved, "number": str(solved["number"])},
        {**solved, "number": -1},
        {**solved, "number": 10**4000},
        {**solved, "signature": "0" * 64},
        {**solved, "signature": "é"},
        {**solved, "salt": None},
        {"number": 1},
        [],
    ]

    accepted = [each for each in forged if ask(solution=encode(each)).status_code == 200]

    assert accepted == []
    assert ask(solution=encode(solved)).status_code == 200


def test_text_that_is_no_solution_is_refused():
    texts = ["x", "e30=", "W10=", "////", "é", "0" * 1_000]

    codes = {text: ask(solution=text).json()["code"] for text in texts}

    assert codes == dict.fromkeys(texts, "challenge_required")


def test_challenge_is_asked_for_when_half_of_a_networks_limit_is_used(settings):
    settings.SMS_CHALLENGE = "auto"
    settings.SMS_UNANSWERED_PER_ADDRESS = 4
    answers = [ask(f"+9198123{number:05d}").status_code for number in range(4)]

    assert answers == [200] * 3 + [403]
    assert ask(OTHER_NUMBER, ip="198.51.100.7").status_code == 200


def test_challenge_is_asked_for_when_half_of_the_open_budget_is_used(settings):
    settings.SMS_CHALLENGE = "auto"
    settings.SMS_COUNTRY_HOURLY_BUDGET = 5  # 4 for numbers without an account
    answers = [
        ask(f"+9198123{number:05d}", ip=f"198.51.100.{number}").status_code for number in range(4)
    ]

    assert answers == [200] * 3 + [403]


def test_no_challenge_is_asked_for_where_it_is_off(settings):
    settings.SMS_CHALLENGE = "off"
    settings.SMS_UNANSWERED_PER_ADDRESS = 2

    assert [ask(f"+9198123{number:05d}").status_code for number in range(3)] == [200, 200, 429]


def test_challenge_that_is_asked_for_counts_nothing():
    ask()

    assert not LimitHit.objects.exists()
