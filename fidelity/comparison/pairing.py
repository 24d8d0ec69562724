"""Joining two runs by prompt id, or saying exactly why they can't be compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
    """The pairs of two runs, in the baseline's order, and the prompts that one of them failed on."""

    pairs: tuple[Pair, ...]
    failures: dict[str, str]
    """The reason by prompt id, of whichever run failed; these prompts have no pair, or one too few."""
    failed_prompts: tuple[str, ...]
    """Those that the candidate gave no answer to, in one of its repeats at least."""
    reasoning_formats: tuple[ReasoningFormat, ReasoningFormat] = (NO_THINKING, NO_THINKING)
    """How the thinking of the baseline and of the candidate was told from their answers."""

    def prompt_tokens(self) -> PromptTokens:
        """How the models of the two runs read the prompts."""
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
        """Whether both gave the very same answers in every pair; what only looks different counts as the same."""
        return Sameness(
            texts=all(_alike(pair.baseline, pair.candidate) for pair in self.pairs),
            token_ids=_all_equal((pair.baseline.token_ids, pair.candidate.token_ids) for pair in self.pairs),
            logprobs=_all_equal((pair.baseline.logprobs, pair.candidate.logprobs) for pair in self.pairs),
        )

    def one_sided_thinking(self) -> int:
        """In how many pairs one side has thinking before its answer, and the other has not."""
        return sum((pair.baseline.reasoning is None) != (pair.candidate.reasoning is None) for pair in self.pairs)

    def contradictions(self) -> int:
        """In how many pairs the token ids are equal and the texts aren't, so that one of the two is wrong."""
        pairs = [(pair.baseline, pair.candidate) for pair in self.pairs]
        return sum(bool(a.token_ids) and a.token_ids == b.token_ids and not _alike(a, b) for a, b in pairs)

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
        """How many answers differ in normalization alone: spaces, apostrophes, hyphens and characters nobody sees."""
        return sum(
            pair.baseline.text != pair.candidate.text
            and normalize(pair.baseline.text) == normalize(pair.candidate.text)
            for pair in self.pairs
        )


def pair_runs(baseline: Run, candidate: Run, reasoning: Reasoning | None = None) -> Pairing:
    """Pair the generations of two runs; a candidate that was asked only a part of the prompts is paired on that part.

    Thinking is kept apart from the answers as `reasoning` says, or as the runs show.

    Raises:
        IncomparableError: They asked different prompts, sampled differently or another number of times, or share no
            answered prompt.
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
    """How many answers each prompt was to have: the same number in both runs."""
    counts = [1 + max(outcome.repeat for outcome in outcomes) for outcomes in (baseline_responses, candidate_responses)]
    if counts[0] != counts[1]:
        raise IncomparableError(
            f"{baseline.name} has {counts[0]} answers to each prompt and {candidate.name} {counts[1]}; only runs "
            f"with the same number of repeats can be compared"
        )
    return counts[0]


def _with_repeats(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pairs, each with all that both runs said in the pairs of its prompt."""
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
        differing = ", ".join(f"{key} {before} against {now}" for key, before, now in fields if before != now)
        raise IncomparableError(
            f"{baseline.name} and {candidate.name} were sampled differently ({differing}); generate one of them again"
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
    what = "the same ones in another order"
    if other:
        what = f"{other[0]!r} is another text"
    if only:
        what = f"{len(only)} are in one run only, such as {only[0]!r}"
    raise IncomparableError(
        f"{baseline.name} ({len(baseline_prompts)} prompts) and {candidate.name} ({len(candidate_prompts)} prompts) "
        "asked different prompts: "
        f"{what}; generate both with the same prompt set and the same --limit"
    )


def _alike(one: Generation, other: Generation) -> bool:
    """Whether two answers are equal but for white space and normalization, their thinking included."""
    return _written(one) == _written(other) or _plain(one) == _plain(other)


def _similarity(one: Generation, other: Generation) -> float:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(_plain(one)[:MOST_CHARACTERS], _plain(other)[:MOST_CHARACTERS])


def _plain(generation: Generation) -> str:
    return " ".join(normalize(_written(generation)).split())


def _written(generation: Generation) -> str:
    return f"{generation.reasoning or ''}\n{generation.text}"


def _all_equal(sides: Iterable[tuple[Sequence[float] | None, Sequence[float] | None]]) -> bool | None:
    """None where no pair differs but one can't be told."""
    known = [None if baseline is None or candidate is None else baseline == candidate for baseline, candidate in sides]
    return False if False in known else None if None in known else True
