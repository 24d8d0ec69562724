"""Joining two runs by prompt id, or explaining why they can't be compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fidelity.comparison.answers import answers_of
from fidelity.config import Reasoning, Sampling
from fidelity.errors import IncomparableError
from fidelity.records import Generation, Pair, PromptTokens, Response, Sameness, SharedAnswers
from fidelity.store.runs import Run
from fidelity.text.normalization import normalize
from fidelity.text.thinking import NO_THINKING, ReasoningFormat

MOST_CHARACTERS = 4_000
"""Of an answer, in which its nearness to others is looked for."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs of two runs in the baseline's order, and the prompts that failed in one of the runs."""

    pairs: tuple[Pair, ...]
    failures: dict[str, str]
    """The reason by prompt id, whichever run failed. These prompts have no pair, or fewer pairs than repeats."""
    failed_prompts: tuple[str, ...]
    """The prompts for which the candidate lacks an answer in at least one repeat."""
    reasoning_formats: tuple[ReasoningFormat, ReasoningFormat] = (NO_THINKING, NO_THINKING)
    """The reasoning formats of the baseline and the candidate."""

    def prompt_tokens(self) -> PromptTokens:
        """How the models of both runs read the prompts."""
        sides = [(pair.prompt.id, pair.baseline, pair.candidate) for pair in self.pairs]
        known = [(i, a, b) for i, a, b in sides if a.prompt_tokens is not None and b.prompt_tokens is not None]
        hashed = [(i, a, b) for i, a, b in known if a.prompt_hash is not None and b.prompt_hash is not None]
        unlike = [(i, a, b) for i, a, b in known if a.prompt_tokens != b.prompt_tokens]
        unlike += [
            (i, a, b) for i, a, b in hashed if a.prompt_tokens == b.prompt_tokens and a.prompt_hash != b.prompt_hash
        ]
        counts = PromptTokens(len(sides), len(known), len(hashed), len(unlike))
        if not unlike:
            return counts
        example, own, other = unlike[0]
        return replace(counts, example=example, baseline_tokens=own.prompt_tokens, other_tokens=other.prompt_tokens)

    def same(self) -> Sameness:
        """Whether both generations are equal in every pair; texts that only look different count as equal."""
        respelled = [_respelled(pair.baseline, pair.candidate) for pair in self.pairs]
        return Sameness(
            texts=all(
                again or _written(pair.baseline) == _written(pair.candidate)
                for again, pair in zip(respelled, self.pairs, strict=True)
            ),
            token_ids=_all_equal(
                (pair.baseline.token_ids, pair.candidate.token_ids)
                for again, pair in zip(respelled, self.pairs, strict=True)
                if not again  # another spelling has other tokens
            ),
            logprobs=_all_equal((pair.baseline.logprobs, pair.candidate.logprobs) for pair in self.pairs),
        )

    def one_sided_thinking(self) -> int:
        """In how many pairs one side has thinking before its answer, and the other has not."""
        return sum((pair.baseline.reasoning is None) != (pair.candidate.reasoning is None) for pair in self.pairs)

    def contradictions(self) -> int:
        """In how many pairs the token ids are equal and the texts aren't, so that one of the two is wrong."""
        pairs = [(pair.baseline, pair.candidate) for pair in self.pairs]
        return sum(bool(a.token_ids) and a.token_ids == b.token_ids and _plain(a) != _plain(b) for a, b in pairs)

    def nearness_of(self, control: "Pairing") -> SharedAnswers:
        """Whether a control's answers are nearer to this candidate's or to the baseline's, by edits of characters."""
        controls = {(pair.prompt.id, pair.baseline.repeat): pair.candidate for pair in control.pairs}
        to_candidate = to_baseline = 0
        for pair in self.pairs:
            if other := controls.get((pair.prompt.id, pair.baseline.repeat)):
                nearness = [_similarity(other, one) for one in (pair.candidate, pair.baseline)]
                to_candidate += nearness[0] > nearness[1]
                to_baseline += nearness[0] < nearness[1]
        return SharedAnswers(to_candidate, to_baseline)

    def spelling_only(self) -> int:
        """The number of answers that differ only in spaces, apostrophes, hyphens or invisible characters."""
        return sum(
            pair.baseline.text != pair.candidate.text
            and normalize(pair.baseline.text) == normalize(pair.candidate.text)
            for pair in self.pairs
        )


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
    prompts = {prompt.id: prompt for prompt in baseline.prompts()}
    outcomes, reasoning_format = answers_of(baseline, reasoning or Reasoning())
    candidate_answers = answers_of(candidate, reasoning or Reasoning(), like=(baseline, reasoning_format))
    candidate_responses = {(outcome.prompt_id, outcome.repeat): outcome for outcome in candidate_answers.outcomes}
    several = _repeats(baseline, candidate, outcomes, candidate_responses.values()) > 1
    pairs: list[Pair] = []
    failures: dict[str, str] = {}
    failed_prompts: list[str] = []
    for response in outcomes:
        other = candidate_responses.get((response.prompt_id, response.repeat))
        if other is None:
            continue
        if isinstance(response, Generation) and isinstance(other, Generation):
            pairs.append(Pair(prompts[response.prompt_id], response, other))
            continue
        if not isinstance(other, Generation):
            failed_prompts.append(response.prompt_id)
        side, failure = (candidate, other) if not isinstance(other, Generation) else (baseline, response)
        which = f", repeat {response.repeat}" if several else ""
        failures.setdefault(response.prompt_id, f"{side.name}{which}: {failure.reason}")  # type: ignore[union-attr]
    if not pairs:
        why = "; ".join(sorted(set(failures.values()))[:3])
        raise IncomparableError(
            f"{baseline.name} and {candidate.name} share no answered prompt ({why}); check that both have the same ids"
        )
    return Pairing(
        _with_repeats(pairs) if several else tuple(pairs),
        failures,
        tuple(dict.fromkeys(failed_prompts)),
        (reasoning_format, candidate_answers.reasoning_format),
    )


