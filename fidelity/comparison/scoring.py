"""Scoring runs: all pairs of a metric in one call, so that each text is read once; the store gets what is scored."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from fidelity.comparison.chance import chance_signature, with_other_baselines
from fidelity.comparison.offered import offered
from fidelity.comparison.pairing import PairedRuns, Pairing
from fidelity.comparison.results import ScoredColumn, Scores, scored_columns
from fidelity.config import Compares, Reasoning
from fidelity.metrics import Metric
from fidelity.metrics.base import Need
from fidelity.records import Column, Pair, Sameness, Side
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ColumnSource, ComparisonManifest
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import StoredScores, both_scored, together

RECORDED: dict[Need, str] = {"token_ids": "token ids", "finish_reason": "finish reasons"}
"""What of a generation an engine or a recording may leave out, and its name for people."""


def begin(
    baseline: Run,
    other: Run,
    store: Store,
    reasoning: Reasoning | None = None,
    *,
    compares: Sequence[Compares] = (),
) -> Scores:
    """Two runs that can be compared, with a place in the store for their numbers.

    How thinking is told from answers is no part of a run: another `reasoning` is another comparison of the same runs.
    `compares` is what the other run's YAML declares.

    Raises:
        IncomparableError: They asked different prompts, sampled differently, or share no answered prompt.
    """
    runs = PairedRuns(baseline, other, reasoning)
    pairing = runs.pairing
    options = None if reasoning in (None, Reasoning()) else reasoning.model_dump(mode="json")
    of = f"{baseline.manifest.digest}{other.manifest.digest}" + (json.dumps(options, sort_keys=True) if options else "")
    digest = hashlib.sha256(of.encode()).hexdigest()
    manifest = ComparisonManifest(
        baseline=baseline.id,
        candidate=other.id,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        reasoning=None if options is None else reasoning,
        prompt_ids=tuple(pair.prompt.id for pair in pairing.pairs),
        failures=pairing.failures,
        failed_prompts=pairing.failed_prompts,
        same=_sameness(pairing, baseline, other),
        spelling_only=pairing.spelling_only(),
        prompt_tokens=pairing.prompt_tokens(),
        compares=tuple(compares),
        reasoning_formats=pairing.reasoning_formats,
    )
    return Scores(runs, store.comparison(baseline, other, manifest, digest))


def _sameness(pairing: Pairing, baseline: Run, other: Run) -> Sameness:
    """Equal texts without log-probabilities of their own are told apart by what both models make of their tokens."""
    same = pairing.same()
    if not same.texts or same.logprobs is not None:
        return same
    if isinstance(together(baseline, other, whole_vocabulary=False), str):
        return same
    scored = both_scored(baseline, other, whole_vocabulary=False)
    return replace(same, logprobs=all(np.array_equal(one.logprobs, two.logprobs) for one, two in scored))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What metrics give for two runs: fields of `Scores`, by the names that the reports use."""

    columns: Mapping[str, ScoredColumn] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)
    inapplicable: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, later: "_Outcome") -> "_Outcome":
        return _Outcome(
            {**self.columns, **later.columns},
            {**self.unscored, **later.unscored},
            {**self.inapplicable, **later.inapplicable},
        )


def score(scores: Sequence[Scores], metrics: Sequence[Metric], *, chance: bool = True) -> list[Scores]:
    """The same with the columns of all metrics, controls and candidates alike; the store has them too.

    Each metric scores all pairs in one call. Without `chance` the chance levels are left out, for numbers that are
    thrown away.
    """
    outcomes = [_Outcome()] * len(scores)
    for metric in metrics:
        of_metric = _outcomes(metric, scores, chance=chance)
        outcomes = [before | now for before, now in zip(outcomes, of_metric, strict=True)]
    return [_described(one, outcome) for one, outcome in zip(scores, outcomes, strict=True)]


def _described(scores: Scores, outcome: _Outcome) -> Scores:
    """The same with its columns, and in its manifest of which metric they came, beside what was scored earlier."""
    sources = {name: ColumnSource(signature=s.signature, column=s.column.name) for name, s in outcome.columns.items()}
    before = scores.comparison.manifest
    comparison = scores.comparison.described(
        columns={n: source for n, source in before.columns.items() if n not in outcome.unscored} | sources,
        unscored={**before.unscored, **outcome.unscored},
        inapplicable={**before.inapplicable, **outcome.inapplicable},
    )
    return replace(
        scores,
        comparison=comparison,
        columns=outcome.columns,
        unscored=outcome.unscored,
        inapplicable=outcome.inapplicable,
    )


def _outcomes(metric: Metric, scores: Sequence[Scores], *, chance: bool) -> list[_Outcome]:
    """One for each of the scores, also for those that the metric is not about."""
    reasons = [metric.inapplicable(one.pairing.pairs) for one in scores]
    applicable = [one for one, reason in zip(scores, reasons, strict=True) if not reason]
    scored = iter(_with_fallback(metric, metric.named, applicable, chance=chance))
    names = [metric.named(name) for name in offered(metric)]
    return [_Outcome(inapplicable=dict.fromkeys(names, reason)) if reason else next(scored) for reason in reasons]


