"""Bearer tokens: the session of a request."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from accounts.auth.tokens import InvalidToken, read_access_token
from accounts.models import Session, User
from accounts.models.reads import FirstRead, find_active_session

REFUSAL = "The access token is missing, expired or revoked."
# `last_used_at` is for people: a write at each request would cost too much.
LAST_USED_PRECISION = timedelta(hours=1)


class AuthenticatedRequest(Request):
    """The type of a request in a view with a required token."""

    user: User
    auth: Session


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; request.auth is the Session.

    `first_read` gives the view's first read, before the session of the request is known.
    """

    def __init__(self, first_read: Callable[[Request], FirstRead | None] | None = None) -> None:
        self._first_read = first_read

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        session = session_for(header, self._first_read(request) if self._first_read else None)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def session_for(authorization_header: str, first_read: FirstRead | None = None) -> Session:
    """Return the active session of a token with its user; read `first_read` too.

    The query of the session also reads `first_read`. Each request reads the session, so a logout, a
    password change, a ban and a deletion take effect at once. Raises AuthenticationFailed.
    """
    scheme, _, token = authorization_header.partition(" ")
    if scheme.lower() != "bearer":
        raise AuthenticationFailed(REFUSAL, "invalid_token")
    try:
        session_id, user_id = read_access_token(token.strip())
    except InvalidToken as error:
        raise AuthenticationFailed(REFUSAL, "invalid_token") from error
    session = find_active_session(session_id=session_id, user_id=user_id, first_read=first_read)
    if session is None:
        raise AuthenticationFailed(REFUSAL, "invalid_token")
    _touch(session)
    return session


def _touch(session: Session) -> None:
    now = timezone.now()
    if now - session.last_used_at > LAST_USED_PRECISION:
        Session.objects.filter(pk=session.pk, revoked_at=None).update(last_used_at=now)
        User.objects.mark_seen(session.user_id)


def authenticated_user(request: Request) -> User:
    """Return the user of a request after a permission class."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
