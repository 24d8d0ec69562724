"""Words that no identifier may contain, and words that are rare in good technical prose."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

BANNED = {
    *("said", "says", "saying", "told", "tells", "found", "kept", "ours", "theirs", "became", "whence"),
    *("part", "parted", "parting", "partings", "stand", "stands", "lie", "lies", "forced", "forcing"),
    *("bargain", "bargains", "tradeoff", "plane", "planes", "habit", "habits", "ear", "ears", "obituary", "obituaries"),
}
TERM = re.compile("teacher_?forc(ing|ed)", re.IGNORECASE)
"""The one term of the field that has such a word."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


RATES = {
    "said|says": 0.9,
    "told": 0.2,
    "kept": 3.5,
    "stands": 0.2,
    "lies": 0.1,
    "ours|theirs": 0.1,
    "whose": 4.1,
    "so that": 4.3,
    "since": 18.2,
    "beside": 0.2,
    "anew": 0.0,
    "surely": 0.0,
    "no matter": 0.2,
    "nothing but": 0.1,
    "bargains?": 0.0,
    "habits?": 0.0,
    "low anchors?": 0.0,
    "partings?|part(?:s|ed)? from": 0.0,
    "(?<!teacher[ -])forc(?:ed|ing)": 1.7,
}
"""The highest rate per 10,000 words in the Markdown and reStructuredText of sacrebleu (5,536 words), RapidFuzz (6,059),
inspect_ai (295,762), nanochat (11,585) and verifiers (20,121), counted on 2026-11-28 as `rates` does and rounded up."""
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
"""What Markdown marks as code: commands and messages are quoted there."""


class Identifier(NamedTuple):
    """A name where it is defined."""

    name: str
    scope: str
    """The function or class around it."""
    line: int


def banned_words(name: str) -> set[str]:
    """The banned words among those of a name in snake_case or CamelCase."""
    return {word.lower() for word in WORD.findall(TERM.sub("", name))} & BANNED


def banned_identifiers(source: str) -> list[Identifier]:
    """The functions, classes, parameters, variables and attributes that a file defines and that have a banned word.

    Names that are only read don't count: they may be another package's.
    """
    return [identifier for identifier in _defined(ast.parse(source), "") if banned_words(identifier.name)]


def banned_modules(root: Path) -> list[str]:
    """The files below `root` with a banned word in their own name or in that of a folder."""
    files = [file.relative_to(root) for file in sorted(root.rglob("*.py"))]
    return [str(file) for file in files if any(map(banned_words, file.with_suffix("").parts))]


def rates(texts: Iterable[str]) -> dict[str, float]:
    """How often each pattern of RATES occurs in 10,000 words of Markdown, code excluded."""
    prose = "\n".join(CODE.sub("", text) for text in texts)
    words = len(re.findall(r"[A-Za-z']+", prose))
    return {word: 10_000 * len(re.findall(rf"\b(?:{word})\b", prose, re.IGNORECASE)) / words for word in RATES}


def comments_and_docstrings(source: str) -> str:
    """The prose of a Python file."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    return "\n".join([*comments, *(t.value for t in texts if isinstance(t, ast.Constant) and isinstance(t.value, str))])


def _defined(node: ast.AST, scope: str) -> Iterator[Identifier]:
    for child in ast.iter_child_nodes(node):
        yield from (Identifier(name, scope, child.lineno) for name in _bound(child))  # type: ignore[attr-defined]
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{child.name}".lstrip(".")
        yield from _defined(child, inner)


def _bound(node: ast.AST) -> list[str]:
    """The names that a node binds by itself."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return [name]
        case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
            return [name]
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return [name]
    return []
