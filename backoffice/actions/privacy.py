"""Staff actions on all data of a user."""

from functools import partial
from tempfile import TemporaryFile

from django import forms
from django.db import transaction
from django.http import FileResponse
from django.http.response import HttpResponseBase

from accounts.auth.closing import close_account
from backoffice.actions.base import ActionContext, ReasonForm, StaffAction
from gemchat.api.client_address import client_from_request
from gemchat.celery import enqueue
from privacy.export import write_archive
from privacy.models import PrivacyAction


class EraseForm(ReasonForm):
    understood = forms.BooleanField(label="This cannot be undone, and I am sure")


def export(context: ActionContext) -> HttpResponseBase:
    user = context.row
    # Closed with the response.
    file = TemporaryFile()  # noqa: SIM115
    write_archive(user, file)
    file.seek(0)
    response = FileResponse(file, as_attachment=True, filename=f"gemchatroom-{user.pk}.zip")
    response["Cache-Control"] = "no-store"
    return response


def erase(context: ActionContext) -> str:
    """Close the account; a worker deletes the customer at Stripe, then erases the account."""
    erasure = close_account(
        user=context.row, client=client_from_request(context.request), actor=context.actor
    )
    transaction.on_commit(partial(enqueue, "privacy.tasks.erase_user", erasure.pk))
    return "The account is closed, and is being erased."


PRIVACY_ACTIONS = [
    StaffAction(
        name="export",
        label="Export all data",
        permission="accounts.export_user",
        event=PrivacyAction.USER_EXPORTED,
        run=export,
        warning="You get a file of personal data. Give the file to nobody but the user.",
        max_rows=1,
    ),
    StaffAction(
        name="erase",
        label="Erase",
        permission="accounts.erase_user",
        event=PrivacyAction.ERASURE_ORDERED,
        run=erase,
        form=EraseForm,
        warning="The user is erased for ever, with rooms, messages and the customer at Stripe.",
        max_rows=1,
    ),
]
