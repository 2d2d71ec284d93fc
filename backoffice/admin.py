"""Register every page of the back office; Django imports this module."""

from backoffice.pages import (
    accounts,
    billing,
    conversations,
    files,
    gemini_models,
    message_content,
    tasks,
    users,
)

__all__ = [
    "accounts",
    "billing",
    "conversations",
    "files",
    "gemini_models",
    "message_content",
    "tasks",
    "users",
]
