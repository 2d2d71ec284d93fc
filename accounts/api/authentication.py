"""Bearer tokens to sessions: the one query that every authenticated request costs."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from accounts.auth.tokens import InvalidToken, read_access_token
from accounts.models import Session, User
from gemchat.stores.statements import CompiledQuery, fetch

REFUSAL = "The access token is missing, expired or revoked."
# `last_used_at` is for people to look at; it need not cost a write at each request.
LAST_USED_PRECISION = timedelta(hours=1)


class AuthenticatedRequest(Request):
    """For annotations: what a request is to a view that needs a token."""

    user: User
    auth: Session


@dataclass(slots=True)
class FirstRead:
    """What a view reads first of the rows of a user, who is `%(user)s` in the statement.

    It finds one value. As the token tells whose rows they are, it can be asked for together with
    the session; `value` is there only for a caller who was let in.
    """

    statement: str
    values: Mapping[str, Any]
    value: Any = None


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; request.auth is the Session.

    `first_read` is asked for what the view will read first, before anything is known of the caller.
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
    """The live session that a header's token belongs to, its user loaded; `first_read` with it.

    Raises AuthenticationFailed for anything else. It is looked up each time, so that logout, a
    password change, a ban and a deletion hold from the next request on.
    """
    scheme, _, token = authorization_header.partition(" ")
    if scheme.lower() != "bearer":
        raise AuthenticationFailed(REFUSAL, "invalid_token")
    try:
        session_id, user_id = read_access_token(token.strip())
    except InvalidToken as error:
        raise AuthenticationFailed(REFUSAL, "invalid_token") from error
    session = _live_session(session_id, user_id, first_read)
    if session is None:
        raise AuthenticationFailed(REFUSAL, "invalid_token")
    _touch(session)
    return session


def _live_session(
    session_id: uuid.UUID, user_id: uuid.UUID, first_read: FirstRead | None
) -> Session | None:
    """The session with its user, if it has not ended and the user may come in."""
    active = _live_sessions()
    if first_read is None:
        return active.get_or_none([session_id, user_id])
    look = active.sql_with_names("session", "user")
    found = fetch(
        f"SELECT live.*, ({first_read.statement}) FROM ({look}) AS live",  # noqa: S608
        {**first_read.values, "session": session_id, "user": user_id},
    )
    if not found:
        return None
    [(*row, first_read.value)] = found
    return active.from_row(row)


@cache
def _live_sessions() -> CompiledQuery[Session]:
    active = Session.objects.select_related("user").filter(
        pk=uuid.UUID(int=1), user=uuid.UUID(int=2), user__is_active=True, revoked_at=None
    )
    return CompiledQuery(active, "user")


def _touch(session: Session) -> None:
    now = timezone.now()
    if now - session.last_used_at > LAST_USED_PRECISION:
        Session.objects.filter(pk=session.pk, revoked_at=None).update(last_used_at=now)


def authenticated_user(request: Request) -> User:
    """The user of a request that a permission class has let through."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
