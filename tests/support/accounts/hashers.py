"""Quick password hashers that count calls or wait for the test."""

import threading

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class CountingHasher(PBKDF2PasswordHasher):
    """Count the hashes."""

    algorithm = "counting"
    iterations = 1
    hashed: list[str] = []

    def encode(self, password, salt, iterations=None):
        self.hashed.append(salt)
        return super().encode(password, salt, iterations)


class GatedHasher(PBKDF2PasswordHasher):
    """Wait after each check of a password until the test opens the gate."""

    algorithm = "gated"
    iterations = 1
    reached = threading.Event()
    gate = threading.Event()

    @classmethod
    def close(cls):
        cls.reached.clear()
        cls.gate.clear()

    @classmethod
    def wait_until_reached(cls):
        assert cls.reached.wait(10), "no password was checked"

    def verify(self, password, encoded):
        matches = super().verify(password, encoded)
        self.reached.set()
        assert self.gate.wait(10), "the gate stayed shut"
        return matches
