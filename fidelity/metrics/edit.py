"""Edit similarity: the share of the text that is unchanged when the baseline is edited into the candidate."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

from rapidfuzz.distance import Levenshtein

from fidelity.metrics.base import Metric
from fidelity.metrics.profile import DECILES, decile_bounds, decile_columns
from fidelity.records import Column, Pair, Side
from fidelity.text.alignment_limits import most_differences
from fidelity.text.words import words


class Edit(Metric):
    """1 - Levenshtein distance / length of the longer, on characters (`edit_chars`) and on words (`edit_words`).

    In [0, 1], 1 = identical, symmetric; insertions, deletions and substitutions cost 1. Characters are the code points
    as they are; words, numbers and punctuation marks are normalized and case-folded (see `words`). Two texts without
    any unit give 1, one without gives 0. Long texts that differ much are unscored (see `alignment_limits`): from
    316,000 characters on (100,000 beyond Latin-1) where more than half of that can't be matched.

    With `profile`, `edit_words[decile=1]` to `[decile=10]` show where the baseline was edited: the share of unchanged
    words among the steps of the alignment in that tenth of the baseline's words. An insertion counts at the next
    baseline word, or in the last tenth. None in a tenth without a baseline word (with fewer than ten words).
    """

    kind: Literal["edit"] = "edit"
    profile: bool = False
    """Whether to add the ten columns along the output."""

    packages: ClassVar[tuple[str, ...]] = ("rapidfuzz", "regex")
    revision: ClassVar[int] = 2

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        by_word = [numbered(pair.baseline.text, pair.candidate.text) for pair in pairs]
        columns = [
            Column.of("edit_chars", [similarity(p.baseline.text, p.candidate.text) for p in pairs]),
            Column.of("edit_words", [similarity(*sides) for sides in by_word]),
        ]
        if self.profile:
            columns += decile_columns("edit_words", [_profile(*sides) for sides in by_word])
        return columns


def numbered(baseline: str, candidate: str) -> tuple[list[int], list[int]]:
    """The words as numbers, since strings would be compared by their hash, which changes between processes."""
    vocabulary: dict[str, int] = {}
    baseline_ids, candidate_ids = (
        [vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in (baseline, candidate)
    )
    return baseline_ids, candidate_ids


def similarity(baseline: Sequence[object], candidate: Sequence[object]) -> float | Side:
    """1 - Levenshtein distance / length of the longer; 1 for two empty sequences.

    "candidate" where the two are long and differ more than is searched for.
    """
    most = most_differences(baseline, candidate)
    distance = Levenshtein.distance(baseline, candidate, score_cutoff=most)
    if most is not None and distance > most:
        return "candidate"
    return 1 - distance / max(len(baseline), len(candidate), 1)


def _profile(baseline: list[int], candidate: list[int]) -> list[float | Side]:
    if similarity(baseline, candidate) == "candidate":
        return ["candidate"] * DECILES
    equal, steps = [0] * DECILES, [0] * DECILES
    bounds = decile_bounds(len(baseline))
    for edit in Levenshtein.opcodes(baseline, candidate):
        if edit.tag == "insert":
            steps[_decile(edit.src_start, len(baseline))] += edit.dest_end - edit.dest_start
            continue
        for decile in range(DECILES):
            inside = min(edit.src_end, bounds[decile + 1]) - max(edit.src_start, bounds[decile])
            if inside > 0:
                steps[decile] += inside
                equal[decile] += inside if edit.tag == "equal" else 0
    places = zip(equal, steps, pairwise(bounds), strict=True)
    return [k / s if start < end else "pair" for k, s, (start, end) in places]


def _decile(position: int, length: int) -> int:
    """The decile of a position; at the end, the last decile."""
    return min(position, length - 1) * DECILES // length if length else 0
