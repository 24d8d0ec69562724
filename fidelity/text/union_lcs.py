"""The union LCS of ROUGE-Lsum: how many of the baseline's words are in a common subsequence with some line.

ROUGE-Lsum (Lin 2004, section 3.2) takes, for each line of the baseline, a longest common subsequence with each line of
the candidate, and counts the words in the union of these. Which of several longest ones is taken changes the number:
here it is the one that rouge-score reads out of its table, without the table. All baseline lines are adjacent in one
integer, and a column of all their tables is a few operations on it (Hyyro, "Bit-parallel LCS-length computation
revisited", 2004). Time grows with the product of the two lengths over 64, memory with their sum.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate, chain
from operator import or_

from rapidfuzz.distance import LCSseq

BLOCK = 256
"""The number of columns in memory while a subsequence is read; every 256th is stored, others are recomputed."""


def union_lcs(baseline: Sequence[Sequence[int]], candidate: Sequence[Sequence[int]]) -> int:
    """Words of the baseline in the union, each at most as often as the candidate has it. A line is a list of ids."""
    if baseline == candidate:
        return sum(map(len, baseline))
    if len(baseline) == len(candidate) == 1:
        return LCSseq.similarity(baseline[0], candidate[0])  # one subsequence: the same words, whichever is taken
    tables = _Tables(baseline)
    union = reduce(or_, map(tables.matched, dict.fromkeys(map(tuple, candidate))), 0)
    available = Counter(chain.from_iterable(candidate))
    return sum(min(count, available[word]) for word, count in Counter(tables.words_at(union)).items())


class _Tables:
    """The LCS tables of all baseline lines against one candidate line at a time, one bit per baseline word.

    After each line a bit stays free: it takes the carry of the addition, so no line touches the next.
    """

    def __init__(self, lines: Sequence[Sequence[int]]) -> None:
        self.one_line = len(lines) == 1
        self.cells = list(chain.from_iterable((*line, None) for line in lines))
        self.all_words = 0
        self.where: dict[int, int] = {}
        for position, word in enumerate(self.cells):
            if word is not None:
                self.where[word] = self.where.get(word, 0) | 1 << position
                self.all_words |= 1 << position
        # The words with a word of the same line 1, 2, 4, ... further up, until this is longer than any line.
        self.within_line = [self.all_words & self.all_words >> 1]
        for step in range((max(map(len, lines), default=0) - 1).bit_length() - 1):
            self.within_line.append(self.within_line[-1] & self.within_line[-1] >> (1 << step))

    def words_at(self, positions: int) -> Iterable[int]:
        bits = reversed(f"{positions:b}")
        return (word for word, bit in zip(self.cells, bits, strict=False) if bit == "1" and word is not None)

    def matched(self, line: Sequence[int]) -> int:
        """The baseline words on the longest common subsequences that rouge-score reads back, one for each line."""
        matches = [self.where.get(word, 0) for word in line]
        starts = range(0, len(matches), BLOCK)
        stored = [self.all_words]
        for start in starts[:-1]:
            stored.append(reduce(self._next, matches[start : start + BLOCK], stored[-1]))
        alive, matched = self.all_words, 0  # alive: the words that a line may still match
        for start, first in zip(starts[::-1], stored[::-1], strict=True):
            block = matches[start : start + BLOCK]
            columns = list(accumulate(block, self._next, initial=first))[1:]
            for match, column in zip(block[::-1], columns[::-1], strict=True):
                # rouge-score walks down each line to the first word that matches, or at which the LCS grows.
                reached = self._down_from_highest(alive & (match | ~column))
                here = reached & ~(reached >> 1) & match
                matched |= here
                alive = reached & ~here
                if not alive:
                    return matched
        return matched

    def _next(self, column: int, match: int) -> int:
        """The next column of the tables: a word's bit is 0 where the length of the LCS grows at that word."""
        return (column + (column & match) | column & ~match) & self.all_words

    def _down_from_highest(self, bits: int) -> int:
        """In each line, the highest of the bits and all words below it."""
        if self.one_line:
            return (1 << bits.bit_length()) - 1
        for step, within_line in enumerate(self.within_line):
            bits |= bits >> (1 << step) & within_line
        return bits
