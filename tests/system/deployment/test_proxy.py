"""deploy/nginx.conf as a real nginx: behind a TLS proxy, and before two web processes."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests

from dev.servers.stack import Stack
from tests.support.fakes.certificates import Authority
from tests.support.stack.api_client import ApiUser
from tests.support.stack.nginx import shipped_proxy, tls_proxy
from tests.support.waiting import eventually

SENDERS = 4
LIFTED = dict.fromkeys(
    ("BASIC_DAILY_LIMIT", "BASIC_WAITING_REPLIES", "BASIC_SENDS_PER_MINUTE"), "100000"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "proxies")


@pytest.fixture(scope="module")
def ports(
    make_stack: Callable[..., Stack],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[int, int, int]]:
    """The ports of a TLS proxy (HTTPS, HTTP) and of the shipped proxy."""
    folder = tmp_path_factory.mktemp("nginx")
    authority.serving("127.0.0.1")
    certificate = authority.path.parent / "127.0.0.1.pem"
    hops = {"TRUSTED_PROXY_COUNT": "2", "HSTS_SECONDS": "600"}
    with (
        make_stack(parts=("web",), **hops) as stack,
        shipped_proxy([stack.port], folder=folder / "shipped") as inner,
        tls_proxy(inner, certificate=certificate, folder=folder / "tls") as (tls, plain),
    ):
        yield tls, plain, inner


def test_person_signs_in_through_a_tls_proxy_in_front(
    ports: tuple[int, int, int], authority: Authority
) -> None:
    person = ApiUser(f"https://127.0.0.1:{ports[0]}")
    person.session.verify = str(authority.path)

    person.sign_in()

    assert person.get("user/me")["mobile"] == person.mobile
    page = person.session.get(f"{person.site}/", timeout=40)
    assert page.headers["Strict-Transport-Security"] == "max-age=600"


def test_staff_form_passes_csrf_through_a_tls_proxy_in_front(
    ports: tuple[int, int, int], authority: Authority
) -> None:
    url = f"https://127.0.0.1:{ports[0]}/admin/login/"
    browser = requests.Session()
    # Else REQUESTS_CA_BUNDLE would take the place of `verify`.
    browser.trust_env = False
    browser.verify = str(authority.path)
    [token] = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', browser.get(url, timeout=40).text)

    answer = browser.post(
        url,
        {"csrfmiddlewaretoken": token, "username": "+12025550100", "password": "wrong"},
        headers={"Origin": f"https://127.0.0.1:{ports[0]}"},
        timeout=40,
    )

    assert answer.status_code == 200


def test_client_on_plain_http_is_not_believed_to_use_tls(ports: tuple[int, int, int]) -> None:
    url = f"http://127.0.0.1:{ports[1]}"

    answer = requests.post(
        f"{url}/web/session",
        json={"mobile": "+919812345678", "otp": "000000"},
        headers={"Origin": url.replace("http", "https"), "X-Forwarded-Proto": "https"},
        timeout=40,
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize("hop", [1, 2], ids=["behind the TLS proxy", "alone"])
def test_plain_http_under_a_public_name_is_redirected(
    ports: tuple[int, int, int], hop: int
) -> None:
    answer = requests.post(
        f"http://127.0.0.1:{ports[hop]}/api/v1/auth/send-otp?a=b",
        headers={"Host": "chat.example"},
        timeout=40,
        allow_redirects=False,
    )

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://chat.example/api/v1/auth/send-otp?a=b"


def test_restart_of_one_web_of_two_fails_no_request_and_repeats_no_send(
    make_stack: Callable[..., Stack], stack_stores: dict[str, str], tmp_path: Path
) -> None:
    statuses: Counter[int] = Counter()
    is_over = threading.Event()
    with (
        make_stack(parts=("web",), **LIFTED) as first,
        make_stack(parts=("web",), **LIFTED) as second,
        shipped_proxy([first.port, second.port], folder=tmp_path / "nginx") as port,
        ThreadPoolExecutor(SENDERS) as threads,
    ):
        people = [ApiUser(f"http://127.0.0.1:{port}").sign_in() for _ in range(SENDERS)]

        def send(person: ApiUser) -> None:
            url = f"{person.url}/message/chatroom/{person.open_room()}/message"
            for number in range(10_000):
                if is_over.is_set():
                    return
                body = {"prompt": f"{person.mobile} {number}"}
                answer = person.session.post(url, json=body, timeout=40)
                statuses[answer.status_code] += 1

        sending = [threads.submit(send, person) for person in people]
        eventually(lambda: statuses[202] > 20, seconds=60)
        first.processes["web"].terminate()
        first.processes["web"].wait(30)
        first.restart("web")
        sent = statuses.total()
        eventually(lambda: statuses.total() > sent + 50, seconds=60)
        is_over.set()
        for each in sending:
            each.result(60)

    with psycopg.connect(stack_stores["DATABASE_URL"]) as connection:
        [(prompts, different)] = connection.execute(
            "SELECT count(*), count(DISTINCT content) FROM messaging_message WHERE sender = 'user'"
        ).fetchall()
    assert statuses.keys() == {202}, statuses
    assert prompts == different == statuses[202]
