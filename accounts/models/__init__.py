from accounts.models.audit import AccountAction, AuditAddress, AuditEvent
from accounts.models.erasures import Erasure
from accounts.models.idempotency import IdempotencyRecord
from accounts.models.one_time_codes import OneTimeCode
from accounts.models.rate_limits import LimitHit
from accounts.models.sessions import Session
from accounts.models.users import User

__all__ = [
    "AccountAction",
    "AuditAddress",
    "AuditEvent",
    "Erasure",
    "IdempotencyRecord",
    "LimitHit",
    "OneTimeCode",
    "Session",
    "User",
]
