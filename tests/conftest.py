"""Gives tests of whole processes separate databases, free ports and running stacks."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from dev.servers.stack import Stack
from tests.support.fakes.gemini import FakeGemini
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.wire import Wire
from tests.support.payments import KEY, PRICE, SECRET
from tests.support.stack.start import ORIGIN, stack_on
from tests.support.stack.stores import WORKERS, Wires, new_stores, redis_url

SELLING = {"STRIPE_SECRET_KEY": KEY, "STRIPE_PRO_PRICE_ID": PRICE, "STRIPE_WEBHOOK_SECRET": SECRET}
# What the tests of the shared stack must not run into.
LIFTED_LIMITS = (
    "BASIC_DAILY_LIMIT",
    "BASIC_WAITING_REPLIES",
    "BASIC_SENDS_PER_MINUTE",
    "BASIC_CHATROOMS",
    "BASIC_CHATROOMS_PER_MINUTE",
    "PRO_SENDS_PER_MINUTE",
    "PRO_CHATROOMS",
    "PRO_CHATROOMS_PER_MINUTE",
    "SMS_DAILY_BUDGET",
)


@pytest.fixture(scope="module")
def gemini_server() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture(scope="module")
def stripe_server() -> Iterator[FakeStripe]:
    with FakeStripe(secret_key=KEY) as fake:
        fake.add_price(PRICE)
        yield fake


@pytest.fixture(scope="module")
def selling(stripe_server: FakeStripe) -> dict[str, str]:
    """The settings of a stack that sells Pro there."""
    return {"STRIPE_API_BASE": stripe_server.url, **SELLING}


@pytest.fixture(scope="module")
def stack_redis() -> str:
    """The URL of a Redis database that no test in this process uses."""
    return redis_url(WORKERS)


@pytest.fixture(scope="module")
def stack_stores() -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL of a new, migrated database and an empty Redis one."""
    with new_stores("stack", redis_offset=WORKERS) as stores:
        yield stores


@pytest.fixture(scope="module")
def wires(stack_stores: dict[str, str]) -> Iterator[Wires]:
    with ExitStack() as opened:
        urls = [urlsplit(stack_stores[name]) for name in ("DATABASE_URL", "REDIS_URL")]
        yield Wires(*(opened.enter_context(Wire(url.hostname, url.port)) for url in urls))


@pytest.fixture(scope="module")
def wired_stores(stack_stores: dict[str, str], wires: Wires) -> dict[str, str]:
    """`stack_stores`, over the wires."""
    by_name = {"DATABASE_URL": wires.database, "REDIS_URL": wires.redis}
    return {name: _with_port(stack_stores[name], wire.port) for name, wire in by_name.items()}


def _with_port(address: str, port: int) -> str:
    url = urlsplit(address)
    return url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{port}").geturl()


@pytest.fixture(scope="module")
def make_stack(
    stack_stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Stack]:
    """Makes the processes that `make run` starts, on those stores; `with` runs and ends them.

    Each takes more than a second of CPU to start: `parts` names those that the tests need.
    """

    def make(*, parts: Collection[str] = ("web", "worker"), **environ: Any) -> Stack:
        var = tmp_path_factory.mktemp("var")
        return stack_on(stack_stores, var=var, parts=parts, **environ)

    return make


@pytest.fixture(scope="session")
def shared_stripe() -> Iterator[FakeStripe]:
    """The Stripe of the shared stack."""
    with FakeStripe(secret_key=KEY) as fake:
        fake.add_price(PRICE)
        yield fake


@pytest.fixture(scope="session")
def shared_stack(
    shared_stripe: FakeStripe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A web process and a worker, for tests that change no setting and break nothing.

    Tests with this fixture are in the xdist group `shared_stack`: one stack serves all of them. The
    stack sells Pro, asks a fake Gemini, lets pages of `ORIGIN` read, and limits nobody.
    """
    with ExitStack() as opened:
        gemini = opened.enter_context(FakeGemini())
        stores = opened.enter_context(new_stores("shared", redis_offset=2 * WORKERS))
        stack = stack_on(
            stores,
            var=tmp_path_factory.mktemp("var"),
            parts=("web", "worker"),
            **SELLING,
            **dict.fromkeys(LIFTED_LIMITS, "100000"),
            STRIPE_API_BASE=shared_stripe.url,
            GOOGLE_API_KEY="test-key",
            GEMINI_API_BASE=gemini.url,
            CORS_ALLOWED_ORIGINS=ORIGIN,
        )
        yield opened.enter_context(stack)
