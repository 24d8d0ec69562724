"""Counting the n-grams that two sequences share, for many pairs of sequences at once, by sorting them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
BLOCK = 1 << 13
"""The number of symbols that are sorted together; more don't fit into the processor's first caches."""
KEY_BITS = 63


def shared_ngrams(pairs: Sequence[tuple[Ints, Ints]], *, order: int) -> Ints:
    """Return, for each pair of sequences, how many n-grams they share: a row per pair, a column for each n.

    n is 1 to `order`. An n-gram that one sequence has twice and the other three times counts twice. The counts are
    exact; nothing is hashed.

    Args:
        pairs: Sequences of positive numbers, such as code points or ids of words.
        order: The highest n.
    """
    counts = np.zeros((len(pairs), order), np.int64)
    sizes = np.cumsum([len(one) + len(other) for one, other in pairs])
    ends = np.flatnonzero(np.diff(sizes // BLOCK, append=-1)) + 1
    for start, end in pairwise((0, *ends.tolist())):
        counts[start:end] = _of_block([sequence for pair in pairs[start:end] for sequence in pair], order)
    return counts


def _of_block(sequences: Sequence[Ints], order: int) -> Ints:
    """The counts of the pairs of one block. After each sequence are zeros, so that no n-gram reaches into the next."""
    gap = np.zeros(order, np.int64)
    symbols, bits = _dense(np.concatenate([gap, *(row for sequence in sequences for row in (sequence, gap))]))
    lengths = np.array([len(sequence) for sequence in sequences])
    ends = (lengths + order).cumsum()
    starts = np.flatnonzero(symbols)
    sides = np.arange(len(sequences)).repeat(lengths)
    if len(sequences).bit_length() + order * bits > KEY_BITS:
        return _by_ranks(symbols, starts, sides, ends, order=order)
    return _by_keys(symbols, starts, sides, ends, order=order, bits=bits)


def _dense(values: Ints) -> tuple[Ints, int]:
    """The values renumbered from 0 without gaps, and the number of bits of the highest."""
    present = np.zeros(int(values.max()) + 1, np.bool_)
    present[values] = True
    distinct = np.flatnonzero(present)
    numbers = np.empty(len(present), np.int64)
    numbers[distinct] = np.arange(len(distinct))
    return numbers[values], (len(distinct) - 1).bit_length()


def _by_keys(symbols: Ints, starts: Ints, sides: Ints, ends: Ints, *, order: int, bits: int) -> Ints:
    """Sort keys of pair, n-gram of the highest order and side. The shorter n-grams are prefixes of it.

    At the end of a text, n-grams are filled up with zeros. Each text has one of every length, so two texts share as
    many as they have last symbols in common; these are subtracted.
    """
    key = np.zeros(len(symbols), np.int64)
    for n in range(order):
        key <<= bits
        key[: len(key) - n] |= symbols[n:]
    key = np.sort(sides >> 1 << bits * order + 1 | key[starts] << 1 | sides & 1)
    pair_bounds = np.searchsorted(key, np.arange(len(ends) // 2 + 1) << bits * order + 1)
    candidates_before = np.concatenate(([0], (key & 1).cumsum()))
    change = key[1:] ^ key[:-1]
    counts = np.empty((len(ends) // 2, order), np.int64)
    ends_alike = np.ones(len(counts), np.bool_)
    padded = np.zeros(len(counts), np.int64)
    for n in range(order):
        bounds = np.concatenate(([0], np.flatnonzero(change >= 1 << bits * (order - n - 1) + 1) + 1, [len(key)]))
        of_candidate = np.diff(candidates_before[bounds])
        shared = np.minimum(np.diff(bounds) - of_candidate, of_candidate)
        shared_before = np.concatenate(([0], shared.cumsum()))
        counts[:, n] = np.diff(shared_before[np.searchsorted(bounds, pair_bounds)]) - padded
        last, other = symbols[ends[::2] - n - 1], symbols[ends[1::2] - n - 1]
        ends_alike &= (last == other) & (last > 0)
        padded += ends_alike
    return counts


def _by_ranks(symbols: Ints, starts: Ints, sides: Ints, ends: Ints, *, order: int) -> Ints:
    """Number the n-grams of each order from those of the order before: slower, for alphabets of any size."""
    counts = np.empty((len(ends) // 2, order), np.int64)
    alphabet = int(symbols.max()) + 1
    ranks = sides >> 1
    for n in range(order):
        whole = symbols[starts + n] > 0
        starts, sides, ranks = starts[whole], sides[whole], ranks[whole]
        ngrams, ranks = np.unique(ranks * alphabet + symbols[starts + n], return_inverse=True)
        of_each = np.zeros((len(ngrams), 2), np.int64)
        np.add.at(of_each, (ranks, sides & 1), 1)
        pairs = np.zeros(len(ngrams), np.int64)
        pairs[ranks] = sides >> 1
        counts[:, n] = np.bincount(pairs, of_each.min(axis=1, initial=1 << 62), len(counts))
    return counts
