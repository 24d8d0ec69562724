"""Splitting whole texts into chunks within an encoder's limit: sentences of any script, packed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Protocol

_SENTENCE_END = re.compile(
    r"""(?: [.!?…؟۔։।॥။።៖]+ ["'”’»)\]*_]* (?=\s)   # a stop, closing marks, then white space
          | [。！？｡．៕។།༎]+ ["'”’」』）]*            # a stop of a script that writes no space after it
          | \n                                     # a line: headings, list items, code
        ) \s*""",
    re.VERBOSE,
)


class Reader(Protocol):
    """What reads the chunks: an encoder."""

    @property
    def max_tokens(self) -> int:
        """Tokens that it reads at once."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a text and its number of word pieces, special tokens not counted."""

    text: str
    tokens: int


def chunk_texts(texts: Sequence[str], encoder: Reader, *, pack: bool = True) -> dict[str, list[Chunk]]:
    """Each text's chunks, in order: whole sentences, as many as the encoder reads at once; one each without `pack`.

    Packed, a text that fits is one chunk. A longer sentence is split between words, a longer word between characters.
    Joined, a text's chunks are the text, but for white space at their ends; a text without word pieces has none.
    """
    limit = encoder.max_tokens
    pieces = {text: [text] if pack else split_sentences(text) for text in texts}
    sizes = _sizes(pieces, encoder)
    for split in chain([split_sentences, _split_words], repeat(_split_in_two)):
        too_long = {piece for parts in pieces.values() for piece in parts if sizes[piece] > limit and len(piece) > 1}
        if not too_long:
            break
        finer = {piece: split(piece) for piece in too_long}
        sizes |= _sizes(finer, encoder)
        pieces = {text: [q for p in parts for q in finer.get(p, [p])] for text, parts in pieces.items()}
    packed = {text: _pack(parts, sizes, limit if pack else 0) for text, parts in pieces.items()}
    sizes = _sizes(packed, encoder)
    return {text: [Chunk(p, sizes[p]) for p in parts if sizes[p]] for text, parts in packed.items()}


def split_sentences(text: str) -> list[str]:
    """Sentences and lines with the white space that follows them; joined, they are the text."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return [text[a:b] for a, b in pairwise([0, *ends, len(text)]) if a < b]


def _split_words(text: str) -> list[str]:
    return re.findall(r"^\s+|\S+\s*", text)


def _split_in_two(text: str) -> list[str]:
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def _sizes(pieces: Mapping[str, Sequence[str]], encoder: Reader) -> dict[str, int]:
    distinct = list(dict.fromkeys(piece for parts in pieces.values() for piece in parts))
    return dict(zip(distinct, encoder.count_tokens(distinct), strict=True))


def _pack(pieces: Sequence[str], sizes: Mapping[str, int], limit: int) -> list[str]:
    """Neighbours joined as long as their sizes add up to no more than the limit; a text in one piece stays as it is."""
    groups: list[list[str]] = []
    room = 0
    for piece in pieces:
        if not groups or sizes[piece] > room:
            groups.append([])
            room = limit
        groups[-1].append(piece)
        room -= sizes[piece]
    return ["".join(group) if len(pieces) == 1 else "".join(group).strip() for group in groups]
