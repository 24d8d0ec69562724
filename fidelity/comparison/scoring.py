"""Scoring runs: every metric reads the pairs of all comparisons together. Scores go to the store."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TypeAlias

import numpy as np

from fidelity.comparison.batches import Batch, MetricJob, joined_columns
from fidelity.comparison.chance import chance_signature, with_other_baselines
from fidelity.comparison.offered import offered
from fidelity.comparison.pairing import PairedRuns, Pairing
from fidelity.comparison.results import ScoredColumn, Scores
from fidelity.comparison.stored import scored_columns
from fidelity.comparison.workers import Workers, score_jobs
from fidelity.config import Compares, Reasoning
from fidelity.metrics import Metric
from fidelity.metrics.base import Need
from fidelity.metrics.exact_distributions import UnprovenError
from fidelity.records import Column, Pair, Sameness, Side
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ComparisonManifest
from fidelity.store.runs import Run
from fidelity.store.scored_pairs import both_scored, together
from fidelity.store.store import Store
from fidelity.store.token_scores import StoredScores

RECORDED: dict[Need, str] = {"token_ids": "token ids", "finish_reason": "finish reasons"}
"""Fields of a generation that an engine or a recording can leave out, with their names in messages."""
SIDES: tuple[Side, Side] = "baseline", "candidate"


def begin(
    baseline: Run,
    other: Run,
    store: Store,
    reasoning: Reasoning | None = None,
    *,
    compares: Sequence[Compares] = (),
    is_reference: bool = False,
) -> Scores:
    """Pair two runs and create their comparison in the store.

    `reasoning` doesn't belong to a run: another value gives another comparison of the same runs. `compares` is the
    declaration in the other run's YAML. `is_reference`: see `Scores`.

    Raises:
        IncomparableError: The runs differ in prompts or sampling, or share no answered prompt.
    """
    runs = PairedRuns(baseline, other, reasoning)
    pairing, agreement = runs.pairing, runs.pairing.agreement
    options = None if reasoning in (None, Reasoning()) else reasoning.model_dump(mode="json")
    of = f"{baseline.manifest.digest}{other.manifest.digest}" + (json.dumps(options, sort_keys=True) if options else "")
    digest = hashlib.sha256(of.encode()).hexdigest()
    manifest = ComparisonManifest(
        baseline=baseline.id,
        candidate=other.id,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        reasoning=None if options is None else reasoning,
        prompt_ids=pairing.prompt_ids,
        failures=pairing.failures,
        failed_prompts=pairing.failed_prompts,
        same=_sameness(pairing, baseline, other),
        spelling_only=agreement.spelling_only,
        prompt_tokens=agreement.prompt_tokens,
        extra_prompts=_extra_prompts(baseline, other),
        one_sided_thinking=agreement.one_sided_thinking,
        contradictions=agreement.contradictions,
        compares=tuple(compares),
        answers=(baseline.manifest.answers_sha256, other.manifest.answers_sha256),
        reasoning_formats=pairing.reasoning_formats,
    )
    return Scores(runs, store.comparison(baseline, other, manifest, digest), is_reference=is_reference)


def _extra_prompts(baseline: Run, other: Run) -> tuple[str, ...]:
    """Prompts that only the other run's file answers."""
    if not other.manifest.unasked:
        return ()
    known = {*baseline.manifest.unasked, *(prompt.id for prompt in baseline.prompts())}
    return tuple(prompt_id for prompt_id in other.manifest.unasked if prompt_id not in known)


