"""The documents are true: what they point to is there, and they tell of every variable."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from dev.schema import BASE_DIR

DOCUMENTS = [*BASE_DIR.glob("*.md"), *(BASE_DIR / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
EXAMPLE = re.compile(r"^# ([A-Z][A-Z0-9_]+)=(\S*)", re.MULTILINE)
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|(?: `(.*?)`)? +\|", re.MULTILINE)


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
