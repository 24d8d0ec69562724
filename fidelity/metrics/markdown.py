"""Markdown: whether headings, lists, tables, code blocks and quotes are still where the baseline has them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.blocks import language, parse, too_long
from fidelity.text.trees import Node, Shapes, grow, similarity

if TYPE_CHECKING:
    from markdown_it.token import Token


class Markdown(Metric):
    """1 - tree edit distance / nodes of the larger document, both read as trees of blocks. In [0, 1], symmetric.

    Nodes are headings with their level, lists (ordered or not) and items, tables, rows and cells, quotes, code blocks
    with their language, rules, HTML blocks and paragraphs; an item's first paragraph is the item itself, so that blank
    lines between items don't count. Words don't count. What is deleted, inserted or relabelled costs 1 each.

    None where neither text has more than paragraphs (plain prose has no structure to keep), and where a text is longer
    than 500,000 characters.
    """

    kind: Literal["markdown"] = "markdown"
    exact_nodes: int = Field(default=100, ge=0)
    """Up to so many differing nodes a side (the product counts) the distance is exact. Beyond, it is the edit distance
    of the labels in pre-order or post-order, the larger: a lower bound, so that the similarity is never too low."""

    extra: ClassVar[str] = "structure"
    packages: ClassVar[tuple[str, ...]] = ("markdown-it-py", "apted", "rapidfuzz")

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        if pairs:
            self.require_packages()
        return [Column.of("markdown", [self._compare(p.baseline.text, p.candidate.text) for p in pairs])]

    def _compare(self, baseline: str, candidate: str) -> float | Side:
        if side := too_long(baseline, candidate):
            return side
        shapes: Shapes = {}
        a = grow(_blocks(baseline), shapes)
        b = a if baseline == candidate else grow(_blocks(candidate), shapes)
        structured = _has_structure(a) or _has_structure(b)
        return similarity(a, b, exact_nodes=self.exact_nodes) if structured else "pair"


LABELS = {
    "bullet_list_open": "list",
    "ordered_list_open": "ordered list",
    "list_item_open": "item",
    "table_open": "table",
    "tr_open": "row",
    "th_open": "cell",
    "td_open": "cell",
    "blockquote_open": "quote",
    "paragraph_open": "paragraph",
    "code_block": "code",
    "hr": "rule",
    "html_block": "html",
}
TRANSPARENT = {"inline", "thead_open", "tbody_open"}


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Depth and label of each block, in the text's order."""
    depth = 0
    counted: list[bool] = []
    """For each open block, from the outermost, whether it is a node."""
    before = ""
    for token in parse(text):
        if token.nesting == -1:
            depth -= counted.pop()
        else:
            first_of_item = token.type == "paragraph_open" and before == "list_item_open"
            is_node = not (token.type in TRANSPARENT or token.hidden or first_of_item)
            if is_node:
                yield depth, _label(token)
            if token.nesting == 1:
                counted.append(is_node)
                depth += is_node
        before = token.type


def _label(token: "Token") -> str:
    match token.type:
        case "heading_open":
            return str(token.tag)
        case "fence":
            return f"code {language(token)}".rstrip()
        case block:
            return LABELS[block]


def _has_structure(document: Sequence[Node]) -> bool:
    return any(block.label != "paragraph" for block in document)
