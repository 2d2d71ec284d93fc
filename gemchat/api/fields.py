"""Fields that take JSON at its word: DRF's own make a title of a number, and true of "yes"."""

from typing import Any

from rest_framework import serializers


class TextField(serializers.CharField):
    """A string. What surrounds it is trimmed unless `trim_whitespace` is False."""

    def to_internal_value(self, value: Any) -> str:
        if not isinstance(value, str):
            self.fail("invalid")
        return super().to_internal_value(value)


class FlagField(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, value: Any) -> bool:
        if not isinstance(value, bool):
            self.fail("invalid", input=value)
        return value


class NumberChoiceField(serializers.ChoiceField):
    """One of a few numbers."""

    def to_internal_value(self, value: Any) -> Any:
        if isinstance(value, bool | str) or value not in list(self.choices):
            self.fail("invalid_choice", input=value)
        return int(value)
