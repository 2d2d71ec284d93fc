from typing import Any

from accounts.auth.rate_limits import count_recent_failures, count_recent_sms
from accounts.cli import MobileCommand
from accounts.models import OneTimeCode


class Command(MobileCommand):
    help = "Show the latest one-time code of a number and what its limits have counted."

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        code = OneTimeCode.objects.filter(mobile=mobile).order_by("-created_at").first()
        return {
            "code": code and describe(code),
            "sends_in_24_hours": count_recent_sms(mobile),
            "failures_in_24_hours": count_recent_failures(mobile),
        }


def describe(code: OneTimeCode) -> dict[str, Any]:
    return {
        "created_at": code.created_at,
        "expires_at": code.expires_at,
        "attempts_left": code.attempts_left,
        "ended_at": code.ended_at,
        "ending": code.ending,
        "delivery_status": code.delivery_status,
        "delivery_tries": code.delivery_tries,
        "delivery_error": code.delivery_error,
    }
