"""Exceptions of a store that is down, hangs, or ended a statement."""

from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

DATABASE_ERRORS = (OperationalError, InterfaceError)
STORE_ERRORS = (*DATABASE_ERRORS, RedisError)
