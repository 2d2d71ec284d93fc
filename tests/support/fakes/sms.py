"""The SMS backend of tests: the program refuses its own MemoryBackend with DEBUG off."""

from accounts.sms import MemoryBackend


class Outbox(MemoryBackend):
    """Keeps messages in this process, in `MemoryBackend.outbox`."""
