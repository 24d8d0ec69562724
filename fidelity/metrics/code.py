"""Code: whether the code in fences still parses, and how much of its syntax tree is kept."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import count, zip_longest
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.blocks import Fence, fences, too_long
from fidelity.text.trees import Shapes, grow, similarity

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

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

PACKAGES = (
    "markdown-it-py",
    "apted",
    "rapidfuzz",
    "tree-sitter",
    *dict.fromkeys(module.replace("_", "-") for module, _ in GRAMMARS.values()),
)

SIGNS_OF_LIFE = 100
"""tree-sitter gives one about every 100 steps: up to 2 in 100 bytes on real code, 6 on the worst that was found."""
MAX_CODE = 32_000
"""Some grammars take quadratic time on hostile text: up to 7 s for this many characters of it, 0.02 s for real code."""


class Code(Metric):
    """`code_parses` and `code`: what becomes of the fenced code in languages that a tree-sitter grammar is there for.

    `code_parses` is the share of the baseline's error-free blocks whose partner in the candidate (the n-th block of the
    same language) is error-free too: no ERROR and no MISSING node. None where the baseline has no error-free block.

    `code` is 1 - tree edit distance / nodes of the larger side, over the syntax trees of all blocks in their order; in
    [0, 1], symmetric. Nodes are the grammar's named ones, with their operator. Comments, names and literal values don't
    count: the same program with other names gives 1. Code on one side only gives 0; None where neither side has any.

    Read are fences whose info string names one of Python, JavaScript, TypeScript, Java, C, C++, Go, Rust, Bash, SQL and
    HTML; a fence that names nothing is read as what the other side's fence at its place names. Both are None where a
    text has more than 500,000 characters, or more than 32,000 of them are code in those languages.
    """

    kind: Literal["code"] = "code"
    exact_nodes: int = Field(default=50, ge=0)
    """Up to so many differing nodes a side (the product counts) the distance is exact. Beyond, it is the edit distance
    of the labels in pre-order or post-order, the larger: a lower bound, so that the similarity is never too low."""

    extra: ClassVar[str] = "structure"

    @property
    def packages(self) -> tuple[str, ...]:
        return PACKAGES

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        if pairs:
            self.require_packages()
        scored = [self._compare(p.baseline.text, p.candidate.text) for p in pairs]
        return [
            Column.of("code_parses", [parses for parses, _ in scored]),
            Column.of("code", [similar for _, similar in scored]),
        ]

    def _compare(self, baseline: str, candidate: str) -> tuple[float | Side, float | Side]:
        if side := too_long(baseline, candidate):
            return side, side
        a, b = _read(fences(baseline), fences(candidate))
        if side := _too_much(a, b):
            return side, side
        parsed = {block: _parse(block) for block in {*a, *b}}
        shapes: Shapes = {}
        forests = (grow((node for block in side for node in _nodes(block, parsed[block])), shapes) for side in (a, b))
        return _share_that_parses(a, b, parsed), similarity(*forests, exact_nodes=self.exact_nodes)


class CodeBlock(NamedTuple):
    """Code in a language that there is a grammar for."""

    language: str
    code: str


def _read(a: Sequence[Fence], b: Sequence[Fence]) -> tuple[list[CodeBlock], list[CodeBlock]]:
    """Both sides' blocks; a fence that names no language is read as the one at its place on the other side."""
    nothing = Fence("", "", (0, 0))
    blocks: tuple[list[CodeBlock], list[CodeBlock]] = ([], [])
    for fence, other in zip_longest(a, b, fillvalue=nothing):
        for side, own, beside in ((0, fence, other), (1, other, fence)):
            language = own.language or beside.language
            language = ALIASES.get(language, language)
            if own is not nothing and language in GRAMMARS:
                blocks[side].append(CodeBlock(language, own.content))
    return blocks


def _too_much(a: Sequence[CodeBlock], b: Sequence[CodeBlock]) -> Side | None:
    """Whose code is more than what is read in a bounded time; "pair" where there is none at all."""
    if not (a or b):
        return "pair"
    sizes = [sum(len(block.code) for block in blocks) for blocks in (a, b)]
    return "baseline" if sizes[0] > MAX_CODE else "candidate" if sizes[1] > MAX_CODE else None


def _share_that_parses(
    a: Sequence[CodeBlock], b: Sequence[CodeBlock], parsed: "dict[CodeBlock, Tree | None]"
) -> float | Side:
    candidates: dict[str, list[CodeBlock]] = defaultdict(list)
    for block in b:
        candidates[block.language].append(block)
    waiting = {language: iter(blocks) for language, blocks in candidates.items()}
    kept = []
    for block in a:
        partner = next(waiting.get(block.language, iter(())), None)
        if _is_whole(parsed[block]):
            kept.append(partner is not None and _is_whole(parsed[partner]))
    return sum(kept) / len(kept) if kept else "pair"


def _parse(block: CodeBlock) -> "Tree | None":
    """The syntax tree; None where tree-sitter would never come to an end (tree-sitter-typescript issue 323).

    It is stopped by the number of its own steps, so that the outcome is the same on any machine.
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


def _is_whole(tree: "Tree | None") -> bool:
    return tree is not None and not tree.root_node.has_error


def _nodes(block: CodeBlock, tree: "Tree | None") -> Iterator[tuple[int, str]]:
    """Depth and label of the block and of each named node that is no comment, in pre-order."""
    yield 0, block.language
    if tree is None:
        yield 1, "ERROR"
        return
    waiting = [(1, tree.root_node)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, _label(node)
        waiting.extend((depth + 1, child) for child in reversed(node.named_children) if not child.is_extra)


def _label(node: "Node") -> str:
    operator = node.child_by_field_name("operator") or node.child_by_field_name("operators")
    return node.type if operator is None else f"{node.type} {operator.type}"


@cache
def _parser(language: str) -> "Parser":
    from tree_sitter import Language, Parser

    module, function = GRAMMARS[language]
    return Parser(Language(getattr(import_module(module), function)()))
