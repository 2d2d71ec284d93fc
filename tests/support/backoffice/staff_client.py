"""Common steps of the tests of the back office."""

from typing import Any

from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent


def url(model: type[Model], view: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)


def act(browser: Client, action: str, *rows: Model, reason: str = "asked to", **form: Any) -> Any:
    """Post an action as the confirmation page does, and follow the redirect."""
    confirmed = {"confirmed": "yes", "reason": reason, **form} if reason else form
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return browser.post(url(type(rows[0])), {**chosen, **confirmed}, follow=True)


def flash_messages(page: Any) -> str:
    """Return the messages of a page to staff."""
    return " ".join(str(message) for message in page.context["messages"])


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("id"))


def mobiles(page: Any) -> set[str]:
    """The numbers of the users in a list page."""
    return {user.mobile for user in page.context["cl"].result_list}
