from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2Hasher(Argon2PasswordHasher):
    """argon2id with OWASP's least figures (Password Storage Cheat Sheet): 19 MiB, 2 passes, 1 lane.

    Django's own 100 MiB and 8 lanes would let a few sign-ins at once take all of a small
    machine's memory.
    """

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1
