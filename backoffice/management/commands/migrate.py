from typing import Any

from django.core.management.commands import migrate

from gemchat.stores.locks import Lock, exclusive_block


class Command(migrate.Command):
    """Django's command, one at a time for each database.

    Two commands at once would create the same tables. The second waits, and finds nothing to do.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        def report_wait() -> None:
            self.stderr.write("Another migrate is at work on this database: waiting for its end.")

        with exclusive_block(Lock.MIGRATION, alias=options["database"], on_wait=report_wait):
            super().handle(*args, **options)
