"""The deployed back office in a real browser: second factor, CSP, no inline script.

SCREENSHOTS=docs/images makes the pictures of the README again.
"""

import os
import re
import subprocess
import sys
import time
from base64 import b32decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django_otp.oath import TOTP
from playwright.sync_api import Page, expect

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.browser.chromium import serious_barriers
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.stack.start import EVERY_PART

pytestmark = pytest.mark.xdist_group("back_office")

PASSWORD = "correct horse battery"
STAFF, ALICE = "+12025550190", "+919812345678"
LISTS = [
    *["accounts/user/", "accounts/session/", "accounts/onetimecode/", "accounts/auditevent/"],
    *["chatrooms/chatroom/", "messaging/message/", "messaging/geminimodel/"],
    *["billing/dailyquota/", "billing/usagerecord/", "billing/grant/", "billing/flag/"],
    *["djstripe/customer/", "djstripe/subscription/", "djstripe/session/", "djstripe/charge/"],
    *["djstripe/dispute/", "djstripe/event/", "djstripe/webhookeventtrigger/"],
    "django_celery_results/taskresult/",
]
# Lists are made alike; these have filters, actions, links and nothing in them.
EXAMINED = ["accounts/user/", "messaging/message/", "djstripe/subscription/"]
DEPLOYED = {
    "DEBUG": "false",
    "OTP_ECHO": "false",
    "SECRET_KEY": "test-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-key",
    "JWT_SECRET": "test-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-jwt",
    "OTP_SECRET": "test-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-otp",
    "SMS_BACKEND": "tests.support.fakes.sms.Outbox",
    "GOOGLE_API_KEY": "test-key",
}
# A month of usage, a person whose prompt is answered by a failure, and a member of staff.
PREPARE = f"""
import random, uuid
from django.db import connection
from django.utils import timezone
from accounts.models import Session, User
from billing.models import UsageRecord
from chatrooms.models import Chatroom
from messaging.conversation import actions as conversation
from backoffice.models import DailyMetrics
from backoffice.dashboard.rollup import update_daily_metrics
chance = random.Random(7)
User.objects.create_superuser({STAFF!r}, {PASSWORD!r})
alice = User.objects.create_user({ALICE!r}, name="<script>alert(1)</script>", is_verified=True)
people = [User.objects.create_user(f"+91981000{{n:04}}", is_verified=True) for n in range(30)]
UsageRecord.objects.bulk_create(
    UsageRecord(
        user=chance.choice(people), reply_id=uuid.uuid4(), attempt=1,
        model=chance.choice(["gemini-3.5-flash-lite"] * 3 + ["gemini-3.8-flash"]),
        outcome=chance.choices(["complete", "stopped", "failed"], [92, 5, 3])[0],
        first_token_ms=int(chance.lognormvariate(6.4, 0.4)),
        reply_ms=int(chance.lognormvariate(8.2, 0.5)), prompt_tokens=chance.randrange(200, 2000),
        output_tokens=chance.randrange(50, 800), cached_tokens=0, thinking_tokens=0,
        cost_micro_usd=chance.randrange(200, 4000), estimated=False,
    )
    for _ in range(3000)
)
with connection.cursor() as cursor:
    cursor.execute(
        "UPDATE billing_usagerecord SET created_at = now() - interval '1 day'"
        " * floor(30 * (1 - sqrt(random())))"
    )
DailyMetrics.objects.all().delete()
update_daily_metrics(now=timezone.now())
for number, row in enumerate(DailyMetrics.objects.order_by("day")[1:30]):
    row.sends = row.outcomes.get("complete", 0) + chance.randrange(9)
    row.new_users, row.pro_users = chance.randrange(4), 8 + number // 2
    row.revenue = {{"usd": 1990 * row.pro_users}}
    row.save()
room = Chatroom.objects.create_room(user=alice, title="=HYPERLINK('http://evil.example')")
print(conversation.post_message(
    user=alice, chatroom_id=room.pk, prompt="<script>alert(2)</script> Why is the sky blue?"
).reply.pk)
"""  # noqa: S608 it is no one's but the test's


class Deployed:
    """A running stack, and manage.py on its data."""

    def __init__(self, stack: Stack, environ: dict[str, str]) -> None:
        self.url = stack.url
        self._environ = environ

    def manage(self, *arguments: str) -> str:
        told = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env={**os.environ, **self._environ},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return told.stdout.strip()


@pytest.fixture(scope="module")
def deployed(
    make_stack: Callable[..., Stack], stack_stores: dict[str, str], gemini_server: FakeGemini
) -> Iterator[Deployed]:
    environ = {**DEPLOYED, "GEMINI_API_BASE": gemini_server.url}
    with make_stack(parts=EVERY_PART, **environ) as stack:
        deployed = Deployed(stack, {**stack_stores, **environ})
        deployed.manage("collectstatic", "--noinput", "--verbosity=0")
        # Web looks for static files when it starts.
        stack.restart("web")
        yield deployed


