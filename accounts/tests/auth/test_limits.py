"""Limits of a network, and what does not pass them."""

import itertools
from datetime import timedelta

import pytest
from django.db import transaction

from accounts.auth import hashers
from accounts.auth.sign_in import send_code
from accounts.models import LimitHit, OneTimeCode
from gemchat.serving.permits import Permits
from gemchat.stores.locks import Lock, advisory_lock
from tests.support.accounts.hashers import CountingHasher
from tests.support.accounts.sign_in import (
    NUMBER,
    PASSWORD,
    code_for,
    let_pass,
    post,
    sign_in,
    verify,
)
from tests.support.marks import transactional
from tests.support.waiting import at_once, in_background

pytestmark = pytest.mark.django_db

LIMIT = 6


def numbers():
    return (f"+9198123{number:05d}" for number in itertools.count())


def forged():
    return (f"198.51.100.{number % 250}, 203.0.113.{number % 250}" for number in itertools.count())


@pytest.fixture(autouse=True)
def small_limits(settings):
    """Limits that few requests reach, and no challenge."""
    settings.SMS_UNANSWERED_PER_ADDRESS = LIMIT
    settings.CODE_FAILURES_PER_ADDRESS = LIMIT
    settings.SIGNUPS_PER_ADDRESS = LIMIT
    settings.SMS_CHALLENGE = "off"


def test_address_gets_a_limit_of_unanswered_codes_an_hour():
    mobiles = numbers()
    for _ in range(LIMIT):
        code_for(next(mobiles))

    refused = post("auth/send-otp", {"mobile": next(mobiles)})
    elsewhere = post("auth/send-otp", {"mobile": next(mobiles)}, ip="127.0.0.2")

    assert refused.status_code == 429
    assert 3500 < int(refused["Retry-After"]) <= 3600
    assert elsewhere.status_code == 200


def test_address_gets_unanswered_codes_of_three_hours_a_day(settings):
    settings.SMS_UNANSWERED_PER_ADDRESS = 2
    mobiles = numbers()
    for _ in range(3):
        for _ in range(2):
            code_for(next(mobiles))
        let_pass(timedelta(hours=1))

    refused = post("auth/send-otp", {"mobile": next(mobiles)})

    assert refused.status_code == 429


def test_answered_codes_do_not_count_against_the_address():
    mobiles = numbers()
    for _ in range(LIMIT + 1):
        sign_in(next(mobiles))

    assert post("auth/send-otp", {"mobile": next(mobiles)}).status_code == 200
    assert LimitHit.objects.filter(kind="network_send").count() == 1


def test_code_that_is_answered_from_another_network_frees_the_one_that_asked():
    mobiles = numbers()
    for _ in range(LIMIT):
        code_for(next(mobiles))
    owned = OneTimeCode.objects.latest("created_at")

    verify(owned.digits, owned.mobile, ip="198.51.100.7")

    assert post("auth/send-otp", {"mobile": next(mobiles)}).status_code == 200


def test_codes_that_staff_send_count_for_no_network():
    for mobile in itertools.islice(numbers(), LIMIT + 1):
        send_code(mobile=mobile, client=None)

    assert not LimitHit.objects.filter(kind="network_send").exists()


def test_rotating_x_forwarded_for_passes_no_send_limit():
    mobiles, addresses = numbers(), forged()
    for _ in range(LIMIT):
        code_for(next(mobiles), HTTP_X_FORWARDED_FOR=next(addresses))

    refused = post("auth/send-otp", {"mobile": next(mobiles)}, HTTP_X_FORWARDED_FOR=next(addresses))

    assert refused.status_code == 429


def test_rotating_x_forwarded_for_behind_a_proxy_passes_no_limit(settings):
    settings.TRUSTED_PROXY_COUNT = 1
    mobiles, addresses = numbers(), forged()
    client = "203.0.113.77"  # what the proxy appends, after all that the client has sent
    for _ in range(LIMIT):
        code_for(next(mobiles), HTTP_X_FORWARDED_FOR=f"{next(addresses)}, {client}")

    refused = post(
        "auth/send-otp",
        {"mobile": next(mobiles)},
        HTTP_X_FORWARDED_FOR=f"{next(addresses)}, {client}",
    )

    assert refused.status_code == 429


