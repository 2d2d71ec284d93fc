"""Excerpts of texts around the words of a query, with the words marked."""

import re
import unicodedata
from typing import TypedDict

BEFORE_CHARACTERS, AFTER_CHARACTERS = 60, 140
WORD = re.compile(r"[^\W_]+")
# Searched by the character, since ideographs are written without spaces; see `searchable_text`.
IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class Fragment(TypedDict):
    """Plain text; `marked` if the text is a word of the query."""

    text: str
    marked: bool


class _Fold(dict[int, int]):
    """For str.translate: maps a character to a single character without case and accent."""

    def __missing__(self, code: int) -> int:
        plain = unicodedata.normalize("NFKD", chr(code))[0].lower()
        self[code] = ord(plain) if len(plain) == 1 else code
        return self[code]


FOLD = _Fold()


def excerpt(text: str, *, query: str) -> list[Fragment]:
    """Return about 200 characters of a text, around the first word of the query.

    If only PostgreSQL finds the word (ß for ss), the excerpt is the beginning, without marks.
    """
    words, folded = compile_pattern(query), text.translate(FOLD)
    first = words.search(folded)
    start, end = window(text, around=first.start() if first else 0)
    fragments = [Fragment(text="…" if start else "", marked=False)]
    seen = start
    for match in words.finditer(folded, start, end):
        fragments.append(Fragment(text=text[seen : match.start()], marked=False))
        fragments.append(Fragment(text=text[match.start() : match.end()], marked=True))
        seen = match.end()
    fragments.append(Fragment(text=text[seen:end] + ("…" if end < len(text) else ""), marked=False))
    return [fragment for fragment in fragments if fragment["text"]]


def compile_pattern(query: str) -> re.Pattern[str]:
    """Compile a pattern of the query's words: whole words, and ideographs anywhere.

    The pattern is for a folded text.
    """
    words = set(WORD.findall(query.translate(FOLD)))
    # Longer words first, or a shorter word would end the mark of a longer word.
    ordered = sorted(words, key=len, reverse=True)
    patterns = [
        re.escape(word) if IDEOGRAPHS.search(word) else rf"(?<![^\W_]){re.escape(word)}(?![^\W_])"
        for word in ordered
    ]
    # Without a word, a pattern without matches.
    return re.compile("|".join(patterns) or r"(?!)")


def window(text: str, *, around: int) -> tuple[int, int]:
    """Return start and end of an excerpt, between words if a blank is near."""
    start = max(around - BEFORE_CHARACTERS, 0)
    if start and (blank := text.find(" ", start, around)) >= 0:
        start = blank + 1
    end = min(around + AFTER_CHARACTERS, len(text))
    if end < len(text) and (blank := text.rfind(" ", around, end)) > around:
        end = blank
    return start, end
