"""The names of actions on conversations in the audit log."""

from django.db import models


class MessagingAction(models.TextChoices):
    """Actions of users, commands and staff on conversations, as in the audit log."""

    CHATROOM_DELETED = "chatroom_deleted"
    REPLY_RETRIED = "reply_retried"
