"""Staff actions on rows: each has a reason and is in the audit log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from accounts.models import AuditEvent, User
from gemchat.api.client_address import client_from_request
from gemchat.api.errors import DomainError

MAX_ROWS = 100


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Stays in the audit log for ever: write no names, numbers or messages.",
    )


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The row of an action, its request, and the values of the form."""

    request: HttpRequest
    row: Any
    form: dict[str, Any]

    @property
    def actor(self) -> str:
        return str(self.request.user.pk)


# Returns a sentence for staff, a file or nothing. Raises DomainError.
RunAction = Callable[[ActionContext], str | HttpResponseBase | None]


def identity(row: Any) -> Any:
    return row


@dataclass(frozen=True)
class StaffAction:
    """An action of a list and of a row's page, for staff with `permission`.

    `uses_network` marks a call of another service, which runs outside a transaction. The call's
    event is recorded first, and a second event when the service refuses. `audit_target` returns the
    row for the audit.
    """

    name: str
    label: str
    permission: str
    event: str
    run: RunAction
    form: type[ReasonForm] = ReasonForm
    warning: str = ""
    uses_network: bool = False
    max_rows: int = MAX_ROWS
    audit_target: Callable[[Any], Model] = identity

    # A template calls every callable value otherwise.
    do_not_call_in_templates: ClassVar[bool] = True

    def is_allowed(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission)

    def __call__(
        self, page: Any, request: HttpRequest, chosen: QuerySet
    ) -> HttpResponseBase | None:
        """Run as an action of `page`, a BackOfficeAdmin; Django calls this."""
        rows = list(page.permitted_rows(request, chosen)[: self.max_rows + 1])
        if not rows:
            page.message_user(
                request, "You may not do this to any of these rows.", messages.WARNING
            )
            return None
        if len(rows) > self.max_rows:
            page.message_user(
                request,
                f"Choose fewer rows: this action takes at most {self.max_rows}.",
                messages.ERROR,
            )
            return None
        confirmed = "confirmed" in request.POST
        form = self.form(request.POST if confirmed else None)
        if not (confirmed and form.is_valid()):
            return self._ask(page, request, rows, form)
        return self._carry_out(page, request, rows, form.cleaned_data)

    def _ask(
        self, page: Any, request: HttpRequest, rows: list[Any], form: ReasonForm
    ) -> HttpResponseBase:
        context = {
            **page.admin_site.each_context(request),
            "title": self.label,
            "action": self,
            "rows": rows,
            "form": form,
            "opts": page.opts,
            "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/confirm_action.html", context)

    def _carry_out(
        self, page: Any, request: HttpRequest, rows: list[Any], cleaned: dict[str, Any]
    ) -> HttpResponseBase | None:
        done, answer = 0, None
        for row in rows:
            try:
                answer = self._do(ActionContext(request, row, cleaned))
            except DomainError as error:
                page.message_user(request, f"{row}: {error}", messages.ERROR)
                continue
            if isinstance(answer, HttpResponseBase):
                return answer
            done += 1
        if done:
            only = answer if len(rows) == 1 else ""
            page.message_user(request, only or f"{self.label}: done for {done}.", messages.SUCCESS)
        return None

    def _do(self, context: ActionContext) -> str | HttpResponseBase | None:
        if not self.uses_network:
            with transaction.atomic():
                self._record(context)
                return self.run(context)
        self._record(context)
        try:
            return self.run(context)
        except DomainError as error:
            self._record(context, refused=error.code)
            raise

    def _record(self, context: ActionContext, **details: Any) -> None:
        given = {name: str(value) for name, value in context.form.items()}
        record(context.request, self.event, self.audit_target(context.row), **given, **details)


def record(request: HttpRequest, event: str, row: Model | None = None, **details: Any) -> None:
    """Record an action of a member of staff, and the row of the action."""
    user_id, target = getattr(row, "user_id", None), ""
    if isinstance(row, User):
        user_id = row.pk
    elif row is not None:
        target = str(row.pk)
        details["rows"] = row._meta.label
    AuditEvent.objects.record(
        event,
        user_id=user_id,
        target=target,
        client=client_from_request(request),
        actor=str(request.user.pk),
        **details,
    )
