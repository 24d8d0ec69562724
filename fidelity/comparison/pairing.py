"""Joining two runs by prompt id, or explaining why they can't be compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from fidelity.comparison.agreement import Agreement, agreement_of, similarity
from fidelity.comparison.answers import Answers, answers_of
from fidelity.comparison.pairs import RowNumbers, StoredPairs, beside
from fidelity.config import Reasoning, Sampling
from fidelity.errors import IncomparableError
from fidelity.records import Failure, Generation, PackedTexts, Pair, SharedAnswers
from fidelity.store.runs import Run
from fidelity.text.thinking import NO_THINKING, ReasoningFormat

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Pairing:
    """The pairs of two runs in the baseline's order, and the prompts that failed in one of the runs."""

    pairs: Sequence[Pair]
    failures: dict[str, str]
    """The reason by prompt id, whichever run failed. These prompts have no pair, or fewer pairs than repeats."""
    failed_prompts: tuple[str, ...]
    """The prompts for which the candidate lacks an answer in at least one repeat."""
    reasoning_formats: tuple[ReasoningFormat, ReasoningFormat] = (NO_THINKING, NO_THINKING)
    """The reasoning formats of the baseline and the candidate."""

    @property
    def prompt_ids(self) -> PackedTexts:
        """The prompt of each pair."""
        if isinstance(self.pairs, StoredPairs):
            return PackedTexts(self.pairs.prompts[row].id for row in self.pairs.prompt_rows)
        return PackedTexts(pair.prompt.id for pair in self.pairs)

    @cached_property
    def agreement(self) -> Agreement:
        """In which respects the answers of both runs are equal."""
        return agreement_of(self.pairs)

    def nearness_of(self, control: "Pairing") -> SharedAnswers:
        """Whether a control's answers are nearer to this candidate's or to the baseline's, by edits of characters."""
        to_candidate = to_baseline = 0
        for pair, place in zip(self.pairs, beside(self.pairs, control.pairs), strict=True):
            if place < 0:
                continue
            answer = control.pairs[place].candidate
            nearness = [similarity(answer, one) for one in (pair.candidate, pair.baseline)]
            to_candidate += nearness[0] > nearness[1]
            to_baseline += nearness[0] < nearness[1]
        return SharedAnswers(to_candidate, to_baseline)


@dataclass(frozen=True)
class PairedRuns:
    """Two runs to compare."""

    baseline: Run
    other: Run
    """A candidate or a control."""
    reasoning: Reasoning | None = None
    """How thinking is separated from answers; detected from the runs if not given."""

    @cached_property
    def pairing(self) -> Pairing:
        """Their pairs, read when they are first asked for.

        Raises:
            IncomparableError: See `pair_runs`.
        """
        return pair_runs(self.baseline, self.other, self.reasoning)


def pair_runs(baseline: Run, candidate: Run, reasoning: Reasoning | None = None) -> Pairing:
    """Pair the generations of two runs. A candidate with only some of the prompts is paired on those.

    Thinking is separated from the answers as `reasoning` configures, or as detected from the runs.

    Raises:
        IncomparableError: The runs differ in prompts, sampling or number of repeats, or share no answered prompt.
    """
    _same_sampling(baseline, candidate)
    _same_prompts(baseline, candidate)
    answers = answers_of(baseline, reasoning or Reasoning())
    others = answers_of(candidate, reasoning or Reasoning(), like=answers)
    keys, other_keys = _Keys.of(baseline), _Keys.of(candidate)
    several = _repeats(baseline, candidate, keys, other_keys) > 1
    rows = keys.rows_in(other_keys)
    paired = (rows >= 0) & keys.answered & other_keys.answered[rows]
    failures, failed_prompts = _failures(answers, others, np.flatnonzero((rows >= 0) & ~paired), rows, several=several)
    if not paired.any():
        why = "; ".join(sorted(set(failures.values()))[:3])
        raise IncomparableError(
            f"{baseline.name} and {candidate.name} share no answered prompt ({why}); check that both have the same ids"
        )
    own_rows = np.flatnonzero(paired)
    prompt_rows = keys.prompt_rows[own_rows]
    repeats = _places_by_prompt(prompt_rows, len(baseline.stored_prompts)) if several else None
    return Pairing(
        StoredPairs(baseline.stored_prompts, answers, others, prompt_rows, own_rows, rows[own_rows], repeats),
        failures,
        failed_prompts,
        (answers.reasoning_format, others.reasoning_format),
    )


