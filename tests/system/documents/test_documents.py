"""The documents are true: their references exist, and they name every variable."""

import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from django.core.management import get_commands, load_command_class

from dev.environment import BASE_DIR

DOCUMENTS = [*BASE_DIR.glob("*.md"), *(BASE_DIR / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
EXAMPLE = re.compile(r"^# ([A-Z][A-Z0-9_]+)=(\S*)", re.MULTILINE)
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|(?: `(.*?)`)? +\|", re.MULTILINE)

# In blocks of commands and within sentences. Where a number is left out, "…" stands for it.
CODE = re.compile(r"^```(\w*)\n(.*?)^```$|`([^`]+)`", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"(?:^|[\s=])make ([a-z][a-z-]*)")


def code_of(document: Path) -> list[str]:
    """The commands of a document, each in one line and without comments."""
    lines = []
    for language, block, inline in CODE.findall(document.read_text()):
        if language == "sh":
            lines += block.replace("\\\n", "").splitlines()
        elif inline:
            lines.append(inline.replace("\n", " "))
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def of_manage(line: str) -> str:
    """The arguments of manage.py, in each notation of the documents."""
    if match := re.fullmatch(r'make manage ARGS="(.*)"', line):
        return match[1]
    return re.sub(r".*manage\.py ", "", line)


def anchors(document: Path) -> set[str]:
    """The names that GitHub gives a document's headings."""
    headings = HEADING.findall(FENCED.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(BASE_DIR)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(FENCED.sub("", document.read_text()))

    broken = []
    for link in links:
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = document.parent / unquote(parts.path) if parts.path else document
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_table_of_the_environment_is_that_of_the_example() -> None:
    table = dict(ROW.findall((BASE_DIR / "docs" / "operations.md").read_text()))

    assert table == dict(EXAMPLE.findall((BASE_DIR / ".env.example").read_text()))


def test_commands_take_what_the_documents_give_them() -> None:
    """They are not run here: each has other tests."""
    commands = get_commands()
    seen = set()

    for line in {line for document in DOCUMENTS for line in code_of(document)}:
        name, _, arguments = of_manage(line).partition(" ")
        if name not in commands:
            assert not re.search(r"manage\.py (?!help)\w|--mobile", line), line
            continue
        if line == name:
            continue  # A sentence speaks of it.
        options = shlex.split(arguments.replace("…", "+919812345678"))
        command = load_command_class(commands[name], name)
        command.create_parser("manage.py", name).parse_args(options)
        seen.add(name)

    assert {"doctor", "migrate", "user_delete", "replies_retry", "grant_pro"} <= seen


def test_targets_of_make_are_there() -> None:
    makefile = (BASE_DIR / "Makefile").read_text()
    lines = [line for document in DOCUMENTS for line in code_of(document)]
    named = {name for line in lines for name in TARGET.findall(line)}

    assert {name for name in named if f".PHONY: {name}\n" not in makefile} == set()
    assert {"run", "test", "backup"} <= named
