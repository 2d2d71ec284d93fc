"""The names of actions on conversations in the audit log."""

from django.db import models


class MessagingAction(models.TextChoices):
    """What users, commands and staff do to conversations, as the audit log names it."""

    CHATROOM_DELETED = "chatroom_deleted"
    REPLY_RETRIED = "reply_retried"
