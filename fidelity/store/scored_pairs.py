"""Token scores of two runs for the same tokens, at the same depth."""

from collections.abc import Iterator

from fidelity.errors import StoreError
from fidelity.records import TokenScores
from fidelity.store.runs import Run
from fidelity.store.token_scores import (
    WHOLE_VOCABULARY,
    WHY_NOT,
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
    own = [stored for stored in own if (stored.depth.top_k == WHOLE_VOCABULARY) is whole_vocabulary]
    own.sort(key=lambda stored: (stored.depth.top_k, stored.depth.prompts or 0, stored.depth.tokens or 0))
    why = _why_not(other if own else baseline, baseline, whole_vocabulary)
    for scores in reversed(own):
        if beside := finished(scores_path(other, baseline, scores.depth)):
            failed = beside.manifest.failed or scores.manifest.failed
            if failed is None:
                return scores, beside
            why = failed
    return why


def both_scored(baseline: Run, other: Run, *, whole_vocabulary: bool) -> Iterator[tuple[TokenScores, TokenScores]]:
    """Yield both runs' scores of each of the baseline's answers, without answers that one of them lacks.

    Raises:
        StoreError: There are no token scores. The message has the reason.
    """
    both = together(baseline, other, whole_vocabulary=whole_vocabulary)
    if isinstance(both, str):
        raise StoreError(both)
    baseline_scores, other_scores = both
    for key in baseline_scores.keys:
        pair = baseline_scores.get(*key), other_scores.get(*key)
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
