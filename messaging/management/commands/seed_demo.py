import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection
from tqdm import tqdm

from accounts.cli import JsonCommand
from accounts.models import User
from accounts.phone_numbers import InvalidPhoneNumber, to_e164
from chatrooms.models import Chatroom
from messaging.management.demo_data import Plan, TooManyUsers, make_users, seed
from messaging.models import Message


class Command(JsonCommand):
    help = "Make users with rooms and messages, as many as you like, to show or to measure."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--users", type=int, default=1, help="new users (1)")
        parser.add_argument("--mobile", help="one user, new or not, in place of --users")
        parser.add_argument("--rooms", type=int, default=20, help="rooms of each user (20)")
        parser.add_argument("--messages", type=int, default=50, help="messages in each room (50)")
        parser.add_argument("--no-progress", action="store_true", help="show no bar")

    def report(self, **options: Any) -> dict[str, Any]:
        plan = Plan(options["rooms"], options["messages"])
        if min(options["users"], *(plan.rooms, plan.messages)) < 0:
            raise CommandError("Give numbers that are not negative.")
        started = time.monotonic()
        users = self.users(options)
        total = len(users) * plan.rooms * (1 + plan.messages)
        # None: where standard error is a terminal.
        disable = options["no_progress"] or None
        with tqdm(total=total, unit=" rows", unit_scale=True, disable=disable) as bar:
            seed(users, plan, tell=bar.update)
        self.analyze()
        return {
            "users": len(users),
            "mobiles": [user.mobile for user in users[:10]],
            "rooms": len(users) * plan.rooms,
            "messages": len(users) * plan.rooms * plan.messages,
            "seconds": round(time.monotonic() - started, 1),
        }

    def users(self, options: dict[str, Any]) -> list[User]:
        try:
            if options["mobile"]:
                return [User.objects.verified(to_e164(options["mobile"]))]
            return make_users(options["users"])
        except (InvalidPhoneNumber, TooManyUsers) as error:
            raise CommandError(str(error)) from error

    def analyze(self) -> None:
        """Let the planner know of the new rows before the next autovacuum."""
        with connection.cursor() as cursor:
            tables = ", ".join(model._meta.db_table for model in (User, Chatroom, Message))
            cursor.execute(f"ANALYZE {tables}")
