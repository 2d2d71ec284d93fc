"""Check the English of docstrings, comments and messages.

    python -m dev.prose [--stats] [PATH ...]

The rules are those of a plain technical text: short sentences, few relative clauses, no private
words. Without a PATH the folders of `[tool.prose]` in pyproject.toml are checked, without
migrations. Strings of tests are not checked: they hold what people write.
"""

import argparse
import ast
import io
import re
import statistics
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.environment import BASE_DIR

MAX_SENTENCE_WORDS = 25
MAX_FIRST_LINE_WORDS = 15
MAX_RELATIVE_WORDS = 2
SKIPPED_FOLDERS = {"migrations", "djstripe_migrations"}
# A string of fewer words is a name or a key.
MIN_MESSAGE_WORDS = 5

RELATIVE = re.compile(r"\b(?:which|that|who|whom|whose|what|whoever|whatever|whichever)\b", re.I)
PRONOUN = re.compile(r"\b(?:it|its|they|them|their|this|these|those|one)\b", re.I)
BANNED = {
    "told, tell, said": r"told|tell|tells|telling|said|(?:the|a) shown",
    "look as a noun": r"(?:a|the|one|each|every|another|first|last|next) look",
    "forget": r"forget|forgets|forgot|forgotten|forgetting",
    "deed": r"deeds?",
    "ill": r"ill",
    "anew": r"anew",
    "whoever, whatever": r"whoever|whatever",
    "at the most": r"at the most",
    "so many": r"so many",
    "under way": r"under way",
    "by hand": r"by hand",
    "of its own": r"of (?:its|their) own",
}
BANNED_PATTERN = re.compile(rf"\b(?:{'|'.join(BANNED.values())})\b", re.I)
CODE = re.compile(r"`[^`]*`|https?://\S+")
# A string with one of these is SQL, Python or shell.
CODE_IN_STRING = re.compile(r"[=;{}]|\bSELECT\b")
# A comment for a tool, without prose.
DIRECTIVE = re.compile(r"^(?:!|noqa|type:|pragma|fmt:|-\*-)")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[`]*[A-Z0-9`])")
LIST_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s")
WORD = re.compile(r"[A-Za-z0-9][\w'’./-]*")


@dataclass(frozen=True, slots=True)
class Sentence:
    line: int
    text: str

    @property
    def words(self) -> int:
        return len(WORD.findall(self.text))


@dataclass(frozen=True, slots=True)
class Block:
    """A docstring, or the comments of adjacent lines: `lines` begin at `line` of the file."""

    line: int
    lines: list[str]
    is_docstring: bool

    def sentences(self) -> Iterator[Sentence]:
        for start, paragraph in _paragraphs(self.lines):
            text = CODE.sub(lambda code: "Code" + "\n" * code[0].count("\n"), paragraph)
            offset = 0
            for part in SENTENCE_END.split(text):
                at = text.index(part, offset)
                offset = at + len(part)
                yield Sentence(self.line + start + text.count("\n", 0, at), part)


def _paragraphs(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield texts between blank lines, and items of lists, each with its first line's index."""
    start, paragraph = 0, list[str]()
    for number, line in enumerate([*lines, ""]):
        is_code = line.startswith("    ") and not paragraph
        if paragraph and (not line.strip() or LIST_ITEM.match(line)):
            yield start, "\n".join(paragraph)
            paragraph = []
        if line.strip() and not is_code:
            start = start if paragraph else number
            paragraph.append(LIST_ITEM.sub("", line))


def docstrings(source: str) -> Iterator[Block]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield Block(node.body[0].lineno, text.split("\n"), is_docstring=True)


def comments(source: str) -> Iterator[Block]:
    block: Block | None = None
    column = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string.lstrip("#").strip().partition("  # ")[0]
        if token.type != tokenize.COMMENT or DIRECTIVE.match(text):
            continue
        line, start = token.start
        is_alone = not token.line[:start].strip()
        if block and is_alone and start == column and line == block.line + len(block.lines):
            block.lines.append(text)
            continue
        if block:
            yield block
        block = Block(line, [text], is_docstring=False)
        column = start if is_alone else -1
    if block:
        yield block


def messages(source: str) -> Iterator[Block]:
    """Yield the strings in prose outside docstrings: help texts, errors, descriptions."""
    texts = dict[int, ast.expr]()
    inner = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr | ast.JoinedStr):
            # A docstring, or the parts of an f-string.
            inner.update(map(id, ast.iter_child_nodes(node)))
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            texts[id(node)] = node
    for key, node in texts.items():
        text = _text_of(node)
        if key in inner or len(text.split()) < MIN_MESSAGE_WORDS or CODE_IN_STRING.search(text):
            continue
        yield Block(node.lineno, text.split("\n"), is_docstring=False)


