"""Words that no identifier may have among its own: a name says what a value is, in the field's terms."""

import ast
import re
from collections.abc import Iterator
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
