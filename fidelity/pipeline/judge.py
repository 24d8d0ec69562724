"""A judge's votes: a language model behind an endpoint is asked about pairs in random order, in both orders.

Its answers are a run in the store like any other, so a killed command asks only what is missing, and they can be read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import regex

from fidelity.comparison.answers import answers_of
from fidelity.comparison.judge import Instructions, choice_in, vote_of
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.comparison.reviews import PairKey, in_random_order, pairs_of
from fidelity.comparison.stored import load_comparison
from fidelity.config import OpenAIEngine, Reasoning, RunConfig
from fidelity.config.run import Sampling
from fidelity.records import Failure, Generation, Pair, Prompt
from fidelity.runs.generate import generate_jobs
from fidelity.runs.jobs import jobs_of
from fidelity.runs.listener import Listener
from fidelity.store.reviews import (
    LONGEST_NAME,
    JudgeAnswer,
    Preference,
    Review,
    add_review,
    answers_digest,
    newest,
    now,
    place_in_random_order,
    read_reviews,
)
from fidelity.store.runs import Run
from fidelity.store.store import Store

MAX_TOKENS = 1024


@dataclass(frozen=True, kw_only=True)
class JudgeRequest:
    """Which pairs to ask which judge about."""

    comparison: Path
    """A candidate's directory in a store's `comparisons/`."""
    engine: OpenAIEngine
    name: str = ""
    """The judge's name among reviewers. Default: the model's."""
    instructions: Instructions = field(default_factory=Instructions)
    max_tokens: int = MAX_TOKENS
    limit: int | None = None
    """Ask about the first this many prompts in random order. Default: all."""

    @property
    def reviewer(self) -> str:
        """The judge's name among reviewers."""
        return (self.name or self.engine.model or "")[:LONGEST_NAME]

    @property
    def root(self) -> Path:
        """The store's directory."""
        return self.comparison.resolve().parent.parent

    @cached_property
    def scored(self) -> ComparisonSet:
        """The comparison, without its columns."""
        return load_comparison(self.comparison, only=())

    @cached_property
    def pending(self) -> "tuple[PendingPair, ...]":
        """The pairs without this judge's vote: of the candidate, and of the baseline's first control.

        A vote by other instructions, by another model or on other answers is no vote.
        """
        sides = (*self.scored.candidates, *self.scored.controls[:1])
        return tuple(pair for scores in sides for pair in self._pending_of(scores))

    @property
    def requests(self) -> int:
        """The requests to the judge: two for each pair with different answers."""
        return 2 * sum(not pending.equal for pending in self.pending)

    def _pending_of(self, scores: Scores) -> "Iterator[PendingPair]":
        comparison = scores.comparison.path.name
        voted = {
            one.pair: one.answers
            for one in newest(read_reviews(self.root, comparison)[0])
            if one.judge and one.reviewer == self.reviewer and self._is_own(one.judge)
        }
        pairs = pairs_of(scores, set(in_random_order(scores)[: self.limit]))
        for key in sorted(pairs, key=place_in_random_order):
            pending = PendingPair(comparison, pairs[key])
            if voted.get(key) != pending.answers:
                yield pending

    def _is_own(self, judge: JudgeAnswer) -> bool:
        return (judge.model, judge.instructions) == (self.engine.model, self.instructions.digest)

    def review(self, pending: "PendingPair", choices: tuple[Preference, Preference] | None) -> Review:
        """The judge's vote; equal answers are the same."""
        judge = JudgeAnswer(model=self.engine.model or "", instructions=self.instructions.digest, choices=choices)
        return Review(
            comparison=pending.comparison,
            prompt_id=pending.key[0],
            repeat=pending.key[1],
            reviewer=self.reviewer,
            vote=vote_of(choices) if choices else "same",
            blind=True,
            answers=pending.answers,
            created=now(),
            judge=judge,
        )


