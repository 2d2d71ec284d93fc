"""The tables of billing."""

from billing.models.quotas import *  # noqa: F403
