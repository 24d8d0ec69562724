"""Counts: whether the candidate has as many sentences and list items as the baseline."""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.blocks import MAX_CHARACTERS, parse
from fidelity.text.chunks import split_sentences


class Counts(Metric):
    """`sentence_similarity` and `item_similarity`: the smaller count / the larger one. In [0, 1], symmetric.

    Sentences end with the stops of any script (. ! ? 。 । ؟ ...), and with a paragraph, heading or list item; code and
    tables hold none. Thai writes no stops, so that a paragraph of it is one sentence. Items are those of Markdown
    lists, nested ones too. None where neither text has one, and where a text is longer than 500,000 characters.
    """

    kind: Literal["counts"] = "counts"

    extra: ClassVar[str] = "structure"
    packages: ClassVar[tuple[str, ...]] = ("markdown-it-py",)

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        if pairs:
            self.require_packages()
        sides = [(_counts(p.baseline.text), _counts(p.candidate.text)) for p in pairs]
        names = ("sentence_similarity", "item_similarity")
        return [
            Column.of(
                name, [_similarity(a[i], b[i]) if a and b else "candidate" if a else "baseline" for a, b in sides]
            )
            for i, name in enumerate(names)
        ]


def _counts(text: str) -> tuple[int, int] | None:
    """Sentences and list items; None for a text that is too long to be read."""
    if len(text) > MAX_CHARACTERS:
        return None
    sentences = items = 0
    before = ""
    for token in parse(text):
        items += token.type == "list_item_open"
        if token.type == "inline" and before in ("paragraph_open", "heading_open"):
            sentences += sum(1 for _ in _sentences(token.content))
        before = token.type
    return sentences, items


def _sentences(paragraph: str) -> Iterator[str]:
    """A paragraph's sentences, its line breaks being spaces; what has no letter and no digit is none."""
    return (s for s in split_sentences(paragraph.replace("\n", " ")) if re.search(r"\w", s))


def _similarity(a: int, b: int) -> float | Side:
    return min(a, b) / max(a, b) if a or b else "pair"