def _with_fallback(
    metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], *, chance: bool
) -> list[_Outcome]:
    """One for each of the scores; what the metric can't score has the reason, and the columns of its fallback."""
    if not scores:
        return []
    reasons = [_unmet(metric, one) for one in scores]
    can = [one for one, reason in zip(scores, reasons, strict=True) if not reason]
    cannot = [one for one, reason in zip(scores, reasons, strict=True) if reason]
    if metric.reads_token_scores:
        scored = iter([_of_token_scores(metric, named, one) for one in can])
    else:
        scored = iter(_of_texts(metric, named, can, chance=chance))
    fallback = metric.fallback()
    instead = iter(_with_fallback(fallback, named, cannot, chance=chance) if fallback else [_Outcome()] * len(cannot))
    names = [named(column.name) for column in metric.score([])]
    return [
        _Outcome(unscored=dict.fromkeys(names, reason)) | next(instead) if reason else next(scored)
        for reason in reasons
    ]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pairs whose columns are kept together."""

    comparison: Comparison
    signature: str
    pairs: Sequence[Pair]


def _of_token_scores(metric: Metric, named: Callable[[str], str], one: Scores) -> _Outcome:
    """The columns of a metric that reads token scores, found an answer at a time.

    They have no chance level: how likely a model finds the answer to another prompt says nothing.
    """
    both = together(one.baseline, one.run, whole_vocabulary="whole_vocabulary" in metric.needs)
    assert not isinstance(both, str)
    baseline_scores, other_scores = both
    depth = "|".join(f"{key}:{value}" for key, value in asdict(baseline_scores.depth).items() if value is not None)
    signature = f"{metric.signature()}|{depth}"
    if not _is_scored(one.comparison, signature):
        rows = [_score_tokens(metric, pair, baseline_scores, other_scores) for pair in one.pairing.pairs]
        one.comparison.add_columns(signature, [_joined(columns) for columns in zip(*rows, strict=True)])
    columns = scored_columns(one.comparison, signature)
    return _Outcome({named(name): column for name, column in columns.items()})


def _score_tokens(metric: Metric, pair: Pair, baseline: StoredScores, candidate: StoredScores) -> list[Column]:
    """The columns of one pair; unscored where one model has no scores of the tokens that the baseline generated."""
    tokens, key = pair.baseline.token_ids or (), (pair.prompt.id, pair.baseline.repeat)
    scores = [stored.get(*key) for stored in (baseline, candidate)]
    own, other = (s if s and list(s.token_ids) == list(tokens[: len(s.token_ids)]) else None for s in scores)
    if own and other and (len(other.token_ids) or not len(own.token_ids)):
        return metric.score([replace(pair, token_scores=(own, other))])
    sides: tuple[Side, ...] = ("candidate" if own else "baseline",)
    return [replace(column, sides=sides) for column in metric.score([replace(pair, token_scores=None)])]


def _is_scored(comparison: Comparison, signature: str) -> bool:
    """Whether the store has a metric's columns, with whose answer leaves a pair unscored, as older versions had not."""
    columns = comparison.columns(signature)
    return columns is not None and not any(c.sides is None and None in c.values for c in columns)


def _joined(columns: Sequence[Column]) -> Column:
    """The columns of single pairs as one."""
    weights = None if columns[0].weights is None else tuple(column.weights[0] for column in columns if column.weights)
    sides = tuple(column.sides[0] if column.sides else None for column in columns)
    values = tuple(column.values[0] for column in columns)
    return replace(columns[0], values=values, weights=weights, sides=sides if any(sides) else None)


def _of_texts(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], *, chance: bool) -> list[_Outcome]:
    """A metric's columns with the chance levels of its similarities, for every one of the scores."""
    if not scores:
        return []
    metric = metric.fit([pair for one in scores for pair in one.pairing.pairs])
    signature = metric.signature()
    batches = [_Batch(one.comparison, signature, one.pairing.pairs) for one in scores]
    if chance and any(column.better == "higher" for column in metric.score([])):
        batches += [
            _Batch(one.comparison, chance_signature(signature), with_other_baselines(one.pairing.pairs))
            for one in scores
            if len(set(one.prompt_ids)) > 1
        ]
    _score_missing(metric, batches)
    return [_stored(metric, named, one, signature) for one in scores]


def _stored(metric: Metric, named: Callable[[str], str], one: Scores, signature: str) -> _Outcome:
    """What is in the store under a metric's signature, but for columns of which a run lacks what they need."""
    columns = scored_columns(one.comparison, signature)
    lacking = {name: reason for name in columns if (reason := _lacking(metric.needs_of(name), one))}
    return _Outcome(
        {named(name): column for name, column in columns.items() if name not in lacking},
        {named(name): reason for name, reason in lacking.items()},
    )


def _score_missing(metric: Metric, batches: Sequence[_Batch]) -> None:
    missing = [batch for batch in batches if not _is_scored(batch.comparison, batch.signature)]
    if not missing:
        return
    columns = metric.score([pair for batch in missing for pair in batch.pairs])
    start = 0
    for batch in missing:
        own = slice(start, start + len(batch.pairs))
        batch.comparison.add_columns(batch.signature, [_sliced(column, own) for column in columns])
        start = own.stop


def _sliced(column: Column, own: slice) -> Column:
    weights = None if column.weights is None else column.weights[own]
    sides = column.sides[own] if column.sides and any(column.sides[own]) else None
    return replace(column, values=column.values[own], weights=weights, sides=sides)


def _unmet(metric: Metric, scores: Scores) -> str | None:
    """Why these two runs can't be scored with this metric; None where they can."""
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
    """Which of the two runs has, in none of its answers, what is needed of a generation; None where both have it."""
    for need, words in RECORDED.items():
        for run, side in ((scores.baseline, "baseline"), (scores.run, "candidate")):
            if need in needs and all(getattr(getattr(pair, side), need) is None for pair in scores.pairing.pairs):
                return f"{run.name} has no {words}"
    return None
