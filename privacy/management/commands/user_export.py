import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.cli import COMMAND, UserCommand
from accounts.models import AuditEvent, User
from files.storage.blobs import StorageUnavailable
from privacy.export import write_archive
from privacy.models import PrivacyAction


class Command(UserCommand):
    help = "Write all data of a user into a ZIP of JSON files."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--output", type=Path, help="the file, a new one (gemchatroom-<user's id>.zip)"
        )

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        path = options["output"] or Path(f"gemchatroom-{user.pk}.zip")
        AuditEvent.objects.record(
            PrivacyAction.USER_EXPORTED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
        )
        unfinished = path.with_name(f"{path.name}.part")
        try:
            if path.exists():
                raise FileExistsError(17, "there is a file of that name", str(path))
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                rows = write_archive(user, file)
            unfinished.replace(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from error
        except StorageUnavailable as error:
            raise CommandError(error.message) from error
        finally:
            # An unfinished file has private messages too.
            unfinished.unlink(missing_ok=True)
        return {"file": str(path), "bytes": path.stat().st_size, "rows": rows}
