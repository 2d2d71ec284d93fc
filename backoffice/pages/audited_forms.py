"""Forms for a change of a row: a reason, and a list of the changes."""

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
    """Return old and new value of each changed field; None for a hidden field."""
    return {
        name: None if name in hidden else [json_value(form.initial.get(name)), json_value(new)]
        for name, new in form.cleaned_data.items()
        if name in form.changed_data and name != "reason"
    }


def json_value(value: Any) -> Any:
    """Convert to JSON: a row to its id, rows to names, text to its start."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)[:LONGEST_VALUE]
    return sorted(str(each)[:LONGEST_VALUE] for each in value)


def formset_changes(formset: Any) -> dict[str, Any]:
    """Return the changes of inline rows by name; None for a deleted row."""
    changes: dict[str, Any] = {}
    for form in formset.forms:
        row = form.instance
        if form in formset.deleted_forms:
            changes[f"{row} deleted"] = None
        elif form.has_changed():
            changes[str(row)] = changed_values(form, hidden=frozenset({formset.fk.name}))
    return changes
