"""The running server answers any request as docs/openapi.json says (Schemathesis).

Cases are the same in each run. `make fuzz` sends many more, and others each time.
"""

import itertools
import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CHECKS
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from dev.openapi import PATH
from dev.servers.stack import Stack
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.stripe_wire import signed
from tests.support.payments import SECRET
from tests.support.stack.api_client import ApiUser

pytestmark = pytest.mark.xdist_group("shared_stack")

FUZZ = os.environ.get("FUZZ_EXAMPLES")
EXAMPLES = int(FUZZ or 3)
# These end the session that calls them, or others.
ENDING = {"logOut", "logOutEverywhere", "endSession", "changePassword"}
# These calls may refuse a value of the right shape: an unknown cursor, an impossible number, a
# common password, an unknown model, a used key.
JUDGED_FURTHER = {
    *["changeChatroom", "checkMobile", "confirmAccount", "openChatroom"],
    *["changePassword", "editPrompt", "forgotPassword", "listChatrooms", "listMessages", "refresh"],
    *["listFiles", "listSessions", "uploadFile"],
    *["receiveStripeEvent", "regenerateReply", "sendCode", "sendMessage", "signInWithCode"],
    *["signInWithPassword", "signUp", "subscribe"],
    # Schemathesis takes a Last-Event-ID for right that is not of its pattern.
    "streamReply",
}


def strict_document() -> dict[str, Any]:
    """The description, in which no answer may have a member that it does not name."""
    document = json.loads(PATH.read_text())
    for name, schema in document["components"]["schemas"].items():
        if not name.endswith("Request") and "properties" in schema:
            schema["additionalProperties"] = False
    return document


GENERATION = {
    "deterministic": not FUZZ,
    "no-shrink": True,
    "database": "none",
    # Refused also in members that no call knows, which the description cannot say.
    "allow-x00": False,
    # The token is sent along below; the check `ignored_auth` does without, and with a bad one.
    "with-security-parameters": False,
}
# The cases are made at the run. Made at the collection, they would take seconds of each of xdist's
# workers, of which one alone runs them.
lazy = schemathesis.pytest.from_fixture("schema")
OPERATIONS = [
    operation["operationId"]
    for methods in strict_document()["paths"].values()
    for operation in methods.values()
]
sent: Counter[str] = Counter()
statuses: Counter[int] = Counter()


@dataclass
class Caller:
    """A user with a room and an answered prompt in it."""

    person: ApiUser
    room: str
    prompt: str
    reply: str

    @classmethod
    def of(cls, person: ApiUser) -> "Caller":
        room = person.open_room("Rivers")
        reply = person.reply(person.send(room, "Which is the longest?"))
        return cls(person, room, reply["parent_id"], reply["id"])

    def known(self, path: str, turn: int) -> dict[str, str]:
        """Ids of this user's own for the parameters of a path."""
        message = self.prompt if turn % 3 == 0 else self.reply
        return {"chatroom_id": self.room, "id": self.room if "chatroom" in path else message}


@pytest.fixture(scope="module")
def schema() -> BaseSchema:
    config = SchemathesisConfig.from_dict({"generation": GENERATION})
    return schemathesis.openapi.from_dict(strict_document(), config=config)


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack
    if sent.keys() == set(OPERATIONS):  # not with `-k`
        assert statuses.keys() >= {200, 201, 202, 204, 400, 401, 404, 405, 409, 415, 422}
    print(f"\n{sum(sent.values())} cases of {len(sent)} calls: {dict(sorted(statuses.items()))}")


@pytest.fixture(scope="module")
def callers(stack: Stack, shared_stripe: FakeStripe) -> Iterator[Caller]:
    """A user of each tier, in turns."""
    basic, pro = ApiUser(stack.url).sign_in(), ApiUser(stack.url).sign_in()
    shared_stripe.pay(pro.post("subscription/subscribe/pro")["session_id"])
    for event in list(shared_stripe.events):
        body, headers = signed(event, SECRET)
        url = f"{pro.url}/subscription/webhook/stripe"
        requests.post(url, body, headers=headers, timeout=10).raise_for_status()
    assert pro.get("user/me")["tier"] == "pro"
    return itertools.cycle([Caller.of(basic), Caller.of(pro)])


def contract_of(operation_id: str) -> Callable[..., None]:
    """A test of one call, so that it can be run alone."""

    @lazy.include(operation_id=operation_id).parametrize()
    @settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def test_call(case: Case, stack: Stack, callers: Iterator[Caller]) -> None:
        check(case, stack, callers)

    return test_call


def check(case: Case, stack: Stack, callers: Iterator[Caller]) -> None:
    operation, turn = case.operation.definition.raw["operationId"], sum(sent.values())
    caller = next(callers)
    person = ApiUser(stack.url).sign_in() if operation in ENDING else caller.person
    known = caller.known(case.path, turn)
    if operation == "deleteChatroom":
        known["id"] = person.open_room()
    for name, value in known.items():
        # Every other case is about something that is there.
        if turn % 2 and is_uuid(case.path_parameters.get(name)):
            case.path_parameters[name] = value
    headers = {name: str(value) for name, value in person.session.headers.items()}
    # A separate address, or the limits of one address would answer most.
    headers["X-Forwarded-For"] = f"10.{turn >> 16 & 255}.{turn >> 8 & 255}.{turn & 255}"
    sent[operation] += 1

    excluded = CHECKS.get_by_names(["positive_data_acceptance"])
    answer = case.call_and_validate(
        base_url=stack.url,
        headers=headers,
        timeout=40,
        excluded_checks=excluded if operation in JUDGED_FURTHER else [],
    )

    statuses[answer.status_code] += 1


for name in OPERATIONS:
    globals()[f"test_{name}_answers_as_described"] = contract_of(name)


def is_uuid(text: Any) -> bool:
    try:
        return bool(uuid.UUID(str(text)))
    except ValueError:
        return False
