"""What a store's runs have answered."""

from collections import Counter

from fidelity.store.store import Store


def lost_and_doubled(store, prompts):
    """The numbers of prompts without an answer and with two, over all runs of the store."""
    lost = doubled = 0
    for one in Store(store).runs():
        counts = Counter(outcome.prompt_id for outcome in one.outcomes())
        lost += prompts - len(counts)
        doubled += sum(count > 1 for count in counts.values())
    return lost, doubled
