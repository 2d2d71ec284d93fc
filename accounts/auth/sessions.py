"""The life of a session: opened by a sign-in, renewed by a refresh token, ended."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.auth.tokens import RefreshToken
from accounts.models import AuditEvent, Session, User
from accounts.models.audit import AccountAction
from accounts.models.sessions import MOST_SESSIONS
from gemchat.api.client_address import Client
from gemchat.api.errors import DomainError

# Two tabs, or a retry, may present the same token at nearly the same time.
REUSE_GRACE = timedelta(seconds=10)
# The age limit of a sign-in, by code or password, for acts forbidden to a stolen access token.
RECENT_SIGN_IN = timedelta(minutes=10)


class InvalidRefreshToken(DomainError):
    code = "invalid_refresh_token"
    message = "The refresh token is not valid any more. Sign in again."
    status = 401


class RefreshInProgress(DomainError):
    code = "refresh_in_progress"
    message = "This refresh token has just been used. Take the tokens of that answer."
    status = 409


class RecentSignInRequired(DomainError):
    code = "recent_sign_in_required"
    message = "Sign in again first. This is possible for 10 minutes after a sign-in."
    status = 403


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An active session with its refresh token; the row has the digest alone."""

    session: Session
    refresh_token: str


def is_recent(session: Session) -> bool:
    """Check whether the code or password was entered in the last 10 minutes."""
    return timezone.now() - session.authenticated_at < RECENT_SIGN_IN


def require_recent_sign_in(session: Session) -> None:
    """Refuse a session with a sign-in older than 10 minutes. Raises RecentSignInRequired."""
    if not is_recent(session):
        raise RecentSignInRequired


def open_session(
    *,
    user: User,
    method: Session.AuthMethod,
    client: Client,
    channel: Session.Channel = Session.Channel.API,
) -> SignedIn:
    """Sign a user in, in the caller's transaction; beyond MOST_SESSIONS the oldest ones end."""
    # Parallel sign-ins of one user wait here, so each counts the sessions of the earlier sign-ins.
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)
    User.objects.mark_seen(user.pk)
    replaced = Session.objects.filter(user=user).end_oldest(keep=MOST_SESSIONS - 1)
    session_id, now = uuid7(), timezone.now()
    token = RefreshToken.new(session_id)
    session = Session.objects.create(
        id=session_id,
        user=user,
        refresh_digest=token.digest,
        created_at=now,
        last_used_at=now,
        authenticated_at=now,
        channel=channel,
        auth_method=method,
        ip=client.ip,
        user_agent=client.user_agent,
    )
    details: dict[str, Any] = {"replaced": replaced} if replaced else {}
    AuditEvent.objects.record(
        AccountAction.SIGNED_IN, user_id=user.pk, client=client, method=method, **details
    )
    return SignedIn(session, token.text)


def refresh(
    *, refresh_token: str, client: Client, channel: Session.Channel = Session.Channel.API
) -> SignedIn:
    """Exchange a refresh token for a new one. Raises InvalidRefreshToken, RefreshInProgress.

    A token of the other channel is no token here, and does not change its session.
    """
    presented = RefreshToken(refresh_token)
    session = (
        Session.objects.active()
        .select_related("user")
        .filter(refresh_digest=presented.digest, channel=channel, user__is_active=True)
        .first()
    )
    if session is None:
        _refuse(presented, client, channel)
    successor, now = RefreshToken.new(session.pk), timezone.now()
    # The filter names columns of this row alone. PostgreSQL reads the columns again after a wait
    # for the row. So among several requests with the same token, one request still finds the
    # digest.
    rotated = Session.objects.filter(
        pk=session.pk, refresh_digest=presented.digest, revoked_at=None
    ).update(
        refresh_digest=successor.digest,
        previous_digest=presented.digest,
        rotated_at=now,
        last_used_at=now,
    )
    if not rotated:
        _refuse(presented, client, channel)
    User.objects.mark_seen(session.user_id)
    session.last_used_at = now
    return SignedIn(session, successor.text)


def _refuse(presented: RefreshToken, client: Client, channel: Session.Channel) -> NoReturn:
    """Refuse a token; after the grace an old token proves a copy (RFC 9700)."""
    active = Session.objects.active().filter(channel=channel)
    session = active.filter(previous_digest=presented.digest).first()
    if session and session.rotated_at and timezone.now() - session.rotated_at < REUSE_GRACE:
        raise RefreshInProgress(retry_after=1)
    session = session or active.filter(pk=presented.session_id).first()
    is_old = session is not None and bytes(session.refresh_digest) != presented.digest
    if session and is_old and session.end(Session.Ending.REFRESH_REUSED):
        AuditEvent.objects.record(
            AccountAction.REFRESH_REUSED,
            user_id=session.user_id,
            client=client,
            session_id=str(session.pk),
        )
    raise InvalidRefreshToken


def end_session(
    *, user: User, session_id: uuid.UUID, reason: Session.Ending, client: Client
) -> None:
    """End one session of a user. Raises Session.DoesNotExist for any other session."""
    with transaction.atomic():
        session = Session.objects.get(pk=session_id, user=user, revoked_at=None)
        session.end(reason)
        _record_ending(user, 1, reason, client)


def end_web_session(*, refresh_token: str, client: Client) -> None:
    """End the web session of a refresh token, also of an old token.

    Any other text, and a token of the API, ends nothing.
    """
    session_id = RefreshToken(refresh_token).session_id
    with transaction.atomic():
        web = Session.objects.select_related("user").filter(channel=Session.Channel.WEB)
        session = web.filter(pk=session_id).first()
        if session is not None and session.end(Session.Ending.LOGOUT):
            _record_ending(session.user, 1, Session.Ending.LOGOUT, client)


def end_all_sessions(
    *, user: User, reason: Session.Ending, client: Client | None = None, actor: str = ""
) -> int:
    """End every session of a user; return the count."""
    with transaction.atomic():
        ended = Session.objects.filter(user=user).end(reason)
        _record_ending(user, ended, reason, client, actor)
    return ended


def _record_ending(
    user: User, count: int, reason: Session.Ending, client: Client | None, actor: str = ""
) -> None:
    AuditEvent.objects.record(
        AccountAction.SESSIONS_ENDED,
        user_id=user.pk,
        client=client,
        actor=actor,
        sessions=count,
        reason=reason,
    )
