from accounts.models.audit import AuditEvent
from accounts.models.codes import OneTimeCode
from accounts.models.records import IdempotencyRecord, LimitHit
from accounts.models.sessions import Session
from accounts.models.users import User

__all__ = ["AuditEvent", "IdempotencyRecord", "LimitHit", "OneTimeCode", "Session", "User"]
