"""Answers to different prompts, paired: what a similarity is by chance."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fidelity.records import Pair

CHANCE_SEED = 0
"""Seed of the permutation that pairs each of the candidate's outputs with another prompt's baseline."""


def chance_signature(signature: str) -> str:
    """The signature under which the chance levels of a metric are stored."""
    return f"{signature}|low:{CHANCE_SEED}"


def with_other_baselines(pairs: Sequence[Pair]) -> list[Pair]:
    """Pair each of the candidate's outputs with another prompt's baseline, by a seeded derangement.

    All repeats of a prompt are paired with the other prompt's repeats, cyclically if it has fewer.
    """
    by_prompt: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt.id, []).append(pair)
    order = list(by_prompt)
    random.Random(CHANCE_SEED).shuffle(order)
    other = {one: by_prompt[next_] for one, next_ in zip(order, [*order[1:], *order[:1]], strict=True)}
    seen = Counter[str]()
    moved = []
    for pair in pairs:
        stranger = other[pair.prompt.id][seen[pair.prompt.id] % len(other[pair.prompt.id])]
        seen[pair.prompt.id] += 1
        moved.append(replace(pair, baseline=stranger.baseline, baselines=stranger.baselines))
    return moved
