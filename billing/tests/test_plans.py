"""A third plan needs an entry of settings.PLANS and a migration: no code."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from accounts.models.users import tier_choices
from billing.checks import check_settings
from billing.entitlement import disagreeing, mark_disagreements, refresh_all_tiers
from billing.models import DailyQuota, Grant
from billing.plans import includes, plan_for_user
from billing.tests.plans import with_plan
from messaging.models import GeminiModel
from messaging.models.gemini_models import ModelNotInPlan
from privacy.retention import purge_expired
from tests.support.payments import PRICE, pro, status_of, tier_of


@pytest.fixture
def team(db, settings):
    """A third tier above Pro, which nothing in the program names."""
    plan = replace(
        settings.PLANS["pro"], daily_limit=7, stripe_price_ids=(), is_granted_by_staff=False
    )
    settings.PLANS = {**settings.PLANS, "team": plan}
    with connection.cursor() as cursor:
        for table, constraint in [
            ("accounts_user", "user_tier_is_known"),
            ("messaging_geminimodel", "gemini_model_tier_is_known"),
        ]:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")


def sell_to_team(settings):
    """Count what was sold as Pro as a subscription to the third plan."""
    with_plan(settings, "team", stripe_price_ids=[PRICE])
    with_plan(settings, "pro", stripe_price_ids=["price_other"])


def test_third_plan_is_the_plan_of_a_user_of_its_tier(alice, alice_api, team):
    User.objects.filter(pk=alice.pk).update(tier="team")

    alice.refresh_from_db()

    assert plan_for_user(alice).daily_limit == 7
    assert DailyQuota.objects.reserve(user=alice).remaining == 6
    assert (status_of(alice_api)["tier"], status_of(alice_api)["daily_limit"]) == ("team", 7)
    assert alice_api.get("/api/v1/user/me").json()["tier"] == "team"


def test_third_plan_is_among_the_choices_and_includes_the_lower_plans(team):
    assert ("team", "Team") in tier_choices()
    assert (includes("team", "pro"), includes("pro", "team")) == (True, False)


def test_subscription_to_a_price_of_the_third_plan_gives_its_tier(
    alice, alice_api, stripe, team, settings
):
    pro(alice_api, stripe)
    sell_to_team(settings)

    mark_disagreements()
    marked = disagreeing()
    changed = refresh_all_tiers()

    assert marked == [alice.pk]
    assert changed == {alice.pk: "team"}
    assert status_of(alice_api)["subscription"]["status"] == "active"


def test_highest_of_two_entitlements_wins(alice, alice_api, stripe, team, settings):
    pro(alice_api, stripe)
    sell_to_team(settings)
    until = timezone.now() + timedelta(days=1)
    Grant.objects.create(user=alice, until=until, reason="goodwill")

    refresh_all_tiers()

    assert tier_of(alice) == "team"


def test_tier_of_the_third_plan_without_a_subscription_is_wrong(alice, team):
    User.objects.filter(pk=alice.pk).update(tier="team")

    mark_disagreements()

    assert disagreeing() == [alice.pk]
    assert refresh_all_tiers() == {alice.pk: "basic"}


def test_model_of_the_third_plan_is_not_for_pro(alice, carol, team):
    GeminiModel.objects.update(tier="team")
    name = GeminiModel.objects.filter(is_enabled=True).values_list("name", flat=True)[0]
    User.objects.filter(pk=alice.pk).update(tier="team")
    alice.refresh_from_db()

    with pytest.raises(ModelNotInPlan):
        GeminiModel.objects.get_for_user(carol, name)
    assert GeminiModel.objects.get_for_user(alice, name).name == name


def test_limit_of_the_third_plan_is_checked(team, settings):
    with_plan(settings, "team", chatrooms=0)

    [found] = check_settings()

    assert found.msg.startswith("TEAM_CHATROOMS is 0;")


def test_retention_of_the_third_plan_is_reported(team, settings):
    with_plan(settings, "team", retention_days=30)

    assert purge_expired(dry_run=True)["team_chatrooms"] == 0