@dataclass(frozen=True, slots=True)
class _Keys:
    """Which prompt and repeat each of a run's rows answers."""

    prompt_ids: "pa.ChunkedArray[pa.StringScalar]"
    repeats: RowNumbers
    answered: NDArray[np.bool_]
    """False for failures."""

    @classmethod
    def of(cls, run: Run) -> Self:
        table = run.read(["prompt_id", "repeat", "failure"])
        answered = table["failure"].is_null().to_numpy()
        return cls(table["prompt_id"], table["repeat"].to_numpy().astype(np.int64), answered)

    def rows_in(self, other: "_Keys") -> RowNumbers:
        """For each row the other run's with the same prompt and repeat; -1 if there is none."""
        if np.array_equal(self.repeats, other.repeats) and self.prompt_ids.equals(other.prompt_ids):
            return np.arange(len(self.repeats))
        places = {key: row for row, key in enumerate(other)}
        return np.array([places.get(key, -1) for key in self], np.int64)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return zip(self.prompt_ids.to_pylist(), self.repeats.tolist(), strict=True)

    @property
    def prompt_rows(self) -> RowNumbers:
        """For each row the number of its prompt among those of the run, which are its rows with repeat 0."""
        if not self.repeats.any():
            return np.arange(len(self.repeats))
        first = (prompt_id for prompt_id, repeat in self if repeat == 0)
        numbers = {prompt_id: number for number, prompt_id in enumerate(first)}
        return np.array([numbers[prompt_id] for prompt_id, _ in self], np.int64)


def _failures(
    answers: Answers, others: Answers, unpaired: RowNumbers, rows: RowNumbers, *, several: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Why prompts have no pair, by id, and those that the other run didn't answer."""
    failures: dict[str, str] = {}
    failed_prompts: dict[str, None] = {}
    for row in unpaired.tolist():
        response, other = answers[row], others[rows[row]]
        run, failure = (answers.run, response) if isinstance(other, Generation) else (others.run, other)
        if failure is other:
            failed_prompts[response.prompt_id] = None
        which = f", repeat {response.repeat}" if several else ""
        assert isinstance(failure, Failure)
        failures.setdefault(response.prompt_id, f"{run.name}{which}: {failure.reason}")
    return failures, tuple(failed_prompts)


def _repeats(baseline: Run, candidate: Run, *keys: _Keys) -> int:
    """The number of answers planned per prompt, which must be equal in both runs."""
    counts = [1 + int(own.repeats.max()) for own in keys]
    if counts[0] != counts[1]:
        raise IncomparableError(
            f"{baseline.name} has {counts[0]} answers per prompt and {candidate.name} has {counts[1]}; only runs with "
            f"the same number of repeats can be compared: generate one of them again"
        )
    return counts[0]


def _places_by_prompt(prompt_rows: RowNumbers, prompts: int) -> list[list[int]]:
    """The places of each prompt's pairs."""
    places: list[list[int]] = [[] for _ in range(prompts)]
    for place, row in enumerate(prompt_rows.tolist()):
        places[row].append(place)
    return places


def _same_sampling(baseline: Run, candidate: Run) -> None:
    original, own = baseline.manifest.sampling, candidate.manifest.sampling
    if original and own and original != own:
        fields = [(key, getattr(original, key), getattr(own, key)) for key in Sampling.model_fields]
        differing = ", ".join(f"{key} {before} and {now}" for key, before, now in fields if before != now)
        raise IncomparableError(
            f"{baseline.name} and {candidate.name} have different sampling ({differing}); generate one of them again"
        )


def _same_prompts(baseline: Run, candidate: Run) -> None:
    whole = baseline.manifest.prompts_digest
    if whole in (candidate.manifest.prompts_digest, candidate.manifest.subset_of):
        return
    baseline_prompts = {prompt.id: prompt for prompt in baseline.prompts()}
    candidate_prompts = {prompt.id: prompt for prompt in candidate.prompts()}
    only = [
        *(id_ for id_ in baseline_prompts if id_ not in candidate_prompts),
        *(id_ for id_ in candidate_prompts if id_ not in baseline_prompts),
    ]
    other = [
        id_
        for id_ in baseline_prompts
        if id_ in candidate_prompts and baseline_prompts[id_].messages != candidate_prompts[id_].messages
    ]
    what = "the order differs"
    if other:
        what = f"the text of {other[0]!r} differs"
    if only:
        what = f"{len(only)} are in only one run, such as {only[0]!r}"
    raise IncomparableError(
        f"{baseline.name} ({len(baseline_prompts)} prompts) and {candidate.name} ({len(candidate_prompts)} prompts) "
        "have different prompts: "
        f"{what}; generate both with the same prompt set and the same --limit"
    )
