"""Serializers for output only, and small steps of most views."""

from collections.abc import Callable, Iterable
from functools import cache
from types import MethodType
from typing import Any, TypeVar

from django.db.models import Model
from rest_framework import serializers

from gemchat.api.text import rfc3339

Row = TypeVar("Row", bound=Model)

UNCHANGED = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.IntegerField,
)


class ReadSerializer(serializers.ModelSerializer[Row]):
    """Writes rows by `Meta.fields`, ten times as fast as DRF does.

    `get_<name>` gives a field outside the model, or in another form. The return type of
    `get_<name>` is in the description of the API. A row may be any object with the needed
    attributes. No field has a `context`.
    """

    def build_field(self, field_name: str, *args: Any) -> tuple[type[serializers.Field], Any]:
        if hasattr(self, f"get_{field_name}"):
            return serializers.SerializerMethodField, {}
        return super().build_field(field_name, *args)

    def get_extra_kwargs(self) -> dict[str, Any]:
        return {name: {"read_only": True} for name in self.Meta.fields}

    @classmethod
    def to_json(cls, row: Any) -> dict[str, Any]:
        """Return `cls(row).data`, without a new serializer and its reference cycles."""
        return writer_for(cls)(row)

    @classmethod
    def list_to_json(cls, rows: Iterable[Any]) -> list[dict[str, Any]]:
        return list(map(writer_for(cls), rows))

    def to_representation(self, row: Any) -> dict[str, Any]:
        return self.to_json(row)


@cache
def writer_for(serializer: type[ReadSerializer[Any]]) -> Callable[[Any], dict[str, Any]]:
    """Compile `{"id": str(row.id), …}` for a serializer: a loop over fields is slower by half.

    The source consists of names in the program's own code.
    """
    names: dict[str, Any] = {"rfc3339": rfc3339}
    items = []
    instance = serializer()
    for name, field in instance.fields.items():
        names[f"field_{name}"] = field
        items.append(f'"{name}": {expression_for(field, f"row.{field.source}", f"field_{name}")}')
    write = eval(f"lambda self, row: {{{', '.join(items)}}}", names)  # noqa: S307
    return MethodType(write, instance)


def expression_for(field: Any, value: str, itself: str) -> str:
    if isinstance(field, serializers.SerializerMethodField):
        return f"self.{field.method_name}(row)"
    if isinstance(field, UNCHANGED):
        return value
    if isinstance(field, serializers.UUIDField):
        written = f"str({value})"
    elif isinstance(field, serializers.DateTimeField):
        written = f"rfc3339({value})"
    elif isinstance(field, serializers.ListField):
        written = f"[{expression_for(field.child, 'item', f'{itself}.child')} for item in {value}]"
    else:
        written = f"{itself}.to_representation({value})"
    return f"None if {value} is None else {written}" if field.allow_null else written


def envelope(message: str, data: Any = None) -> dict[str, Any]:
    """The answer of an action."""
    return {"success": True, "message": message, "data": data}


def validated(
    serializer: type[serializers.BaseSerializer[Any]], data: Any, **options: Any
) -> dict[str, Any]:
    """Check a client's input; raise ValidationError."""
    if data is None or options:
        fields = serializer(data=data, **options)
        fields.is_valid(raise_exception=True)
        return fields.validated_data
    # Any: the stubs take a class of serializers for unhashable.
    known: Any = serializer
    checked: dict[str, Any] = form_of(known).run_validation(data)
    return checked


@cache
def form_of(serializer: Any) -> serializers.BaseSerializer[Any]:
    """Return the single instance of a serializer for input.

    A new instance copies each field, which takes 0.1 ms for a prompt.
    """
    made: serializers.BaseSerializer[Any] = serializer()
    return made
