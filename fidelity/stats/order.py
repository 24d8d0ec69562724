"""The order in which prompts are read: by their ids, independent of the order of rows in a file."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from fidelity.records import PackedTexts, are_distinct

READING_SEED = 0
"""Of the order in which a gate reads prompts, and `--until-decided` generates them."""


def reading_order(ids: Sequence[str], *, seed: int = READING_SEED) -> NDArray[np.intp]:
    """Positions of the ids in the order in which the bounds read them: by a hash of seed and id.

    The order of some of the ids is their order among all. `--until-decided` generates in this order: then a batch
    more only adds to the end. Raises ValueError if an id comes twice. No ids give an empty array.
    """
    return _order(PackedTexts.of(ids), seed)


@lru_cache(maxsize=4)
def _order(ids: PackedTexts, seed: int) -> NDArray[np.intp]:
    """A verdict on a million prompts asks for the same order eleven times, two seconds each."""
    if not are_distinct(ids):
        twice = [one for one, times in Counter(ids).items() if times > 1]
        raise ValueError(f"one value per prompt id, average repeats first: {twice[0]!r} is duplicated")
    key = seed.to_bytes(16, "little", signed=True)
    digests = bytearray()
    for one in ids:
        digests += blake2b(one.encode(), key=key, digest_size=16).digest()
    starts = np.frombuffer(digests, dtype=">u8")[::2].astype(np.uint64)
    if len(np.unique(starts)) == len(ids):  # always, but for one of 10^7 studies of a million prompts
        order = np.argsort(starts)
    else:
        order = np.array(
            sorted(range(len(ids)), key=lambda place: (digests[16 * place : 16 * place + 16], ids[place])),
            dtype=np.intp,
        )
    order.flags.writeable = False
    return order
