"""Celery's Redis transport: cheaper to publish, with addresses from `gemchat.stores.redis`.

Written against kombu 5.7, with private names: docs/upgrading.md.
"""

from functools import cached_property
from typing import Any

from kombu.transport import redis
from redis.exceptions import ResponseError

from gemchat.stores.redis import connection_options

# Options of kombu for TCP alone.
TCP_OPTIONS = ("host", "port", "socket_keepalive", "socket_keepalive_options")


class Channel(redis.Channel):
    """Reuses the client for publishing.

    kombu 5.7 makes a client for each message, at a fifth of the cost of `delay`. Connections come
    from the pool either way.
    """

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Return kombu's options with our address: kombu would not verify a certificate."""
        address = connection_options(self.connection.client.hostname)
        # kombu derives the class of an event loop's connections from this class.
        self.connection_class = self.connection_class_ssl = address.pop("connection_class")
        options = super()._connparams(asynchronous=asynchronous)
        left_out = TCP_OPTIONS if "path" in address else ()
        kept = {
            name: value
            for name, value in options.items()
            # kombu's options for a URL of rediss turn verification off.
            if name not in left_out and not name.startswith("ssl_")
        }
        return {**kept, **address}

    def _create_client(self, asynchronous: bool = False) -> Any:
        return super()._create_client(asynchronous=True) if asynchronous else self._publisher

    @cached_property
    def _publisher(self) -> Any:
        return super()._create_client()


class Transport(redis.Transport):
    """Treats a refused command as a lost connection.

    A Redis refuses commands during a failover: UNBLOCKED, READONLY, MASTERDOWN, NOREPLICAS. For
    kombu 5.7 such a refusal is an error of the channel, which ends the worker.
    """

    Channel = Channel
    connection_errors = (*redis.Transport.connection_errors, ResponseError)
    # Otherwise kombu parses the URL, without support for `unix`.
    can_parse_url = True
