"""Password hashing: the cost, and the number of hashing threads in a process."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher

from gemchat.api.errors import DomainError
from gemchat.serving.permits import NoPermit, Permits

# Half of the cores hash, the others answer everybody else.
HASHING = Permits(max(1, (os.cpu_count() or 1) // 2), waiting=2, patience_seconds=1.0)
_held = threading.local()


class Overloaded(DomainError):
    code = "overloaded"
    message = "Too many passwords are checked at the moment. Try again in a moment."
    status = 503

    def __init__(self) -> None:
        super().__init__(retry_after=1)


@contextmanager
def hashing_permit() -> Iterator[None]:
    """Hold a permit to hash; a thread with a permit goes on. Raises Overloaded.

    Callers take the permit before any count, so a refused call has counted nothing.
    """
    if getattr(_held, "is_held", False):
        yield
        return
    try:
        with HASHING.taken():
            _held.is_held = True
            try:
                yield
            finally:
                _held.is_held = False
    except NoPermit as error:
        raise Overloaded from error


class Argon2Hasher(Argon2PasswordHasher):
    """argon2id with OWASP's least figures (Password Storage Cheat Sheet): 19 MiB, 2 passes, 1 lane.

    Django's own 100 MiB and 8 lanes would let a few sign-ins at once take all of a small machine's
    memory. Every hash holds a permit, on each path of Django to these methods.
    """

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with hashing_permit():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with hashing_permit():
            return super().verify(password, encoded)
