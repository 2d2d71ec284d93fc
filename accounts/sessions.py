"""The life of a session: opened by a sign-in, renewed by its refresh token, ended."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.client import Client
from accounts.models import AuditEvent, Session, User
from accounts.tokens import RefreshToken
from gemchat.errors import DomainError

# Two tabs, or a retry, may present the same token at nearly the same time.
REUSE_GRACE = timedelta(seconds=10)


class InvalidRefreshToken(DomainError):
    code = "invalid_refresh_token"
    message = "The refresh token is not valid any more. Sign in again."
    status = 401


class RefreshInProgress(DomainError):
    code = "refresh_in_progress"
    message = "This refresh token has just been used. Take the tokens of that answer."
    status = 409


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A live session, and the refresh token of which the row has the digest alone."""

    session: Session
    refresh_token: str


def open_session(*, user: User, method: Session.AuthMethod, client: Client) -> SignedIn:
    """Sign a user in, in the caller's transaction."""
    session_id, now = uuid7(), timezone.now()
    token = RefreshToken.new(session_id)
    session = Session.objects.create(
        id=session_id,
        user=user,
        refresh_digest=token.digest,
        created_at=now,
        last_used_at=now,
        authenticated_at=now,
        auth_method=method,
        ip=client.ip,
        user_agent=client.user_agent,
    )
    AuditEvent.objects.record(
        AuditEvent.Action.SIGNED_IN, user_id=user.pk, client=client, method=method
    )
    return SignedIn(session, token.text)


def refresh(*, refresh_token: str, client: Client) -> SignedIn:
    """Exchange a refresh token for a new one. Raises InvalidRefreshToken, RefreshInProgress."""
    presented = RefreshToken(refresh_token)
    session = (
        Session.objects.live()
        .select_related("user")
        .filter(refresh_digest=presented.digest, user__is_active=True)
        .first()
    )
    if session is None:
        _refuse(presented, client)
    successor, now = RefreshToken.new(session.pk), timezone.now()
    # Names columns of its own row alone: PostgreSQL looks at them again when it has waited for
    # the row, so of several that present the same token one finds its digest still there.
    rotated = Session.objects.filter(
        pk=session.pk, refresh_digest=presented.digest, revoked_at=None
    ).update(
        refresh_digest=successor.digest,
        previous_digest=presented.digest,
        rotated_at=now,
        last_used_at=now,
    )
    if not rotated:
        _refuse(presented, client)
    session.last_used_at = now
    return SignedIn(session, successor.text)


def _refuse(presented: RefreshToken, client: Client) -> NoReturn:
    """Within the grace nothing is wrong; later an old token tells of a copy (RFC 9700)."""
    session = Session.objects.live().filter(previous_digest=presented.digest).first()
    if session and session.rotated_at and timezone.now() - session.rotated_at < REUSE_GRACE:
        raise RefreshInProgress(retry_after=1)
    session = session or Session.objects.live().filter(pk=presented.session_id).first()
    is_old = session is not None and bytes(session.refresh_digest) != presented.digest
    if session and is_old and session.end(Session.Ending.REFRESH_REUSED):
        AuditEvent.objects.record(
            AuditEvent.Action.REFRESH_REUSED,
            user_id=session.user_id,
            client=client,
            session_id=str(session.pk),
        )
    raise InvalidRefreshToken


def end_session(
    *, user: User, session_id: uuid.UUID, reason: Session.Ending, client: Client
) -> None:
    """End one session of a user. Raises Session.DoesNotExist for any other."""
    with transaction.atomic():
        session = Session.objects.get(pk=session_id, user=user, revoked_at=None)
        session.end(reason)
        _record_ending(user, 1, reason, client)


def end_by_token(*, refresh_token: str, client: Client) -> None:
    """End the session that a refresh token was made for, an old one too; any other text is none."""
    session_id = RefreshToken(refresh_token).session_id
    with transaction.atomic():
        session = Session.objects.select_related("user").filter(pk=session_id).first()
        if session is not None and session.end(Session.Ending.LOGOUT):
            _record_ending(session.user, 1, Session.Ending.LOGOUT, client)


def end_all_sessions(
    *, user: User, reason: Session.Ending, client: Client | None = None, actor: str = ""
) -> int:
    """End every session of a user; how many there were."""
    with transaction.atomic():
        ended = Session.objects.filter(user=user).end(reason)
        _record_ending(user, ended, reason, client, actor)
    return ended


def _record_ending(
    user: User, count: int, reason: Session.Ending, client: Client | None, actor: str = ""
) -> None:
    AuditEvent.objects.record(
        AuditEvent.Action.SESSIONS_ENDED,
        user_id=user.pk,
        client=client,
        actor=actor,
        sessions=count,
        reason=reason,
    )
