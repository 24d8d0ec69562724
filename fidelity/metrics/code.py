"""Code: whether the code in fences still parses, and how much of its syntax tree is kept."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.blocks import too_long
from fidelity.text.code_blocks import code_blocks
from fidelity.text.counterparts import counterparts
from fidelity.text.syntax import GRAMMARS, CodeBlock, is_whole, parse_code
from fidelity.text.trees import Shapes, grow, similarity

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

MAX_CODE = 32_000
"""Some grammars take quadratic time on hostile text: up to 7 s for this many characters of it, 0.02 s for real code."""


class Code(Metric):
    """`code_parses` and `code`: what becomes of the fenced code in languages that a tree-sitter grammar is there for.

    `code_parses` is the share of the baseline's error-free blocks whose counterpart in the candidate (of the same
    language, and alike) is error-free too: no ERROR and no MISSING node. None where the baseline has no error-free
    block.

    `code` is 1 - tree edit distance / nodes of the larger side, over the syntax trees of all blocks in their order; in
    [0, 1], symmetric. Nodes are the grammar's named ones, with their operator. Comments, names and literal values don't
    count: the same program with other names gives 1. Code on one side only gives 0; None where neither side has any.

    Read are fences whose label names one of Python, JavaScript, TypeScript, Java, C, C++, Go, Rust, Bash, SQL and HTML;
    those without a label, as their counterpart or as what they look like; and bare code in a text without any fence,
    where it parses (`code_blocks`). Both are None where a text has more than 500,000 characters, or more than 32,000 of
    them are code in those languages.
    """

    kind: Literal["code"] = "code"
    exact_nodes: int = Field(default=50, ge=0)
    """Up to so many differing nodes a side (the product counts) the distance is exact. Beyond, it is the edit distance
    of the labels in pre-order or post-order, the larger: a lower bound, so that the similarity is never too low."""

    extra: ClassVar[str] = "structure"
    packages: ClassVar[tuple[str, ...]] = (
        "markdown-it-py",
        "apted",
        "rapidfuzz",
        "tree-sitter",
        *dict.fromkeys(module.replace("_", "-") for module, _ in GRAMMARS.values()),
    )
    revision: ClassVar[int] = 2

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
        a, b = code_blocks(baseline, candidate)
        if side := _too_much(a, b):
            return side, side
        parsed = {block: parse_code(block) for block in {*a, *b}}
        shapes: Shapes = {}
        forests = (grow((node for block in side for node in _nodes(block, parsed[block])), shapes) for side in (a, b))
        return _share_that_parses(a, b, parsed), similarity(*forests, exact_nodes=self.exact_nodes)


def _too_much(a: Sequence[CodeBlock], b: Sequence[CodeBlock]) -> Side | None:
    """Whose code is more than what is read in a bounded time; "pair" where there is none at all."""
    if not (a or b):
        return "pair"
    sizes = [sum(len(block.code) for block in blocks) for blocks in (a, b)]
    return "baseline" if sizes[0] > MAX_CODE else "candidate" if sizes[1] > MAX_CODE else None


def _share_that_parses(
    a: Sequence[CodeBlock], b: Sequence[CodeBlock], parsed: "dict[CodeBlock, Tree | None]"
) -> float | Side:
    parsing = []
    for language in {block.language for block in a}:
        own, others = ([block for block in side if block.language == language] for side in (a, b))
        partners = counterparts([block.code for block in own], [block.code for block in others])
        for block, partner in zip(own, partners, strict=True):
            if is_whole(parsed[block]):
                parsing.append(partner is not None and is_whole(parsed[others[partner]]))
    return sum(parsing) / len(parsing) if parsing else "pair"


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