def _text_of(node: ast.expr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)


def blocks(source: str, *, with_messages: bool = True) -> list[Block]:
    found = [*docstrings(source), *comments(source), *(messages(source) if with_messages else [])]
    return sorted(found, key=lambda block: block.line)


def faults(source: str, *, with_messages: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and reason of each break of a rule."""
    for block in blocks(source, with_messages=with_messages):
        first_line = len(WORD.findall(CODE.sub("code", block.lines[0])))
        if block.is_docstring and first_line > MAX_FIRST_LINE_WORDS:
            yield block.line, f"first line of {first_line} words, at most {MAX_FIRST_LINE_WORDS}"
        for sentence in block.sentences():
            if sentence.words > MAX_SENTENCE_WORDS:
                yield (
                    sentence.line,
                    f"sentence of {sentence.words} words, at most {MAX_SENTENCE_WORDS}",
                )
            relative = len(RELATIVE.findall(sentence.text))
            if relative > MAX_RELATIVE_WORDS:
                yield sentence.line, f"{relative} relative words, at most {MAX_RELATIVE_WORDS}"
            for banned in BANNED_PATTERN.findall(sentence.text):
                yield sentence.line, f"banned: {banned.lower()}"


def python_files(paths: list[Path]) -> list[Path]:
    found = {file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))}
    return sorted(file for file in found if not SKIPPED_FOLDERS.intersection(file.parts))


def faults_of(file: Path) -> list[tuple[int, str]]:
    return list(faults(file.read_text(), with_messages="tests" not in file.parts))


def stats(files: list[Path]) -> dict[str, float]:
    """Count per 1,000 words of docstrings and comments."""
    sentences = [
        sentence
        for file in files
        for block in blocks(file.read_text(), with_messages=False)
        for sentence in block.sentences()
    ]
    words = sum(sentence.words for sentence in sentences)

    def per_thousand(pattern: re.Pattern[str]) -> float:
        hits = sum(len(pattern.findall(sentence.text)) for sentence in sentences)
        return round(1000 * hits / max(words, 1), 1)

    return {
        "words": words,
        "relative words": per_thousand(RELATIVE),
        "pronouns": per_thousand(PRONOUN),
        "private idioms": per_thousand(BANNED_PATTERN),
        "median sentence": statistics.median([s.words for s in sentences] or [0]),
        "faults": sum(len(faults_of(file)) for file in files),
    }


def main(arguments: list[str] | None = None, *, root: Path = BASE_DIR) -> int:
    parser = argparse.ArgumentParser(prog="dev.prose", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders")
    parser.add_argument("--stats", action="store_true", help="print counts in place of faults")
    options = parser.parse_args(arguments)
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["prose"]
    files = python_files(options.paths or [root / name for name in settings["files"]])
    if options.stats:
        print("\n".join(f"{name}: {count}" for name, count in stats(files).items()))
        return 0
    lines = [
        f"{file.relative_to(root) if file.is_relative_to(root) else file}:{line}: {reason}"
        for file in files
        for line, reason in faults_of(file)
    ]
    print("\n".join(lines) or f"The English of {len(files)} files keeps the rules.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
