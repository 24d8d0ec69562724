"""Syntax trees: code in the languages that there is a tree-sitter grammar for."""

from functools import cache
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Parser, Tree

GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "c++": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "bash": ("tree_sitter_bash", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "html": ("tree_sitter_html", "language"),
}
"""Each language's module and the function in it that gives its grammar."""

ALIASES = {
    **dict.fromkeys(("py", "python3"), "python"),
    **dict.fromkeys(("js", "jsx", "mjs", "node"), "javascript"),
    "ts": "typescript",
    "h": "c",
    **dict.fromkeys(("cpp", "cc", "cxx", "hpp"), "c++"),
    "golang": "go",
    "rs": "rust",
    **dict.fromkeys(("sh", "shell", "zsh"), "bash"),
    **dict.fromkeys(("mysql", "postgresql", "postgres", "sqlite"), "sql"),
    "htm": "html",
}

SIGNS_OF_LIFE = 100
"""tree-sitter calls back about every 100 steps: up to 2 per 100 bytes on real code, 6 on the worst known input."""


class CodeBlock(NamedTuple):
    """Code in a language that there is a grammar for."""

    language: str
    code: str


def parse_code(block: CodeBlock) -> "Tree | None":
    """The syntax tree; None where tree-sitter would never come to an end (tree-sitter-typescript issue 323).

    It is stopped by the number of its own steps, so the outcome is the same on any machine.
    """
    code = block.code.encode("utf-8", "replace")
    signs_of_life = count()
    parser = _parser(block.language)
    try:
        return parser.parse(
            lambda offset, _: code[offset : offset + 4096],
            progress_callback=lambda *_: next(signs_of_life) > SIGNS_OF_LIFE + len(code) // 10,
        )
    except ValueError:
        parser.reset()
        return None


def is_whole(tree: "Tree | None") -> bool:
    return tree is not None and not tree.root_node.has_error


@cache
def _parser(language: str) -> "Parser":
    from tree_sitter import Language, Parser

    module, function = GRAMMARS[language]
    return Parser(Language(getattr(import_module(module), function)()))
