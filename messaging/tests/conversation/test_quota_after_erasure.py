"""Erasure and a second sign-up give no second quota of the day."""

from typing import Any

from accounts.models import Erasure, LimitHit, OneTimeCode
from billing.models import ErasedQuota
from billing.tests.plans import with_plan
from messaging.models import Message
from privacy.erasure import erase_user
from tests.support.accounts.sign_in import api_with, sign_in
from tests.support.marks import transactional
from tests.support.messaging.rooms import complete, url_of

pytestmark = transactional


def accepted_sends(api: Any) -> int:
    """How many prompts one account has accepted until it is refused; each is answered."""
    room = api.post("/api/v1/chatroom/").json()["id"]
    count = 0
    while (answer := api.post(url_of(room), {"prompt": "Hello"})).status_code == 202:
        count += 1
        complete(Message.objects.get(pk=answer.json()["data"]["reply"]["id"]))
    assert answer.json()["code"] == "quota_exceeded"
    return count


def test_four_accounts_of_one_number_share_a_days_quota(settings: Any) -> None:
    with_plan(settings, "basic", daily_limit=5)
    rounds = []
    for _ in range(4):
        # The limits of codes are others' tests.
        LimitHit.objects.all().delete()
        OneTimeCode.objects.all().delete()
        api = api_with(sign_in()["access_token"])
        rounds.append(accepted_sends(api))

        status = api.get("/api/v1/subscription/status").json()
        assert api.delete("/api/v1/user/me").status_code == 202
        erase_user(erasure_id=Erasure.objects.get().pk)

        assert status["remaining_usage"] == 0

    assert rounds == [5, 0, 0, 0]
    assert ErasedQuota.objects.get().used == 5