@dataclass(frozen=True, slots=True)
class PendingPair:
    """A pair that a judge has to vote on."""

    comparison: str
    """The directory in `comparisons/`: a candidate's, or a control's."""
    pair: Pair

    @property
    def key(self) -> PairKey:
        """Prompt and repeat."""
        return self.pair.prompt.id, self.pair.candidate.repeat

    @property
    def equal(self) -> bool:
        """Whether there is nothing to prefer."""
        return self.pair.baseline.text == self.pair.candidate.text

    @property
    def answers(self) -> str:
        """The digest of both texts."""
        return answers_digest(self.pair.baseline.text, self.pair.candidate.text)

    def questions(self, instructions: Instructions) -> tuple[Prompt, Prompt]:
        """The pair in both orders."""
        prompt_id, repeat = self.key
        return instructions.questions(self.pair, prefix=f"{self.comparison}/{prompt_id}/{repeat}")


@dataclass(frozen=True, slots=True)
class JudgeProgress:
    """What a call has done. Counts are of pairs."""

    voted: int
    no_verdict: int
    """Asked, but an answer can't be read. They aren't asked again."""
    failed: int
    """Without both answers of the judge: the server failed, or refused them."""
    reason: str = ""
    """Why the first of them failed."""
    passing: int = 0
    """Of the failed ones, those that are asked again by the next call."""


def judge_pairs(request: JudgeRequest, *, store: Store, listener: Listener) -> JudgeProgress:
    """Ask the judge about all pending pairs, and store its votes.

    Raises:
        FidelityError: The endpoint can't be used, or the store can't be written.
    """
    asked = [pending for pending in request.pending if not pending.equal]
    for pending in request.pending:
        if pending.equal:
            add_review(request.root, request.review(pending, None))
    done = JudgeProgress(len(request.pending) - len(asked), 0, 0)
    if not asked:
        return done
    answers = _ask(request, asked, store=store, listener=listener)
    for pending, both in zip(asked, zip(answers[::2], answers[1::2], strict=True), strict=True):
        first, second = both
        if isinstance(first, Failure) or isinstance(second, Failure):
            failures = [one for one in both if isinstance(one, Failure)]
            passing = any(one.cause == "world" for one in failures)
            done = replace(
                done,
                failed=done.failed + 1,
                passing=done.passing + passing,
                reason=done.reason or failures[0].reason,
            )
            continue
        review = request.review(pending, (choice_in(first), choice_in(second)))
        add_review(request.root, review)
        if review.vote is None:
            done = replace(done, no_verdict=done.no_verdict + 1)
        else:
            done = replace(done, voted=done.voted + 1)
    return done


def _ask(
    request: JudgeRequest, asked: Sequence[PendingPair], *, store: Store, listener: Listener
) -> list[Generation | Failure]:
    """The judge's answers without its thinking: two for each pair, in the pairs' order."""
    prompts = tuple(question for pending in asked for question in pending.questions(request.instructions))
    slug = regex.sub(r"[^A-Za-z0-9._+-]+", "-", request.engine.model or "")[:80]
    config = RunConfig(
        name=f"judge-{slug}",
        engine=request.engine,
        sampling=Sampling(max_tokens=request.max_tokens),
        control="none",
        kl="none",
    )
    known = _known(config, prompts, store)
    missing = tuple(prompt for prompt in prompts if prompt not in known)
    if missing:
        jobs = jobs_of(config, store=store, prompts=missing, as_baseline=True)
        known |= _outcomes(generate_jobs(jobs, store, listener)[0])
    return [known[prompt] for prompt in prompts]


def _known(config: RunConfig, prompts: Sequence[Prompt], store: Store) -> dict[Prompt, Generation | Failure]:
    """Answers of the judge's earlier runs: of a call that was killed before it had written all votes."""
    runs = [run for run in store.runs() if run.name == config.name and run.manifest.sampling == config.sampling]
    wanted = set(prompts)
    return {
        prompt: outcome
        for run in runs
        for prompt, outcome in _outcomes(run).items()
        if prompt in wanted and not (isinstance(outcome, Failure) and outcome.cause == "world")
    }


def _outcomes(run: Run) -> dict[Prompt, Generation | Failure]:
    by_id = {outcome.prompt_id: outcome for outcome in answers_of(run, Reasoning())}
    return {prompt: by_id[prompt.id] for prompt in run.prompts()}
