"""An app names no table of another app in its SQL."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

OWN_APPS = ["accounts", "backoffice", "billing", "chatrooms", "files", "messaging", "privacy"]
SQL_WORD = re.compile(r"\b(SELECT|FROM|JOIN|INSERT INTO|UPDATE|DELETE|ANALYZE|TRUNCATE)\b")


def foreign_tables(package: str) -> re.Pattern[str]:
    """Match each table of the other apps; `gemchat` is no app, and owns none."""
    tables = [
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in OWN_APPS and model._meta.app_label != package
    ]
    return re.compile(rf"\b({'|'.join(tables)})\b")


def strings(source: str) -> Iterator[str]:
    """Give the text of every literal; of an f-string without what is put into it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def offences(package: str, source: str) -> set[str]:
    tables = foreign_tables(package)
    statements = [text for text in strings(source) if SQL_WORD.search(text)]
    return {table for text in statements for table in tables.findall(text)}


@pytest.mark.parametrize("package", [*OWN_APPS, "gemchat"])
def test_sql_of_an_app_names_its_own_tables_alone(package: str) -> None:
    files = [
        path
        for path in Path(settings.BASE_DIR, package).rglob("*.py")
        if not {"tests", "migrations", "djstripe_migrations"} & set(path.parts)
    ]

    found = {str(path): offences(package, path.read_text()) for path in files}

    assert files
    assert {path: tables for path, tables in found.items() if tables} == {}


@pytest.mark.parametrize(
    "source",
    [
        'SQL = "SELECT id FROM billing_flag"',
        'SQL = f"SELECT {columns} FROM billing_flag AS flag"',
        'SQL = """\nUPDATE messaging_message SET content = 1\nFROM billing_flag"""',
    ],
)
def test_table_of_another_app_is_found(source: str) -> None:
    assert offences("messaging", source) == {"billing_flag"}
    assert "billing_flag" not in offences("billing", source)
