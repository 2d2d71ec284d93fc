"""Limits of guesses at passwords: whom they refuse, and whom they never do."""

import pytest
from django.test import Client as Browser

from accounts.auth.rate_limits import NETWORKS_THAT_GUESS
from accounts.models import LimitHit
from tests.support.accounts.sign_in import NUMBER, PASSWORD, code_for, post, sign_in, verify

pytestmark = pytest.mark.django_db

STRANGER, OWNER, ELSEWHERE = "198.51.100.7", "203.0.113.5", "192.0.2.9"
LIMIT = 2


@pytest.fixture(autouse=True)
def small_limits(settings):
    settings.PASSWORD_FAILURES_PER_NUMBER = LIMIT
    settings.PASSWORD_FAILURES_PER_ADDRESS = 3 * LIMIT


@pytest.fixture
def with_password(alice):
    alice.set_password(PASSWORD)
    alice.save(update_fields=["password"])
    return alice


def login(mobile, password=PASSWORD, ip=STRANGER):
    return post("auth/login", {"mobile": mobile, "password": password}, ip=ip).status_code


@pytest.fixture
def one_guess_per_network(settings):
    """Let the limit of all networks together be NETWORKS_THAT_GUESS."""
    settings.PASSWORD_FAILURES_PER_NUMBER = 1


def guess_from_many_networks(mobile, count=NETWORKS_THAT_GUESS):
    for number in range(count):
        assert login(mobile, "wrong one", ip=f"10.0.{number}.1") == 401


@pytest.mark.parametrize("who", ["alice", "bob", "unknown", "staff"])
def test_right_code_is_not_refused_because_of_password_guesses(who, request):
    """Once 20 wrong passwords from one address shut a number for a day."""
    mobile = NUMBER if who == "unknown" else request.getfixturevalue(who).mobile
    answers = [login(mobile, "wrong one") for _ in range(LIMIT + 1)]
    assert answers[-1] == 429

    same_address = verify(code_for(mobile, ip=STRANGER), mobile, ip=STRANGER)
    owner = verify(code_for(mobile, ip=OWNER), mobile, ip=OWNER)

    assert (same_address.status_code, owner.status_code) == (200, 200)


def test_guesses_of_one_network_refuse_that_network_alone(with_password):
    answers = [login(with_password.mobile, "wrong one") for _ in range(LIMIT + 1)]

    assert answers == [401] * LIMIT + [429]
    assert login(with_password.mobile) == 429
    assert login(with_password.mobile, ip=OWNER) == 200


def test_accounts_without_a_password_and_unknown_numbers_are_counted_alike(with_password, bob):
    found = [
        [login(mobile, "wrong one") for _ in range(LIMIT + 1)]
        for mobile in (with_password.mobile, bob.mobile, NUMBER)
    ]

    assert found == [[401] * LIMIT + [429]] * 3


def test_guesses_of_many_networks_refuse_those_that_never_signed_in(
    with_password, one_guess_per_network
):
    sign_in(with_password.mobile, ip=OWNER)
    guess_from_many_networks(with_password.mobile)

    assert login(with_password.mobile, ip=ELSEWHERE) == 429
    assert login(with_password.mobile, ip=OWNER) == 200
    assert (
        verify(
            code_for(with_password.mobile, ip=ELSEWHERE), with_password.mobile, ip=ELSEWHERE
        ).status_code
        == 200
    )


def test_networks_of_one_ipv6_client_guess_together(with_password):
    answers = [
        login(with_password.mobile, "wrong one", ip=f"2001:db8:0:{number:x}::1")
        for number in range(0, 256 * (LIMIT + 1), 256)
    ]

    assert answers == [401] * LIMIT + [429]


def test_address_that_tries_one_password_on_many_numbers_is_refused(with_password):
    answers = [login(f"+9198123{number:05d}", "wrong one") for number in range(3 * LIMIT + 1)]

    assert answers == [401] * 3 * LIMIT + [429]
    assert login(with_password.mobile, ip=OWNER) == 200


def test_right_sign_ins_are_limited_for_a_number(settings, with_password):
    settings.LOGINS_PER_NUMBER = 3

    answers = [login(with_password.mobile, ip=OWNER) for _ in range(4)]

    assert answers == [200] * 3 + [429]
    assert not LimitHit.objects.filter(kind="password_failure").exists()
    assert verify(code_for(with_password.mobile), with_password.mobile).status_code == 200


def test_right_sign_ins_are_limited_for_an_address(settings, with_password):
    settings.LOGINS_PER_ADDRESS = 3

    answers = [login(with_password.mobile, ip=OWNER) for _ in range(4)]

    assert answers == [200] * 3 + [429]
    assert login(with_password.mobile, ip=ELSEWHERE) == 200


def test_wrong_passwords_do_not_use_up_the_right_sign_ins(settings, with_password):
    settings.LOGINS_PER_NUMBER = 2
    for number in range(4):
        login(with_password.mobile, "wrong one", ip=f"10.0.{number}.1")

    assert [login(with_password.mobile, ip=OWNER) for _ in range(3)] == [200, 200, 429]


def admin_sign_in(mobile, password, ip):
    """Sign in to the admin; return whether the admin leads on to its first page."""
    form = {"username": mobile, "password": password}
    answer = Browser(REMOTE_ADDR=ip).post("/admin/login/?next=/admin/", form)
    return answer.status_code == 302


def test_guesses_at_the_api_leave_the_admin_alone(staff, settings, one_guess_per_network):
    settings.DEBUG = True
    for _ in range(2):
        login(staff.mobile, "wrong one")
    guess_from_many_networks(staff.mobile, NETWORKS_THAT_GUESS - 1)
    assert login(staff.mobile, "correct horse battery", ip=ELSEWHERE) == 429

    assert admin_sign_in(staff.mobile, "correct horse battery", STRANGER)


def test_guesses_at_the_admin_leave_the_api_alone(staff, settings):
    settings.DEBUG = True
    for _ in range(LIMIT + 1):
        admin_sign_in(staff.mobile, "wrong one", STRANGER)

    assert not admin_sign_in(staff.mobile, "correct horse battery", STRANGER)
    assert login(staff.mobile, "correct horse battery") == 200


def test_guesses_at_the_admin_spare_networks_where_staff_signed_in(
    staff, settings, one_guess_per_network
):
    settings.DEBUG = True
    admin_sign_in(staff.mobile, "correct horse battery", OWNER)
    for number in range(NETWORKS_THAT_GUESS):
        admin_sign_in(staff.mobile, "wrong one", f"10.0.{number}.1")

    assert admin_sign_in(staff.mobile, "correct horse battery", OWNER)
    assert not admin_sign_in(staff.mobile, "correct horse battery", ELSEWHERE)
