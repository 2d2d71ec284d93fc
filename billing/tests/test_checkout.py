"""From Checkout to Pro."""

from billing.tests.paying import deliver_all, status_of, subscribe, tier_of


def test_subscribe_gives_a_checkout_page(alice_api, stripe):
    answer = alice_api.post("/api/v1/subscription/subscribe/pro")

    assert answer.status_code == 200
    body = answer.json()
    assert body["checkout_url"] == f"{stripe.url}/c/pay/{body['session_id']}"


def test_paying_makes_the_user_pro_by_webhook(alice, alice_api, stripe):
    subscribe(alice_api, stripe)

    assert tier_of(alice) == "basic"
    deliver_all(stripe)
    assert tier_of(alice) == "pro"
    assert status_of(alice_api)["subscription"]["status"] == "active"
