"""Limits of an address, the budget of all, and what does not pass them."""

import itertools
import logging
from datetime import timedelta

import pytest

from accounts.models import LimitHit
from accounts.tests.hashing import CountingHasher
from accounts.tests.phones import NUMBER, PASSWORD, code_for, let_pass, post, verify
from tests.marks import committed
from tests.waiting import at_once

pytestmark = pytest.mark.django_db


def numbers():
    return (f"+9198123{number:05d}" for number in itertools.count())


def forged():
    return (f"198.51.100.{number % 250}, 203.0.113.{number % 250}" for number in itertools.count())


def test_address_gets_twenty_codes_an_hour():
    mobiles = numbers()
    for _ in range(20):
        code_for(next(mobiles))

    refused = post("auth/send-otp", {"mobile": next(mobiles)})
    elsewhere = post("auth/send-otp", {"mobile": next(mobiles)}, ip="127.0.0.2")

    assert refused.status_code == 429
    assert 3500 < int(refused["Retry-After"]) <= 3600
    assert elsewhere.status_code == 200


def test_rotating_x_forwarded_for_passes_no_send_limit():
    mobiles, addresses = numbers(), forged()
    for _ in range(20):
        code_for(next(mobiles), HTTP_X_FORWARDED_FOR=next(addresses))

    refused = post("auth/send-otp", {"mobile": next(mobiles)}, HTTP_X_FORWARDED_FOR=next(addresses))

    assert refused.status_code == 429


def test_rotating_x_forwarded_for_behind_a_proxy_passes_no_limit(settings):
    settings.TRUSTED_PROXY_COUNT = 1
    mobiles, addresses = numbers(), forged()
    client = "203.0.113.77"  # what the proxy appends, whatever the client has sent
    for _ in range(20):
        code_for(next(mobiles), HTTP_X_FORWARDED_FOR=f"{next(addresses)}, {client}")

    refused = post(
        "auth/send-otp",
        {"mobile": next(mobiles)},
        HTTP_X_FORWARDED_FOR=f"{next(addresses)}, {client}",
    )

    assert refused.status_code == 429


def test_rotating_x_forwarded_for_passes_no_failure_limit():
    mobiles, addresses = numbers(), forged()
    for _ in range(60):
        answer = verify("000000", next(mobiles), HTTP_X_FORWARDED_FOR=next(addresses))
        assert answer.status_code == 400

    refused = verify("000000", next(mobiles), HTTP_X_FORWARDED_FOR=next(addresses))

    assert refused.status_code == 429


def test_addresses_of_one_ipv6_network_count_together():
    mobiles = numbers()
    for number in range(20):
        code_for(next(mobiles), ip=f"2001:db8::{number + 1:x}")

    same = post("auth/send-otp", {"mobile": next(mobiles)}, ip="2001:db8::ffff")
    other = post("auth/send-otp", {"mobile": next(mobiles)}, ip="2001:db8:0:1::1")

    assert (same.status_code, other.status_code) == (429, 200)


def test_spent_budget_stops_every_code_and_is_logged(settings, caplog):
    settings.SMS_DAILY_BUDGET = 2
    mobiles = numbers()
    code_for(next(mobiles), ip="127.0.0.2")
    code_for(next(mobiles), ip="127.0.0.3")

    refused = post("auth/send-otp", {"mobile": next(mobiles)}, ip="127.0.0.4")

    assert refused.status_code == 429
    assert refused.json()["code"] == "sms_budget_spent"
    assert "Retry-After" in refused
    assert [record.levelno for record in caplog.records if "BUDGET" in record.message] == [
        logging.ERROR
    ]
    let_pass(timedelta(days=1))
    assert post("auth/send-otp", {"mobile": next(mobiles)}).status_code == 200


def test_refused_request_does_not_make_the_wait_longer():
    code_for()
    hits = LimitHit.objects.count()

    for _ in range(5):
        post("auth/send-otp", {"mobile": NUMBER})

    assert LimitHit.objects.count() == hits


@committed
def test_logins_at_once_are_refused_before_they_are_hashed(alice, settings):
    settings.PASSWORD_HASHERS = ["accounts.tests.hashing.CountingHasher"]
    alice.set_password(PASSWORD)
    alice.save(update_fields=["password"])
    CountingHasher.hashed.clear()

    answers = at_once(
        200,
        lambda: post("auth/login", {"mobile": alice.mobile, "password": "not the one"}),
    )

    codes = [answer.status_code for answer in answers]
    assert (codes.count(401), codes.count(429)) == (20, 180)
    assert len(CountingHasher.hashed) == 20


@committed
def test_right_logins_are_given_their_places_back(alice):
    alice.set_password(PASSWORD)
    alice.save(update_fields=["password"])

    for _ in range(25):
        answer = post("auth/login", {"mobile": alice.mobile, "password": PASSWORD})
        assert answer.status_code == 200

    assert not LimitHit.objects.exists()


def test_signups_with_passwords_are_limited_for_an_address():
    mobiles = numbers()
    for _ in range(20):
        answer = post("auth/signup", {"mobile": next(mobiles), "password": PASSWORD})
        assert answer.status_code == 201

    with_password = post("auth/signup", {"mobile": next(mobiles), "password": PASSWORD})
    without = post("auth/signup", {"mobile": next(mobiles)})

    assert (with_password.status_code, without.status_code) == (429, 201)
