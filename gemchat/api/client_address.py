"""The address of a client, for rate limits, sessions and the audit log."""

import ipaddress
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

USER_AGENT_LENGTH = 200
UNKNOWN_NETWORK = "unknown"
# The share of an IPv6 network in an IPv4 address's limits. A /48 is as easy to get as one address;
# within a /48, one home or phone has a /64, or a /56.
SHARES_OF_IPV6 = {64: 1 / 3, 56: 1 / 2, 48: 1.0}


@dataclass(frozen=True, slots=True)
class Client:
    ip: str | None = None
    user_agent: str = ""

    @property
    def network(self) -> str:
        """Name the narrowest network of a client: the IPv4 address, or the IPv6 /64."""
        return next(iter(self.networks))

    @property
    def networks(self) -> dict[str, float]:
        """Return the networks for limits, narrow to wide, with their shares of a limit."""
        if self.ip is None:
            return {UNKNOWN_NETWORK: 1.0}
        address = ipaddress.ip_address(self.ip)
        if address.version == 4:
            return {self.ip: 1.0}
        return {
            str(ipaddress.ip_network((address, width), strict=False)): share
            for width, share in SHARES_OF_IPV6.items()
        }


def client_from_request(request: HttpRequest | Request) -> Client:
    user_agent = request.headers.get("User-Agent", "").replace("\0", "")
    return Client(ip=client_ip(request), user_agent=user_agent[:USER_AGENT_LENGTH])


def client_ip(request: HttpRequest | Request) -> str | None:
    """Return the client's address; None where the server has none (a Unix socket).

    Each trusted proxy appends the address of its caller to X-Forwarded-For. So the client is at
    position TRUSTED_PROXY_COUNT from the end; the client itself may have sent the entries before.
    """
    peer = read_address(request.META.get("REMOTE_ADDR", ""))
    count = settings.TRUSTED_PROXY_COUNT
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if count == 0 or len(forwarded) < count:
        return peer
    return read_address(forwarded[-count]) or peer


def read_address(text: str) -> str | None:
    """Read an address for PostgreSQL's inet: no port, no zone, no IPv4 inside IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
