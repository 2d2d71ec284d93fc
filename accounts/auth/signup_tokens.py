"""The token of a sign-up's password hash, until the number is verified.

The token is encrypted: a token in a log or a proxy's trace must not expose a hash to crackers.
"""

import base64
import json
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

LIFETIME = timedelta(hours=1)
PURPOSE = b"accounts.signup"


def seal(*, mobile: str, encoded_password: str) -> str:
    """Encrypt a number and the hash of its password."""
    return _cipher().encrypt(json.dumps([mobile, encoded_password]).encode()).decode()


def open_seal(token: str, *, mobile: str) -> str | None:
    """Return the hash in a token of this number; None for any other token."""
    try:
        content = _cipher().decrypt(token.encode(), ttl=int(LIFETIME.total_seconds()))
    except InvalidToken:
        return None
    sealed_mobile, encoded_password = json.loads(content)
    return encoded_password if sealed_mobile == mobile else None


def _cipher() -> Fernet:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE)
    return Fernet(base64.urlsafe_b64encode(derivation.derive(settings.SECRET_KEY.encode())))
