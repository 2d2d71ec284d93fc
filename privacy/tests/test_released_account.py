"""An account that lost its number: no charges from now on, erased after its date."""

from datetime import timedelta

import pytest
from django.db.models import F
from rest_framework.test import APIClient

from accounts.auth.closing import close_account
from accounts.models import Erasure, User
from chatrooms.models import Chatroom
from privacy.erasure import erase_user
from privacy.tasks import sweep_accounts
from tests.support.accounts.sign_in import NUMBER, api_with, code_for, let_pass, sign_in, verify
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.messaging.rooms import exchange, make_room
from tests.support.payments import pro

pytestmark = pytest.mark.django_db


def release(stripe: FakeStripe) -> tuple[User, str]:
    """Leave a Pro account for half a year, and give its number to another."""
    api = api_with(sign_in()["access_token"])
    subscription = pro(api, stripe)
    old = User.objects.get()
    exchange(make_room(old))
    let_pass(timedelta(days=181))
    token = verify(code_for()).json()["confirmation_token"]
    answer = APIClient().post(
        "/api/v1/auth/confirm-account", {"confirmation_token": token, "choice": "start_new"}
    )
    assert answer.status_code == 200
    return old, subscription["id"]


def test_subscription_of_a_released_account_ends_and_its_data_stays(stripe: FakeStripe) -> None:
    old, subscription = release(stripe)

    erase_user(erasure_id=Erasure.objects.get().pk)
    sweep_accounts()

    assert stripe.objects["subscriptions"][subscription]["status"] == "canceled"
    assert Chatroom.objects.filter(user=old).exists()
    assert User.objects.get(mobile=NUMBER).tier == "basic"


def test_released_account_is_erased_after_its_date_and_the_new_one_stays(
    stripe: FakeStripe,
) -> None:
    old, _ = release(stripe)
    erase_user(erasure_id=Erasure.objects.get().pk)
    month = timedelta(days=31)

    Erasure.objects.update(next_try_at=F("next_try_at") - month, not_before=F("not_before") - month)
    erase_user(erasure_id=Erasure.objects.get().pk)

    assert not Chatroom.objects.exists()
    assert [user.mobile for user in User.objects.all()] == [NUMBER]
    assert User.objects.get().pk != old.pk
    assert verify(code_for()).status_code == 200


def test_staff_erase_a_released_account_before_its_date(stripe: FakeStripe) -> None:
    old, _ = release(stripe)
    erase_user(erasure_id=Erasure.objects.get().pk)
    old.refresh_from_db()

    close_account(user=old, actor="command")
    erase_user(erasure_id=Erasure.objects.get().pk)

    assert not User.objects.filter(pk=old.pk).exists()
