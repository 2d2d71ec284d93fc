"""Many people behind one address, as in most mobile networks, on the running web process."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests
from django.conf import settings

from dev.servers.stack import Stack
from tests.support.accounts.proof_of_work import encode, solve

# docs/abuse.md promises this of the default limits. A tenth of the people meets a tenth of the
# limits: all the people take minutes of CPU.
PEOPLE, PART = 2_000, 10
LIMITS = [
    "SMS_DAILY_BUDGET",
    "SMS_COUNTRY_HOURLY_BUDGET",
    "SMS_UNANSWERED_PER_ADDRESS",
    "CODE_FAILURES_PER_ADDRESS",
    "LOGINS_PER_ADDRESS",
    "SIGNUPS_PER_ADDRESS",
]
# One person in 20 mistypes the code once; one in 50 never enters the code.
MISTYPES, GIVES_UP = 20, 50
FIRST_MOBILE = 9_820_000_000


def test_people_of_one_address_sign_in_within_an_hour(make_stack: Callable[..., Stack]) -> None:
    limits = {name: str(getattr(settings, name) // PART) for name in LIMITS}
    stack = make_stack(parts=["web"], SMS_CHALLENGE_WORK="100", **limits)
    with stack, requests.Session() as shared:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=4)
        shared.mount("http://", adapter)
        shared.headers["X-Forwarded-For"] = "198.51.100.7"

        def post(path: str, body: dict[str, str]) -> requests.Response:
            return shared.post(f"{stack.url}/api/v1/auth/{path}", json=body, timeout=60)

        def sign_in(number: int) -> int:
            mobile = f"+91{FIRST_MOBILE + number}"
            sent = post("send-otp", {"mobile": mobile})
            if sent.status_code == 403:
                # The page solves it by itself.
                solution = encode(solve(sent.json()["challenge"]))
                sent = post("send-otp", {"mobile": mobile, "challenge_solution": solution})
            if sent.status_code != 200 or number % GIVES_UP == 0:
                return sent.status_code
            code = sent.json()["data"]["otp"]
            if number % MISTYPES == 0:
                wrong = f"{(int(code) + 1) % 1_000_000:06d}"
                assert post("verify-otp", {"mobile": mobile, "otp": wrong}).status_code == 400
            return post("verify-otp", {"mobile": mobile, "otp": code}).status_code

        with ThreadPoolExecutor(4) as people:
            answers = list(people.map(sign_in, range(PEOPLE // PART)))

        assert answers == [200] * (PEOPLE // PART)
