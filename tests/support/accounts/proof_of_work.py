"""Solve the challenges of `accounts.auth.challenges`, as docs/api.md says."""

import base64
import hashlib
import json


def encode(document):
    return base64.b64encode(json.dumps(document).encode()).decode()


def solve(challenge):
    for number in range(challenge["maxnumber"] + 1):
        digest = hashlib.sha256(f"{challenge['salt']}{number}".encode()).hexdigest()
        if digest == challenge["challenge"]:
            return {**challenge, "number": number}
    raise AssertionError("the challenge has no solution")
