"""What tests of whole processes need: databases of their own, free ports, running stacks."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from dev.stack import Stack
from tests.support.fakes.gemini import FakeGemini
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.wire import Wire
from tests.support.payments import KEY, PRICE, SECRET
from tests.support.stack.processes import Log, free_port
from tests.support.stack.stores import Wires

# Tests in this process use the lower half of the server's sixteen databases.
STACK_REDIS_OFFSET = 8


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
    return {
        "STRIPE_API_BASE": stripe_server.url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_PRO_PRICE_ID": PRICE,
        "STRIPE_WEBHOOK_SECRET": SECRET,
    }


@pytest.fixture(scope="module")
def stack_redis() -> str:
    """The URL of a Redis database that no test in this process uses."""
    redis = urlsplit(os.environ["REDIS_URL"])
    number = int(redis.path.strip("/") or 0) + STACK_REDIS_OFFSET
    return redis._replace(path=f"/{number}").geturl()


@pytest.fixture(scope="module")
def stack_stores(stack_redis: str) -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL of a new, migrated database and an empty Redis one."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"stack_{os.getpid()}"
    template = os.environ.get("TEST_DATABASE_TEMPLATE") or "template1"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield {
            "DATABASE_URL": server._replace(path=f"/{name}").geturl(),
            "REDIS_URL": stack_redis,
        }
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


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

    def make(*, parts: Collection[str] = ("web", "worker", "beat"), **environ: Any) -> Stack:
        development = {"DEBUG": "true", "OTP_ECHO": "true", "TRUSTED_PROXY_COUNT": "1"}
        return Stack(
            var=tmp_path_factory.mktemp("var"),
            environ={**os.environ, **stack_stores, **development, **environ},
            port=free_port(),
            output=Log(),
            parts=parts,
        )

    return make
