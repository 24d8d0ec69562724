"""Token scores of two runs for the same tokens, at the same depth."""

import math
from collections.abc import Iterator

from fidelity.errors import StoreError
from fidelity.records import TokenScores
from fidelity.store.runs import Run
from fidelity.store.token_scores import (
    WHOLE_VOCABULARY,
    WHY_NOT,
    Depth,
    StoredScores,
    finished,
    folder_of,
    scores_of,
    scores_path,
)


def together(baseline: Run, other: Run, *, whole_vocabulary: bool) -> tuple[StoredScores, StoredScores] | str:
    """Both runs' scores of the baseline's tokens, at the greatest depth that they share, or why there are none.

    Both sides must come from teacher forcing, since decoding uses other kernels.
    """
    own = [stored for stored in scores_of(baseline) if stored.manifest.baseline == baseline.id]
    if whole_vocabulary:
        own = [stored for stored in own if stored.depth.whole_vocabulary]
    else:
        own = [stored for stored in own if stored.depth.top_k != WHOLE_VOCABULARY]
    own.sort(key=lambda stored: _amount(stored.depth))
    why = _why_not(other if own else baseline, baseline, whole_vocabulary)
    for scores in reversed(own):
        if beside := finished(scores_path(other, baseline, scores.depth)):
            failed = beside.manifest.failed or scores.manifest.failed
            refused = (beside.manifest.refused or scores.manifest.refused) if whole_vocabulary else None
            if failed is None and refused is None:
                return scores, beside
            why = failed or refused or why
    return why


def _amount(depth: Depth) -> tuple[float, ...]:
    """More tokens first, then more of their distributions."""
    limits = (depth.prompts, depth.tokens)
    return (*(math.inf if limit is None else limit for limit in limits), depth.top_k)


def both_scored(baseline: Run, other: Run, *, whole_vocabulary: bool) -> Iterator[tuple[TokenScores, TokenScores]]:
    """Yield both runs' scores of each of the baseline's answers, without answers that one of them lacks.

    Raises:
        StoreError: There are no token scores. The message has the reason.
    """
    both = together(baseline, other, whole_vocabulary=whole_vocabulary)
    if isinstance(both, str):
        raise StoreError(both)
    for key in both[0].keys:
        pair = tuple(scores.get(*key, hidden=whole_vocabulary) for scores in both)
        if pair[0] and pair[1]:
            yield pair[0], pair[1]


def _why_not(run: Run, baseline: Run, whole_vocabulary: bool) -> str:
    notes = [
        note.read_text(encoding="utf-8") for note in folder_of(run).glob(f"{run.name}-on-{baseline.name}-*/{WHY_NOT}")
    ]
    if notes and not whole_vocabulary:
        return notes[0]
    what = "over the whole vocabulary (kl: {exact: true})" if whole_vocabulary else "(teacher forcing)"
    return f"{run.name} did not score the tokens of {baseline.name} {what}"
