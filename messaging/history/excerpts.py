"""The part of a text where a search found its words, in pieces that say which of them to mark."""

import re
import unicodedata
from typing import TypedDict

BEFORE_CHARACTERS, AFTER_CHARACTERS = 60, 140
WORD = re.compile(r"[^\W_]+")
# Searched by the character, as they are written without spaces; see `searchable_text`.
IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class Fragment(TypedDict):
    """Plain text; `marked` where it is one of the words that were searched for."""

    text: str
    marked: bool


class _Fold(dict[int, int]):
    """For str.translate: each character without case and accent, one for one."""

    def __missing__(self, code: int) -> int:
        plain = unicodedata.normalize("NFKD", chr(code))[0].lower()
        self[code] = ord(plain) if len(plain) == 1 else code
        return self[code]


FOLD = _Fold()


def excerpt(text: str, *, query: str) -> list[Fragment]:
    """About 200 characters of a text, around the first of the query's words in it.

    Where the text has it in a way that only PostgreSQL sees (ß for ss), the beginning, unmarked.
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
    """Finds the query's words in a folded text: whole words, and ideographs anywhere."""
    words = set(WORD.findall(query.translate(FOLD)))
    # The longer first, or a word would be marked as far as a shorter one goes.
    ordered = sorted(words, key=len, reverse=True)
    patterns = [
        re.escape(word) if IDEOGRAPHS.search(word) else rf"(?<![^\W_]){re.escape(word)}(?![^\W_])"
        for word in ordered
    ]
    # Without a word, what is found nowhere.
    return re.compile("|".join(patterns) or r"(?!)")


def window(text: str, *, around: int) -> tuple[int, int]:
    """Where an excerpt starts and ends, between words where there are any near."""
    start = max(around - BEFORE_CHARACTERS, 0)
    if start and (blank := text.find(" ", start, around)) >= 0:
        start = blank + 1
    end = min(around + AFTER_CHARACTERS, len(text))
    if end < len(text) and (blank := text.rfind(" ", around, end)) > around:
        end = blank
    return start, end