def _sameness(pairing: Pairing, baseline: Run, other: Run) -> Sameness:
    """Whether both runs are equal. If texts are equal and have no log-probabilities, token scores decide."""
    same = pairing.agreement.same
    if not same.texts or same.logprobs is not None:
        return same
    if isinstance(together(baseline, other, whole_vocabulary=False), str):
        return same
    scored = both_scored(baseline, other, whole_vocabulary=False)
    return replace(same, logprobs=all(np.array_equal(one.logprobs, two.logprobs) for one, two in scored))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of metrics for two runs: fields of `Scores`, by column name."""

    columns: Mapping[str, ScoredColumn] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)
    inapplicable: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, later: "_Outcome") -> "_Outcome":
        return _Outcome(
            {**self.columns, **later.columns},
            {**self.unscored, **later.unscored},
            {**self.inapplicable, **later.inapplicable},
        )


def score(
    scores: Sequence[Scores], metrics: Sequence[Metric], *, chance: bool = True, workers: Workers = 1
) -> list[Scores]:
    """Return the scores of controls and candidates with the columns of all metrics, and store them.

    References get no chance levels and no token scores, which are only of the baseline's tokens. `chance=False` skips
    the chance levels, for intermediate looks, which discard their numbers. `workers` are the processes that may
    score; they change no number.
    """
    plan = _Plan(chance)
    by_metric = [_outcomes(metric, scores, plan) for metric in metrics]
    score_jobs(plan.jobs, workers=workers)
    outcomes = [_Outcome()] * len(scores)
    for of_metric in by_metric:
        outcomes = [before | scored() for before, scored in zip(outcomes, of_metric, strict=True)]
    return [_described(one, outcome) for one, outcome in zip(scores, outcomes, strict=True)]


def _described(scores: Scores, outcome: _Outcome) -> Scores:
    """Return the scores with an outcome, and record which metric gave which column, besides what was scored earlier."""
    sources = {name: scored.source for name, scored in outcome.columns.items()}
    comparison = scores.comparison.updated(
        lambda before: {
            "columns": {n: source for n, source in before.columns.items() if n not in outcome.unscored} | sources,
            "unscored": {**before.unscored, **outcome.unscored},
            "inapplicable": {**before.inapplicable, **outcome.inapplicable},
        }
    )
    return replace(
        scores,
        comparison=comparison,
        columns=outcome.columns,
        unscored=outcome.unscored,
        inapplicable=outcome.inapplicable,
    )


Later: TypeAlias = Callable[[], _Outcome]
"""Reads an outcome after everything is scored."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the metrics are to score."""

    chance: bool
    """Whether similarities get chance levels."""
    jobs: list[MetricJob] = field(default_factory=list)
    by_chance: dict[int, Sequence[Pair]] = field(default_factory=dict)
    """The pairs of chance levels by the id of the comparison's own, so that all metrics share them."""

    def add(self, metric: Metric, scores: Sequence[Scores]) -> None:
        """Add what a metric hasn't scored yet, its chance levels included."""
        signature = metric.signature()
        batches = [Batch(one.comparison, signature, one.pairing.pairs) for one in scores]
        if self.chance and any(column.better == "higher" for column in metric.score([])):
            batches += [
                Batch(one.comparison, chance_signature(signature), self._by_chance(one))
                for one in scores
                if not one.is_reference and len(one.prompts.ids) > 1
            ]
        planned = {(batch.comparison.path, batch.signature) for job in self.jobs for batch in job.batches}
        missing = tuple(
            batch
            for batch in batches
            if (batch.comparison.path, batch.signature) not in planned
            and not _is_scored(batch.comparison, batch.signature)
        )
        self.jobs.append(MetricJob(metric, missing))

    def _by_chance(self, one: Scores) -> Sequence[Pair]:
        key = id(one.pairing.pairs)
        if key not in self.by_chance:
            self.by_chance[key] = with_other_baselines(one.pairing.pairs, one.prompt_ids)
        return self.by_chance[key]


def _outcomes(metric: Metric, scores: Sequence[Scores], plan: _Plan) -> list[Later]:
    """One outcome for each of the scores, with the reason where the metric doesn't apply."""
    names = [metric.named(name) for name in offered(metric)]
    outcomes: list[Later | None] = []
    for one in scores:
        if one.is_reference and metric.reads_token_scores:
            outcomes.append(_Outcome)
        else:
            reason = metric.inapplicable(one.pairing.pairs)
            outcomes.append(partial(_Outcome, inapplicable=dict.fromkeys(names, reason)) if reason else None)
    applicable = [one for one, outcome in zip(scores, outcomes, strict=True) if outcome is None]
    scored = iter(_with_fallback(metric, metric.named, applicable, plan))
    return [next(scored) if outcome is None else outcome for outcome in outcomes]


def _with_fallback(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], plan: _Plan) -> list[Later]:
    """One outcome for each of the scores. If the metric can't score two runs, with the reason and its fallback's."""
    if not scores:
        return []
    reasons = [_unmet(metric, one) for one in scores]
    can = [one for one, reason in zip(scores, reasons, strict=True) if not reason]
    cannot = [one for one, reason in zip(scores, reasons, strict=True) if reason]
    of_texts = [] if metric.reads_token_scores else _of_texts(metric, named, can, plan)
    scored = iter(of_texts or [partial(_of_token_scores, metric, named, one) for one in can])
    fallback = metric.fallback()
    instead = iter(_with_fallback(fallback, named, cannot, plan) if fallback else [_Outcome] * len(cannot))
    names = [named(column.name) for column in metric.score([])]
    return [
        partial(_instead, _Outcome(unscored=dict.fromkeys(names, reason)), next(instead)) if reason else next(scored)
        for reason in reasons
    ]


