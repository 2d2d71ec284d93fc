"""Reduce an answer or a prompt to the text of a title."""

import json
import re
import unicodedata

from gemchat.api.text import UNFIT

TITLE_CHARACTERS = 60
READ_CHARACTERS = 2_000

# Characters refused in a person's title too.
_INVISIBLE = re.compile(f"[{UNFIT}]")
_FENCE = re.compile(r"^\s*(```|~~~).*$", re.MULTILINE)
_CODE = re.compile(r"\s*`+([^`]+)`+\s*")
_TAG = re.compile(r"</?(title|h[1-6]|p|b|i|em|strong|code|br)\b[^<>]{0,40}>", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]]+)\]\([^()]*\)")
# Emphasis and code within a line; not the stars of 2**10, nor the underscores of snake_case.
_EMPHASIS = re.compile(r"(?<![\w*`~])(\*{1,3}|~~|`+)(?=\S)([^*`~]+)(?<=\S)\1(?!\w)")
_UNDERLINED = re.compile(r"(_{1,3})(?=\S)([^_]*\s[^_]*)(?<=\S)\1|_([^_]+)_")
_BLOCK = re.compile(r"#{1,6}(\s+|$)|[-*+•]\s+|\d{1,2}[.)]\s+|>\s*|\|\s*")
_END = re.compile(r"(\s+#+|\s*\||[\s.。]+|\*{2,})$")
_QUOTED = re.compile('["\'“”„«‘‹「『]([^"“”„«»‘‹›「」『』]+)["\'“”’»›」』]')
# "Title" in the languages of most answers.
_WORD = (
    "title|titel|titre|título|titulo|titolo|tytuł|başlık|judul|заголовок|название|शीर्षक|"
    "标题|標題|タイトル|제목|عنوان"
)
_LABEL = re.compile(
    rf"(?:{_WORD})(?:\s*[:：]|\s+[-–—])\s*"
    r"|(?:here(?:'|’)?s|here is|a|the|my|suggested|possible|chat|conversation)\b[\w ]{0,40}"
    r"\btitle\b[\w ]{0,40}[:：]\s*",
    re.IGNORECASE,
)


def title_of_answer(answer: str) -> str:
    """Return the title in an answer of Gemini; empty for an answer without a title."""
    text = _unwrap(_CODE, _FENCE.sub("", answer[:READ_CHARACTERS]).strip())
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip(" *").endswith((":", "：")):
        text = "\n".join(lines[1:])  # "Here is a title:"
    if text.startswith(("{", '["', '"')):
        text = _title_in_json(text)
    return _first_title(text, label=_LABEL)


def title_of_prompt(prompt: str) -> str:
    """Return the beginning of a prompt; empty without a letter or a digit."""
    return _first_title(_FENCE.sub("", prompt[:READ_CHARACTERS]), label=None)


def _title_in_json(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # A quotation is no JSON. Broken JSON has no title.
        return text if text.startswith('"') else ""
    if isinstance(value, dict):
        texts = [each for each in value.values() if isinstance(each, str)]
        named = [value[key] for key in value if key.lower() == "title"]
        value = named or (texts if len(texts) == 1 else [])
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else ""


def _first_title(text: str, *, label: re.Pattern[str] | None) -> str:
    """Return the first line with a letter or a digit, cut to 60 characters."""
    cleaned = (_clean(line, label=label) for line in text.splitlines())
    title = next((line for line in cleaned if any(c.isalnum() for c in line)), "")
    if len(title) <= TITLE_CHARACTERS:
        return title
    return title[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"


def _clean(line: str, *, label: re.Pattern[str] | None) -> str:
    """Remove what surrounds a title, until nothing more surrounds the title."""
    visible = "".join(" " if unicodedata.category(c) == "Cc" else c for c in line)
    visible = _TAG.sub("", _INVISIBLE.sub("", visible))
    before, plain = None, _LINK.sub(r"\1", re.sub(r"\s+", " ", visible)).strip()
    while plain != before:
        before = plain
        plain = _EMPHASIS.sub(r"\2", plain)
        plain = _unwrap(_UNDERLINED, _unwrap(_QUOTED, plain))
        plain = _END.sub("", _remove_start(_BLOCK, plain))
        if label:
            plain = _remove_start(label, plain)
    return plain.strip()


def _unwrap(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.fullmatch(text)
    return (match[match.lastindex or 0] if match else text).strip()


def _remove_start(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.match(text)
    return text[match.end() :] if match else text
