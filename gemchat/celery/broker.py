"""Celery's Redis transport: it publishes for less, and leaves addresses to `gemchat.stores.redis`.

Written against kombu 5.7, of which it uses private names.
"""

from functools import cached_property
from typing import Any

from kombu.transport import redis

from gemchat.stores.redis import connection_options

# What kombu sets for TCP alone.
TCP_OPTIONS = ("host", "port", "socket_keepalive", "socket_keepalive_options")


class Channel(redis.Channel):
    """Keeps the client that it publishes by. kombu 5.7 makes another for each message, a fifth
    of what `delay` costs; connections are the pool's either way."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """kombu's options with the address of ours: its own would not verify a certificate."""
        address = connection_options(self.connection.client.hostname)
        # kombu derives the class of an event loop's connections from this one.
        self.connection_class = self.connection_class_ssl = address.pop("connection_class")
        options = super()._connparams(asynchronous=asynchronous)
        left_out = TCP_OPTIONS if "path" in address else ()
        kept = {
            name: value
            for name, value in options.items()
            # kombu's own for a URL of rediss says not to verify.
            if name not in left_out and not name.startswith("ssl_")
        }
        return {**kept, **address}

    def _create_client(self, asynchronous: bool = False) -> Any:
        return super()._create_client(asynchronous=True) if asynchronous else self._publisher

    @cached_property
    def _publisher(self) -> Any:
        return super()._create_client()


class Transport(redis.Transport):
    Channel = Channel
    # Else kombu would take the URL to pieces, and know nothing of `unix`.
    can_parse_url = True