def _instead(reason: _Outcome, fallback: Later) -> _Outcome:
    return reason | fallback()


def _of_token_scores(metric: Metric, named: Callable[[str], str], one: Scores) -> _Outcome:
    """The columns of a metric that reads token scores, one answer at a time.

    They have no chance level: teacher forcing on the answer to another prompt is meaningless.
    """
    both = together(one.baseline, one.run, whole_vocabulary="whole_vocabulary" in metric.needs)
    assert not isinstance(both, str)
    baseline_scores, other_scores = both
    depth = "|".join(f"{key}:{value}" for key, value in baseline_scores.depth.fields().items() if value is not None)
    signature = f"{metric.signature()}|{depth}"
    if not _is_scored(one.comparison, signature):
        try:
            rows = [_score_tokens(metric, pair, baseline_scores, other_scores) for pair in one.pairing.pairs]
        except UnprovenError as error:
            return _Outcome(unscored={named(column.name): str(error) for column in metric.score([])})
        one.comparison.add_columns(signature, [joined_columns(columns) for columns in zip(*rows, strict=True)])
    columns = scored_columns(one.comparison, signature)
    return _Outcome({named(name): column for name, column in columns.items()})


def _score_tokens(metric: Metric, pair: Pair, baseline: StoredScores, candidate: StoredScores) -> list[Column]:
    """The columns of one pair; unscored if one of the runs has no token scores for it."""
    tokens, key = pair.baseline.token_ids or (), (pair.prompt.id, pair.baseline.repeat)
    whole = "whole_vocabulary" in metric.needs
    scores = [stored.get(*key, hidden=whole) for stored in (baseline, candidate)]
    own, other = (s if s and list(s.token_ids) == list(tokens[: len(s.token_ids)]) else None for s in scores)
    if own and other and (len(other.token_ids) or not len(own.token_ids)):
        return metric.score([replace(pair, token_scores=(own, other))])
    sides: tuple[Side, ...] = ("candidate" if own else "baseline",)
    return [replace(column, sides=sides) for column in metric.score([replace(pair, token_scores=None)])]


def _is_scored(comparison: Comparison, signature: str) -> bool:
    """Whether the store has a metric's columns, with the side of each unscored pair (older versions have no sides)."""
    columns = comparison.columns(signature)
    return columns is not None and not any(c.sides is None and None in c.values for c in columns)


def _of_texts(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], plan: _Plan) -> list[Later]:
    """A metric's columns, and the chance levels of its similarities, for each of the scores."""
    if not scores:
        return []
    own = [one for one in scores if not one.is_reference]
    metric = metric.fit(chain.from_iterable(one.pairing.pairs for one in own or scores))
    plan.add(metric, scores)
    signature = metric.signature()
    return [partial(_stored, metric, named, one, signature) for one in scores]


def _stored(metric: Metric, named: Callable[[str], str], one: Scores, signature: str) -> _Outcome:
    """A metric's stored columns, without those that need a field which a run lacks."""
    columns = scored_columns(one.comparison, signature)
    lacking = {name: reason for name in columns if (reason := _lacking(metric.needs_of(name), one))}
    return _Outcome(
        {named(name): column for name, column in columns.items() if name not in lacking},
        {named(name): reason for name, reason in lacking.items()},
    )


def _unmet(metric: Metric, scores: Scores) -> str | None:
    """Why these two runs can't be scored with this metric; None if they can."""
    if "token_ids" not in metric.needs and not metric.reads_token_scores:
        return None
    if reason := _lacking(frozenset({"token_ids"}), scores):
        return reason
    baseline, other = scores.baseline, scores.run
    original, own = baseline.manifest.engine.tokenizer, other.manifest.engine.tokenizer
    if original and own and original != own:
        return f"{baseline.name} and {other.name} have different tokenizers, so their token ids can't be compared"
    if not metric.reads_token_scores:
        return None
    both = together(baseline, other, whole_vocabulary="whole_vocabulary" in metric.needs)
    return both if isinstance(both, str) else None


def _lacking(needs: frozenset[Need], scores: Scores) -> str | None:
    """The message about a run without a needed field in any answer; None if both runs have it."""
    for need, words in RECORDED.items():
        for run, side in zip((scores.baseline, scores.run), SIDES, strict=True):
            if need in needs and (side, need) not in scores.pairing.agreement.recorded:
                return f"{run.name} has no {words}"
    return None
