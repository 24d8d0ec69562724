"""Places: where in a whole text is what was compared: a stretch of joined sentences, of code, a value, a cell."""

from collections.abc import Sequence
from typing import NamedTuple

from fidelity.text.documents import DocumentValue
from fidelity.text.segments import DocumentSegment, FenceSegment, Sentence, Table
from fidelity.text.values import Path, place_of


class TextSpan(NamedTuple):
    """A stretch of a text; empty where something is missing."""

    start: int
    end: int


def joined(sentences: Sequence[Sentence], indices: Sequence[int]) -> tuple[str, list[tuple[int, Sentence]]]:
    """Sentences as one text, and where each begins in it."""
    text, pieces = "", []
    for i in indices:
        text += " " if text else ""
        pieces.append((len(text), sentences[i]))
        text += sentences[i].text
    return text, pieces


def in_text(span: tuple[int, int], pieces: Sequence[tuple[int, Sentence]], text: str) -> TextSpan:
    """Where a stretch of joined sentences is in the text that they are from."""
    offsets = []
    for place in span:
        start, sentence = next((s, p) for s, p in reversed(pieces) if s <= place)
        offsets.append(sentence.start + _raw_offset(sentence.text, text[sentence.start : sentence.end], place - start))
    return TextSpan(offsets[0], max(offsets))


def _raw_offset(plain: str, raw: str, offset: int) -> int:
    """Where in the raw sentence a character of the plain one is, which only lacks Markdown's marks."""
    position = 0
    for character in plain[:offset]:
        place = raw.find(character, position)
        position = place + 1 if place >= 0 else position
    return position


def in_fence(fence: FenceSegment, span: tuple[int, int], text: str) -> TextSpan:
    """Code is indented in its text where it is in a list, so its lines are looked up one by one."""
    offsets = []
    lines = fence.text.split("\n")
    for place in span:
        line = fence.text.count("\n", 0, place)
        column = place - (fence.text.rfind("\n", 0, place) + 1)
        start = fence.start
        for _ in range(line + 1):  # the line of the fence marks, then the code's
            start = text.find("\n", start) + 1 or len(text)
        own = text.find(lines[line], start) if lines[line] else start
        offsets.append((own if own >= 0 else start) + column)
    return TextSpan(offsets[0], max(offsets))


def in_document(document: DocumentSegment, path: Path, value: DocumentValue, text: str) -> TextSpan:
    """Where a value of a document is in the text."""
    start, end = place_of(path, value, text[document.start : document.end])
    return TextSpan(document.start + start, document.start + end)


def in_table(table: Table, cell: str, text: str) -> TextSpan:
    """Where a cell is in the text; the whole table where its text isn't there as it is written."""
    place = text.find(cell, table.start, table.end) if cell else -1
    return TextSpan(place, place + len(cell)) if place >= 0 else TextSpan(table.start, table.end)