@pytest.fixture(scope="module")
def failed_reply(deployed: Deployed, gemini_server: FakeGemini) -> str:
    gemini_server.script(Answer(status=404))
    return deployed.manage("shell", "--verbosity=0", "--command", PREPARE)


@pytest.fixture(scope="module")
def secret(deployed: Deployed, failed_reply: str) -> bytes:
    told = deployed.manage("admin_totp", "--mobile", STAFF)
    [found] = re.findall(r"secret: (\w+)", told)
    return b32decode(found)


def token(secret: bytes) -> str:
    totp = TOTP(secret)
    totp.time = time.time()
    return f"{totp.token():06d}"


def sign_in(page: Page, url: str, code: str) -> None:
    page.goto(f"{url}/admin/")
    page.get_by_label("Mobile").fill(STAFF)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("OTP Token").fill(code)
    page.get_by_role("button", name="Log in").click()


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def eventually(page: Page, text: str, seconds: float = 30) -> None:
    """Reload the page until it has the text."""
    deadline = time.monotonic() + seconds
    while page.get_by_text(text, exact=True).count() == 0:
        assert time.monotonic() < deadline, f"{text} did not come about"
        page.reload()


def test_day_at_the_desk(deployed: Deployed, failed_reply: str, secret: bytes, browse: Any) -> None:
    page = browse(size={"width": 1280, "height": 1000})
    page.goto(f"{deployed.url}/admin/login/")
    assert serious_barriers(page) == []
    sign_in(page, deployed.url, token(secret))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("img", name="Time to first token, 30 days")).to_be_visible()
    assert serious_barriers(page) == []
    keep_picture(page, "overview")

    page.get_by_role("link", name="Users", exact=True).click()
    page.get_by_label("Search").fill(ALICE)
    page.get_by_role("button", name="Search").click()
    assert serious_barriers(page) == []
    page.get_by_role("link", name=ALICE).click()
    assert serious_barriers(page) == []

    page.get_by_role("button", name="Grant Pro").click()
    page.get_by_label("Reason").fill("goodwill after an outage")
    last_day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    page.get_by_label("Until").fill(last_day)
    assert serious_barriers(page) == []
    page.get_by_role("button", name="Grant Pro").click()
    expect(page.get_by_text(f"Pro until {last_day}.")).to_be_visible()
    page.goto(f"{deployed.url}/admin/accounts/user/?q={ALICE.replace('+', '%2B')}")
    page.get_by_role("link", name=ALICE).click()
    expect(page.get_by_text("goodwill after an outage")).to_be_visible()
    eventually(page, "misconfigured")
    keep_picture(page, "user")

    page.get_by_role("link", name=failed_reply).click()
    expect(page.get_by_text("404 NOT_FOUND").first).to_be_visible()
    assert serious_barriers(page) == []
    keep_picture(page, "failed-reply")
    address = page.url
    page.get_by_role("button", name="Retry").click()
    page.get_by_label("Reason").fill("the model is back")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("The reply is queued again.")).to_be_visible()
    page.goto(address)
    eventually(page, "Complete")

    page.get_by_role("link", name="Give a reason to read it").click()
    page.get_by_label("Reason").fill("complaint")
    page.get_by_role("button", name="Read").click()
    said = "<script>alert(2)</script> Why is the sky blue?"
    expect(page.get_by_text(said, exact=True)).to_be_visible()
    assert serious_barriers(page) == []


def test_every_list_and_page_is_clean_in_the_dark(
    deployed: Deployed, secret: bytes, browse: Any
) -> None:
    page = browse(color_scheme="dark")
    forget_last_token(deployed)
    sign_in(page, deployed.url, token(secret))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert serious_barriers(page) == []

    for path in LISTS:
        page.goto(f"{deployed.url}/admin/{path}")
        if path in EXAMINED:
            assert serious_barriers(page) == [], path
        rows = page.locator("#result_list tbody tr a")
        if rows.count():
            # `browse` looks for what the page says to the console.
            rows.first.click()
            expect(page.locator("#content-main")).to_be_visible()


def forget_last_token(deployed: Deployed) -> None:
    """A token is good once, and the next one comes in half a minute."""
    code = (
        "from django_otp.plugins.otp_totp.models import TOTPDevice;"
        "TOTPDevice.objects.update(last_t=-1, throttling_failure_count=0)"
    )
    deployed.manage("shell", "--verbosity=0", "--command", code)


def test_no_answer_of_the_back_office_lacks_its_policy(deployed: Deployed, browse: Any) -> None:
    page = browse()

    answer = page.goto(f"{deployed.url}/admin/login/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
