"""The files of messages."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db import models

from files.models import File
from messaging.models.messages import Message


class MessageFileQuerySet(models.QuerySet["MessageFile"]):
    def add_files(self, message: Message, files: Sequence[File]) -> None:
        """Add locked files to a new message, in the order of the files."""
        MessageFile.objects.bulk_create(
            MessageFile(message=message, file=file, position=position)
            for position, file in enumerate(files)
        )

    def names(self, messages: Iterable[Message]) -> dict[uuid.UUID, list[str]]:
        """Return the names of the files by message, in order."""
        names: dict[uuid.UUID, list[str]] = defaultdict(list)
        added = self.filter(message__in=list(messages)).order_by("message", "position")
        for message_id, name in added.values_list("message_id", "file__name"):
            names[message_id].append(name)
        return names

    def ready_of(self, message_id: uuid.UUID | None) -> "MessageFileQuerySet":
        """Filter the files of a message that are not deleted, in order."""
        ready = self.filter(message=message_id, file__status=File.Status.READY)
        return ready.order_by("position")


class MessageFile(models.Model):
    """A file in a message.

    A trigger gives the file to the sweep when the row goes.
    """

    message = models.ForeignKey(Message, models.CASCADE, related_name="file_uses", db_index=False)
    file = models.ForeignKey(File, models.CASCADE, related_name="uses", db_index=False)
    position = models.PositiveSmallIntegerField()

    objects = MessageFileQuerySet.as_manager()

    class Meta:
        constraints = [
            # The files of a message, in order.
            models.UniqueConstraint("message", "position", name="message_file_position"),
            # The messages of a file.
            models.UniqueConstraint("file", "message", name="message_file_once"),
        ]

    def __str__(self) -> str:
        return f"{self.file_id} of {self.message_id}"
