"""Scoring runs: each metric gets all pairs in one call, so each text is read once. Scores go to the store."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from fidelity.comparison.chance import chance_signature, with_other_baselines
from fidelity.comparison.lengths import score_within_limits
from fidelity.comparison.offered import offered
from fidelity.comparison.pairing import PairedRuns, Pairing
from fidelity.comparison.results import ScoredColumn, Scores
from fidelity.comparison.stored import scored_columns
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
        extra_prompts=_extra_prompts(baseline, other),
        one_sided_thinking=pairing.one_sided_thinking(),
        contradictions=pairing.contradictions(),
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
    same = pairing.same()
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


def score(scores: Sequence[Scores], metrics: Sequence[Metric], *, chance: bool = True) -> list[Scores]:
    """Return the scores of controls and candidates with the columns of all metrics, and store them.

    References get no chance levels and no token scores, which are only of the baseline's tokens. `chance=False` skips
    the chance levels, for intermediate looks, which discard their numbers.
    """
    outcomes = [_Outcome()] * len(scores)
    for metric in metrics:
        of_metric = _outcomes(metric, scores, chance=chance)
        outcomes = [before | now for before, now in zip(outcomes, of_metric, strict=True)]
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


def _outcomes(metric: Metric, scores: Sequence[Scores], *, chance: bool) -> list[_Outcome]:
    """One outcome for each of the scores, with the reason where the metric doesn't apply."""
    names = [metric.named(name) for name in offered(metric)]
    outcomes: list[_Outcome | None] = []
    for one in scores:
        if one.is_reference and metric.reads_token_scores:
            outcomes.append(_Outcome())
        else:
            reason = metric.inapplicable(one.pairing.pairs)
            outcomes.append(_Outcome(inapplicable=dict.fromkeys(names, reason)) if reason else None)
    applicable = [one for one, outcome in zip(scores, outcomes, strict=True) if outcome is None]
    scored = iter(_with_fallback(metric, metric.named, applicable, chance=chance))
    return [next(scored) if outcome is None else outcome for outcome in outcomes]


def _with_fallback(
    metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], *, chance: bool
) -> list[_Outcome]:
    """One outcome for each of the scores. If the metric can't score two runs, with the reason and its fallback's."""
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
    """The pairs whose columns are stored together."""

    comparison: Comparison
    signature: str
    pairs: Sequence[Pair]


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
        one.comparison.add_columns(signature, [_joined(columns) for columns in zip(*rows, strict=True)])
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


def _joined(columns: Sequence[Column]) -> Column:
    """Join the columns of single pairs."""
    weights = None if columns[0].weights is None else tuple(column.weights[0] for column in columns if column.weights)
    sides = tuple(column.sides[0] if column.sides else None for column in columns)
    values = tuple(column.values[0] for column in columns)
    return replace(columns[0], values=values, weights=weights, sides=sides if any(sides) else None)


def _of_texts(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], *, chance: bool) -> list[_Outcome]:
    """A metric's columns, and the chance levels of its similarities, for each of the scores."""
    if not scores:
        return []
    own = [one for one in scores if not one.is_reference]
    metric = metric.fit([pair for one in own or scores for pair in one.pairing.pairs])
    signature = metric.signature()
    batches = [_Batch(one.comparison, signature, one.pairing.pairs) for one in scores]
    if chance and any(column.better == "higher" for column in metric.score([])):
        batches += [
            _Batch(one.comparison, chance_signature(signature), with_other_baselines(one.pairing.pairs))
            for one in own
            if len(set(one.prompt_ids)) > 1
        ]
    _score_missing(metric, batches)
    return [_stored(metric, named, one, signature) for one in scores]


def _stored(metric: Metric, named: Callable[[str], str], one: Scores, signature: str) -> _Outcome:
    """A metric's stored columns, without those that need a field which a run lacks."""
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
    columns = score_within_limits(metric, [pair for batch in missing for pair in batch.pairs])
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
        for run, side in ((scores.baseline, "baseline"), (scores.run, "candidate")):
            if need in needs and all(getattr(getattr(pair, side), need) is None for pair in scores.pairing.pairs):
                return f"{run.name} has no {words}"
    return None
