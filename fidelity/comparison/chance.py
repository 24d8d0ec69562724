"""Answers to different prompts, paired: what a similarity is by chance."""

import random
from collections.abc import Sequence

import numpy as np

from fidelity.comparison.pairs import WithBaselinesOf
from fidelity.records import Pair, are_distinct

CHANCE_SEED = 0
"""Seed of the permutation that pairs each of the candidate's outputs with another prompt's baseline."""


def chance_signature(signature: str) -> str:
    """The signature under which the chance levels of a metric are stored."""
    return f"{signature}|low:{CHANCE_SEED}"


def with_other_baselines(pairs: Sequence[Pair], prompt_ids: Sequence[str] | None = None) -> Sequence[Pair]:
    """Pair each of the candidate's outputs with another prompt's baseline, by a seeded derangement.

    All repeats of a prompt are paired with the other prompt's repeats, cyclically if it has fewer. `prompt_ids` are
    those of the pairs, if they are known.
    """
    ids = prompt_ids or [pair.prompt.id for pair in pairs]
    unique = are_distinct(ids)
    own_places = [] if unique else _places_by_prompt(ids)
    order = list(range(len(ids) if unique else len(own_places)))
    random.Random(CHANCE_SEED).shuffle(order)
    others = np.zeros(len(ids), np.int64)
    if unique:
        others[order] = np.roll(order, -1)
        return WithBaselinesOf(pairs, others)
    for own, of_another in zip(order, [*order[1:], *order[:1]], strict=True):
        strangers = own_places[of_another]
        for number, place in enumerate(own_places[own]):
            others[place] = strangers[number % len(strangers)]
    return WithBaselinesOf(pairs, others)


def _places_by_prompt(prompt_ids: Sequence[str]) -> list[list[int]]:
    """The places of each prompt's pairs, in the order of the prompts."""
    by_prompt: dict[str, list[int]] = {}
    for place, prompt_id in enumerate(prompt_ids):
        by_prompt.setdefault(prompt_id, []).append(place)
    return list(by_prompt.values())
