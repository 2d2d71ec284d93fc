"""Forms of the back office that change a row: they ask for a reason, and list the changes."""

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Model

from backoffice.actions.base import ReasonForm

LONGEST_VALUE = 200


class AuditedForm(forms.ModelForm):
    """A form of a row, with the reason for the change as its last field."""

    reason = ReasonForm.base_fields["reason"]


def changed_values(form: forms.ModelForm, *, hidden: frozenset[str]) -> dict[str, Any]:
    """The old and the new value of each changed field; of a hidden field only that it changed."""
    return {
        name: None if name in hidden else [plain(form.initial.get(name)), plain(new)]
        for name, new in form.cleaned_data.items()
        if name in form.changed_data and name != "reason"
    }


def plain(value: Any) -> Any:
    """A value as JSON has it: a row by its id, a group of rows by their names, text cut short."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)[:LONGEST_VALUE]
    return sorted(str(each)[:LONGEST_VALUE] for each in value)
