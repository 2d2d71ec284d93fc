"""Files for a message: checked and taken in the transaction of the message."""

import uuid
from collections.abc import Sequence

from accounts.models import User
from billing.plans import plan_for_user
from files.models import File
from gemchat.api.errors import DomainError

# An examination takes about a second.
NOT_READY_RETRY_SECONDS = 1


class FileUnknown(DomainError):
    code = "file_unknown"
    message = "You have no such file. Upload it first; an unused file is erased after a day."
    status = 422


class FileNotReady(DomainError):
    code = "file_not_ready"
    message = "A file is still being examined. Send again in a moment."
    status = 409

    def __init__(self) -> None:
        super().__init__(retry_after=NOT_READY_RETRY_SECONDS)


class FileDeleted(DomainError):
    code = "file_deleted"
    message = "A file has been deleted. Remove it from the message, or upload it again."
    status = 409


class FileRefused(DomainError):
    code = "file_refused"
    message = "A file was refused. Remove it from the message."
    status = 422


class TooManyFiles(DomainError):
    code = "too_many_files"
    status = 422

    def __init__(self, most: int) -> None:
        super().__init__(f"A message of your plan may have {most} files.")


class TooManyFileTokens(DomainError):
    code = "too_many_file_tokens"
    status = 422

    def __init__(self, tokens: int, most: int) -> None:
        super().__init__(
            f"The files have about {tokens:,} tokens. A message of your plan may have {most:,}."
        )


REFUSALS = {
    File.Status.RECEIVED: FileNotReady,
    File.Status.DELETED: FileDeleted,
    File.Status.REFUSED: FileRefused,
}


def lock_files(user: User, file_ids: Sequence[uuid.UUID]) -> list[File]:
    """Lock ready files of a user for a message, in the caller's transaction.

    Raises TooManyFiles, FileUnknown, FileNotReady, FileDeleted, FileRefused, TooManyFileTokens.
    """
    plan = plan_for_user(user)
    distinct = list(dict.fromkeys(file_ids))
    if len(distinct) > plan.files_per_message:
        raise TooManyFiles(plan.files_per_message)
    # In the order of ids, so two sends do not wait for each other.
    arrived = File.objects.filter(user=user).exclude(status=File.Status.RECEIVING)
    found = {
        file.pk: file
        for file in arrived.filter(pk__in=distinct).order_by("pk").select_for_update(no_key=True)
    }
    for file_id in distinct:
        if file_id not in found:
            raise FileUnknown
        if refusal := REFUSALS.get(File.Status(found[file_id].status)):
            raise refusal
    tokens = sum(file.tokens or 0 for file in found.values())
    if tokens > plan.file_tokens:
        raise TooManyFileTokens(tokens, plan.file_tokens)
    return [found[file_id] for file_id in distinct]


def take_files(files: Sequence[File]) -> None:
    """Keep locked files from the sweep of unused files."""
    File.objects.filter(pk__in=[file.pk for file in files]).update(erase_at=None)
