"""A password hasher that counts how often it is asked, and is quick."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class CountingHasher(PBKDF2PasswordHasher):
    algorithm = "counting"
    iterations = 1
    hashed: list[str] = []

    def encode(self, password, salt, iterations=None):
        self.hashed.append(salt)
        return super().encode(password, salt, iterations)
