"""Conflicts in words: how many of a run's answers have one, and the conflicting values of a pair."""

from collections.abc import Iterator

import numpy as np

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.gate import Verdict
from fidelity.outside.strings import cut, one_line
from fidelity.records import ColumnNumbers, Pair
from fidelity.report.pairs import rank
from fidelity.text.conflicts import KINDS, Conflict, compare_texts

MOST_LISTED = 5
"""Answers with a conflict that are listed where no pairs are shown."""
MOST_SHOWN = 60
"""The maximum number of characters of each side of a conflict."""
IN_WORDS = {
    **{"negation": "negation", "number": "number", "direction": "opposite word", "name": "name", "json": "JSON value"},
    **{"code": "code change", "table": "table cell"},
}


def conflict_headlines(result: ComparisonSet) -> list[str]:
    """A sentence for each candidate with scored conflicts: how many answers have one, by kind, and the floor."""
    floor = [f"{k} of {n}" for k, n in map(conflict_counts, result.controls) if n]
    beside = f" (the floor: {', '.join(floor)})" if floor else ""
    return [f"{one.run.name}: {counted_conflicts(one)}{beside}" for one in result.candidates if conflict_counts(one)[1]]


def worst_conflicts(result: ComparisonSet, candidate: Scores, verdict: Verdict | None) -> Iterator[str]:
    """The worst conflict of the first answers in the order of pairs: `qa-07: negation: not / dropped`."""
    anything = candidate.columns.get("conflict_any")
    if anything is None:
        return
    pairs, values = candidate.pairing.pairs, ColumnNumbers.of(anything.column.values).array
    order = np.asarray(rank(result, candidate, verdict).order)
    conflicting = order[values[order] > 0]
    for pair in (pairs[n] for n in conflicting[:MOST_LISTED]):
        for conflict in conflicts_of(pair)[:1]:
            yield f"{one_line(pair.prompt.id)}: {conflict_in_words(conflict, pair)}"
    if len(conflicting) > MOST_LISTED:
        yield f"{len(conflicting) - MOST_LISTED} more: fidelity show COMPARISON"


def conflicts_of(pair: Pair) -> tuple[Conflict, ...]:
    """The conflicts of a pair by kind and severity, detected again from its texts."""
    return compare_texts(pair.baseline.text, pair.candidate.text).conflicts


def conflict_in_words(conflict: Conflict, pair: Pair) -> str:
    """A conflict as `kind: baseline / candidate`, such as `number: 50 mg / 500 mg`, `negation: not / dropped`."""
    old, new = pair.baseline.text[slice(*conflict.baseline)], pair.candidate.text[slice(*conflict.candidate)]
    before, after = (cut(one_line(text), MOST_SHOWN) for text in (old, new))
    return f"{conflict.kind}: {before or 'added'} / {after or 'dropped'}"


def conflict_counts(scores: Scores) -> tuple[int, int]:
    """How many answers conflict, of those that could be compared."""
    anything = scores.columns.get("conflict_any")
    if anything is None:
        return 0, 0
    values = ColumnNumbers.of(anything.column.values).array
    return int((values > 0).sum()), int((~np.isnan(values)).sum())


def counted_conflicts(scores: Scores) -> str:
    """`5 of 100 answers conflict: 3 numbers, 2 negations`."""
    k, n = conflict_counts(scores)
    left = len(scores.prompt_ids) - n
    kinds = f": {', '.join(_by_kind(scores))}" if k else ""
    return f"{k} of {n} answers conflict{kinds}{f'; {left} could not be compared' if left else ''}"


def _by_kind(scores: Scores) -> Iterator[str]:
    for kind in KINDS:
        scored = scores.columns.get(f"conflict_{kind}")
        if scored and (k := sum(bool(value) for value in scored.column.values)):
            yield f"{k} {IN_WORDS[kind]}{'s' if k > 1 else ''}"
