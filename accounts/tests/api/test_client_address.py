"""Whose address a request has, with proxies and with liars before it."""

import pytest
from django.test import RequestFactory

from gemchat.api.client_address import Client, client_from_request
from tests.support.accounts.sign_in import NUMBER, post

PEER = "192.0.2.1"


@pytest.mark.parametrize(
    "proxies, forwarded, expected",
    [
        (0, None, PEER),
        (0, "203.0.113.9", PEER),
        (1, None, PEER),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", PEER),
        (1, "junk", PEER),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "203.0.113.9,", PEER),
        (1, "٢٠٣.0.113.9", PEER),
    ],
)
def test_client_address(settings, proxies, forwarded, expected):
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR=PEER, **headers)

    assert client_from_request(request).ip == expected


def test_client_of_a_unix_socket_has_no_address():
    client = client_from_request(RequestFactory().get("/", REMOTE_ADDR=""))

    assert (client.ip, client.network) == (None, "unknown")


def test_network_is_the_64_of_an_ipv6_address():
    assert Client("2001:db8:1:2:3:4:5:6").network == "2001:db8:1:2::/64"


@pytest.mark.django_db
@pytest.mark.parametrize("junk", ["junk", "", ",,,", "[", "1.2.3.4.5", "%", "x" * 5000, ":::::"])
def test_junk_in_x_forwarded_for_is_no_error(settings, junk):
    settings.TRUSTED_PROXY_COUNT = 1

    answer = post("auth/send-otp", {"mobile": NUMBER}, HTTP_X_FORWARDED_FOR=junk)

    assert answer.status_code == 200
