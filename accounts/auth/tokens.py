"""Tokens: access tokens are JWTs of simplejwt, refresh tokens are opaque."""

import base64
import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

import jwt
from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError

from accounts.models import Session

ISSUER = "gemchat"
AUDIENCE = "gemchat-api"
TAG_BYTES = 16
# The clock of the machine that signed a token may be ahead of the clock here.
CLOCK_LEEWAY_SECONDS = 30
NIL = uuid.UUID(int=0)


class InvalidToken(Exception):
    """An access token without this program's signature, or past its expiry."""


class Key(TokenBackend):
    """simplejwt's backend for one key, with the key's id in the token's header."""

    def __init__(self, secret: str, *, algorithm: str) -> None:
        # For `iat` and `nbf` alone: `read_access_token` checks the expiry without a leeway.
        leeway = CLOCK_LEEWAY_SECONDS
        super().__init__(algorithm, secret, audience=AUDIENCE, issuer=ISSUER, leeway=leeway)
        self.kid = hashlib.sha256(b"kid" + secret.encode()).hexdigest()[:8]

    def encode(self, payload: dict[str, Any]) -> str:
        claims = {**payload, "aud": self.audience, "iss": self.issuer}
        return jwt.encode(
            claims, self.prepared_signing_key, self.algorithm, headers={"kid": self.kid}
        )


@cache
def _keyring(secrets: tuple[str, ...], algorithm: str) -> Mapping[str, Key]:
    keys = [Key(secret, algorithm=algorithm) for secret in secrets]
    return {key.kid: key for key in keys}


def keyring() -> Mapping[str, Key]:
    """Return every key by its id: the first key signs, all keys verify."""
    return _keyring(tuple(settings.JWT_SECRETS), settings.JWT_ALGORITHM)


def sign_access_token(session: Session) -> str:
    now = int(timezone.now().timestamp())
    signing_key = next(iter(keyring().values()))
    return signing_key.encode(
        {
            "sub": str(session.user_id),
            "sid": str(session.pk),
            "iat": now,
            "exp": now + int(settings.JWT_LIFETIME.total_seconds()),
        }
    )


def read_access_token(token: str) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the ids of session and user. Raises InvalidToken."""
    session_id, user_id, expires_at = _verified(token, tuple(settings.JWT_SECRETS))
    if expires_at <= time.time():
        raise InvalidToken
    return session_id, user_id


@lru_cache(maxsize=4096)
def _verified(token: str, secrets: tuple[str, ...]) -> tuple[uuid.UUID, uuid.UUID, int]:
    """Return session, user and expiry of a token.

    The cache spares 0.1 ms: a client sends the same token with each request.
    """
    try:
        key = keyring()[jwt.get_unverified_header(token)["kid"]]
        claims = key.decode(cast(Any, token))
        return uuid.UUID(str(claims["sid"])), uuid.UUID(str(claims["sub"])), int(claims["exp"])
    except (TokenBackendError, jwt.InvalidTokenError, LookupError, TypeError, ValueError) as error:
        raise InvalidToken from error


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token with its session under a tag, to recognise old tokens."""

    text: str

    @classmethod
    def new(cls, session_id: uuid.UUID) -> "RefreshToken":
        content = session_id.bytes + secrets.token_bytes(32)
        return cls(base64.urlsafe_b64encode(content + _tag(content)).decode())

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def session_id(self) -> uuid.UUID:
        """The session of the token; the nil UUID for a token of another origin."""
        try:
            raw = base64.urlsafe_b64decode(self.text)
        except ValueError:
            return NIL
        content, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
        if len(content) != 48 or not hmac.compare_digest(tag, _tag(content)):
            return NIL
        return uuid.UUID(bytes=content[:16])


def _tag(content: bytes) -> bytes:
    key = settings.SECRET_KEY.encode()
    return hmac.digest(key, b"refresh token" + content, "sha256")[:TAG_BYTES]
