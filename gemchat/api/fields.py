"""Strict fields: DRF's fields accept a number as a title, and "yes" as true."""

from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from gemchat.api.text import OneLine


class TextField(serializers.CharField):
    """A string, trimmed of white space around it unless `trim_whitespace` is False."""

    def to_internal_value(self, value: Any) -> str:
        if not isinstance(value, str):
            self.fail("invalid")
        return super().to_internal_value(value)


class LineField(TextField):
    """One line of visible characters: a name or a title; the untrimmed length counts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validators=[OneLine()], **kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        if isinstance(data, str) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().run_validation(data)


class FlagField(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, value: Any) -> bool:
        if not isinstance(value, bool):
            self.fail("invalid", input=value)
        return value


class NumberChoiceField(serializers.ChoiceField):
    """A number from a small set."""

    def to_internal_value(self, value: Any) -> Any:
        if isinstance(value, bool | str) or value not in list(self.choices):
            self.fail("invalid_choice", input=value)
        return int(value)
