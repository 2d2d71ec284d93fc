"""Tests reach this machine alone, and none of its real keys."""

import os
import socket

import pytest

from tests.support.plugins.servers import OutsideWorld


def test_connection_to_another_address_is_refused():
    with pytest.raises(OutsideWorld, match="192.0.2.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_look_up_of_a_name_is_refused():
    with pytest.raises(OutsideWorld, match="chat.example"):
        socket.getaddrinfo("chat.example", 80)


def test_datagram_to_another_address_is_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as sender, pytest.raises(OutsideWorld):
        sender.sendto(b"", ("192.0.2.1", 53))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


@pytest.mark.parametrize("name", ["GOOGLE_API_KEY", "STRIPE_SECRET_KEY", "HTTPS_PROXY"])
def test_environment_holds_no_real_key(name):
    assert not os.environ.get(name)