def test_rotating_x_forwarded_for_passes_no_failure_limit():
    mobiles, addresses = numbers(), forged()
    for _ in range(LIMIT):
        answer = verify("000000", next(mobiles), HTTP_X_FORWARDED_FOR=next(addresses))
        assert answer.status_code == 400

    refused = verify("000000", next(mobiles), HTTP_X_FORWARDED_FOR=next(addresses))

    assert refused.status_code == 429


@pytest.mark.parametrize(
    ("act", "template", "allowed", "outside"),
    [
        pytest.param("send", "2001:db8::{:x}", 2, "2001:db8:0:1::1", id="send-64"),
        pytest.param("send", "2001:db8:0:{:x}::1", 3, "2001:db8:0:100::1", id="send-56"),
        pytest.param("send", "2001:db8:0:{:x}00::1", LIMIT, "2001:db8:1::1", id="send-48"),
        pytest.param("guess", "2001:db8::{:x}", 2, "2001:db8:0:1::1", id="guess-64"),
        pytest.param("sign up", "2001:db8::{:x}", 2, "2001:db8:0:1::1", id="sign up-64"),
    ],
)
def test_ipv6_networks_of_each_width_have_limits(act, template, allowed, outside):
    """A /48 has 65,536 networks of 64 bits, and is free."""
    mobiles = numbers()

    def status(ip):
        body = {"mobile": next(mobiles)}
        if act == "send":
            return post("auth/send-otp", body, ip=ip).status_code
        if act == "guess":
            return post("auth/verify-otp", {**body, "otp": "000000"}, ip=ip).status_code
        return post("auth/signup", {**body, "password": PASSWORD}, ip=ip).status_code

    answers = [status(template.format(number)) for number in range(1, allowed + 3)]

    assert 429 not in answers[:allowed]
    assert answers[allowed:] == [429] * 2
    assert status(outside) != 429


def test_wrong_codes_of_a_neighbour_leave_ones_code_usable():
    otp = code_for()
    for mobile in itertools.islice(numbers(), LIMIT):
        verify("000000", mobile)

    assert verify("000000", "+919812399999").status_code == 429
    assert verify(otp).status_code == 200


@transactional
def test_refused_send_does_not_wait_for_the_budget():
    code_for()
    with transaction.atomic():
        advisory_lock(Lock.RATE_LIMIT, "budget IN", "budget every number")

        refused = in_background(lambda: post("auth/send-otp", {"mobile": NUMBER})).result(20)

    assert refused.status_code == 429


def test_refused_request_does_not_make_the_wait_longer():
    code_for()
    hits = LimitHit.objects.count()

    post("auth/send-otp", {"mobile": NUMBER})

    assert LimitHit.objects.count() == hits


@transactional
def test_logins_at_once_are_refused_before_they_are_hashed(alice, settings, monkeypatch):
    monkeypatch.setattr(hashers, "HASHING", Permits(12))
    settings.PASSWORD_FAILURES_PER_NUMBER = 3
    settings.PASSWORD_HASHERS = ["tests.support.accounts.hashers.CountingHasher"]
    alice.set_password(PASSWORD)
    alice.save(update_fields=["password"])
    CountingHasher.hashed.clear()

    answers = at_once(
        12,
        lambda: post("auth/login", {"mobile": alice.mobile, "password": "not the one"}),
    )

    codes = [answer.status_code for answer in answers]
    assert (codes.count(401), codes.count(429)) == (3, 9)
    assert len(CountingHasher.hashed) == 3


def test_signups_with_passwords_are_limited_for_an_address():
    mobiles = numbers()
    for _ in range(LIMIT):
        answer = post("auth/signup", {"mobile": next(mobiles), "password": PASSWORD})
        assert answer.status_code == 201

    with_password = post("auth/signup", {"mobile": next(mobiles), "password": PASSWORD})
    without = post("auth/signup", {"mobile": next(mobiles)})

    assert (with_password.status_code, without.status_code) == (429, 201)