def _repeats(
    baseline: Run, candidate: Run, baseline_responses: Iterable[Response], candidate_responses: Iterable[Response]
) -> int:
    """The number of answers planned per prompt, which must be equal in both runs."""
    counts = [1 + max(outcome.repeat for outcome in outcomes) for outcomes in (baseline_responses, candidate_responses)]
    if counts[0] != counts[1]:
        raise IncomparableError(
            f"{baseline.name} has {counts[0]} answers per prompt and {candidate.name} has {counts[1]}; only runs with "
            f"the same number of repeats can be compared: generate one of them again"
        )
    return counts[0]


def _with_repeats(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pairs, each with all answers of both runs to its prompt."""
    by_prompt: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt.id, []).append(pair)
    generations = {
        prompt_id: (tuple(pair.baseline for pair in own), tuple(pair.candidate for pair in own))
        for prompt_id, own in by_prompt.items()
    }
    return tuple(
        replace(pair, baselines=generations[pair.prompt.id][0], candidates=generations[pair.prompt.id][1])
        for pair in pairs
    )


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


def _respelled(one: Generation, other: Generation) -> bool:
    """Whether two answers differ in white space and normalization alone, their thinking included."""
    return _written(one) != _written(other) and _plain(one) == _plain(other)


def _similarity(one: Generation, other: Generation) -> float:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(_plain(one)[:MOST_CHARACTERS], _plain(other)[:MOST_CHARACTERS])


def _plain(generation: Generation) -> str:
    return " ".join(normalize(_written(generation)).split())


def _written(generation: Generation) -> str:
    return f"{generation.reasoning or ''}\n{generation.text}"


def _all_equal(sides: Iterable[tuple[Sequence[float] | None, Sequence[float] | None]]) -> bool | None:
    """None if no pair is known to differ but some are unknown."""
    known = [None if baseline is None or candidate is None else baseline == candidate for baseline, candidate in sides]
    return False if False in known else None if None in known else True
