"""Idempotency-Key: a repeated request gets the first answer, and does nothing.

    @action(detail=True, methods=["post"])
    @idempotent
    def edit(self, request, pk): ...

`idempotent` runs the action and stores the answer in one transaction. An action with a call to
another service must hold no transaction meanwhile. So `idempotent_over_network` first commits a row
with a lease of the key, and writes the answer into the row at the end. Only answers of 2xx are
stored; after any other answer the client may retry the key.
"""

import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from accounts.api.authentication import AuthenticatedRequest
from accounts.models import IdempotencyRecord
from accounts.models.idempotency import KeyLocked
from accounts.models.rate_limits import LIFETIME
from gemchat.api.errors import DomainError

ACCEPTED_KEY = re.compile(r"[\x20-\x7e]{1,255}")
LEASE = timedelta(seconds=60)

Action = Callable[..., Response]
Act = Callable[[], Response]
Answer = Callable[..., HttpResponse]


class IdempotencyKeyInvalid(DomainError):
    code = "idempotency_key_invalid"
    message = "Idempotency-Key must be 1 to 255 printable ASCII characters."
    status = 422


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another request. Take a new one."
    status = 422


class IdempotencyInProgress(DomainError):
    code = "idempotency_in_progress"
    message = "The first request with this Idempotency-Key has not ended yet."
    status = 409


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    user_id: uuid.UUID
    key: str
    digest: bytes

    @classmethod
    def from_request(cls, request: AuthenticatedRequest) -> "KeyedRequest | None":
        """None without the header; raises IdempotencyKeyInvalid."""
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if key is None:
            return None
        if not ACCEPTED_KEY.fullmatch(key):
            raise IdempotencyKeyInvalid
        path, _, query = request.get_full_path().partition("?")
        line = f"{request.method} {path.rstrip('/')}?{query}\n"
        return cls(request.user.pk, key, hashlib.sha256(line.encode() + request.body).digest())


def idempotent(action: Action) -> Answer:
    """Wrap an action with writes to the database alone: one transaction for writes and answer."""
    return _wrap(action, _answer_in_transaction)


def idempotent_over_network(action: Action) -> Answer:
    """Wrap an action with calls to another service, if a repeated call is harmless."""
    return _wrap(action, _answer_under_lease)


def _wrap(action: Action, answer_once: Callable[[KeyedRequest, Act], HttpResponse]) -> Answer:
    @wraps(action)
    def answer(view: Any, request: AuthenticatedRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        act = partial(action, view, request, *args, **kwargs)
        keyed = KeyedRequest.from_request(request)
        return act() if keyed is None else answer_once(keyed, act)

    return answer


def _answer_in_transaction(keyed: KeyedRequest, act: Act) -> HttpResponse:
    with transaction.atomic():
        if found := _lock_and_find(keyed):
            return _replay(found)
        response = act()
        if not _is_success(response):
            transaction.set_rollback(True)
            return response
        answer = _stored_answer(response)
        _insert(keyed, **answer)
    return _rendered(**answer)


def _answer_under_lease(keyed: KeyedRequest, act: Act) -> HttpResponse:
    with transaction.atomic():
        if found := _lock_and_find(keyed):
            return _replay(found)
        claim = _insert(keyed, lease_until=timezone.now() + LEASE)
    # The lease is the fence: a request after a takeover of the key has another record.
    own = IdempotencyRecord.objects.filter(pk=claim.pk, status=None)
    is_stored = False
    try:
        response = act()
        if not _is_success(response):
            return response
        answer = _stored_answer(response)
        own.update(**answer, lease_until=None)
        is_stored = True
    finally:
        if not is_stored:
            own.delete()
    return _rendered(**answer)


def _lock_and_find(keyed: KeyedRequest) -> IdempotencyRecord | None:
    """Return the stored answer, or lock the key for this transaction.

    Raises IdempotencyInProgress and IdempotencyKeyReused.
    """
    records = IdempotencyRecord.objects
    try:
        record = records.lock_and_get(user_id=keyed.user_id, key=keyed.key)
    except KeyLocked as error:
        raise IdempotencyInProgress(retry_after=1) from error
    if record is None:
        return None
    if _is_over(record):
        records.filter(pk=record.pk).delete()
        return None
    if record.request_digest != keyed.digest:
        raise IdempotencyKeyReused
    if record.status is None:
        raise IdempotencyInProgress(retry_after=1)
    return record


def _is_over(record: IdempotencyRecord) -> bool:
    now = timezone.now()
    if record.status is None and record.lease_until is not None:
        return record.lease_until <= now
    return record.created_at <= now - LIFETIME


def _insert(keyed: KeyedRequest, **fields: Any) -> IdempotencyRecord:
    try:
        return IdempotencyRecord.objects.create(
            user_id=keyed.user_id,
            key=keyed.key,
            request_digest=keyed.digest,
            created_at=timezone.now(),
            **fields,
        )
    except IntegrityError as error:
        raise IdempotencyInProgress(retry_after=1) from error


def _is_success(response: Response) -> bool:
    return 200 <= response.status_code < 300


def _stored_answer(response: Response) -> dict[str, Any]:
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    body = JSONRenderer().render(response.data).decode()
    return {"status": response.status_code, "headers": headers, "body": body}


def _rendered(*, status: int, headers: dict[str, str], body: str) -> HttpResponse:
    return HttpResponse(body, "application/json", status, headers=headers)


def _replay(record: IdempotencyRecord) -> HttpResponse:
    headers = {**record.headers, "Idempotent-Replayed": "true"}
    return _rendered(status=record.status or 200, headers=headers, body=record.body)
