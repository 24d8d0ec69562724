"""Scoring runs: each metric gets all pairs in one call, so each text is read once. Scores go to the store."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import numpy as np

from fidelity.comparison.pairing import Pairing, pair_runs
from fidelity.comparison.results import CHANCE_SEED, Scores, chance_signature, scored_columns
from fidelity.config import Compares, Reasoning
from fidelity.encoders import CachedEncoder, locate
from fidelity.errors import FidelityError
from fidelity.metrics import EncoderMetric, Metric, every_metric
from fidelity.metrics.base import Need
from fidelity.records import Column, Pair, Sameness, Side
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ColumnSource, ComparisonManifest
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import StoredScores, both_scored, together

RECORDED: dict[Need, str] = {"token_ids": "token ids", "finish_reason": "finish reasons"}
"""Fields of a generation that an engine or a recording can leave out, with their names in messages."""


def check_can_be_scored(metric: Metric) -> None:
    """Check that the packages and the encoder that a metric needs are available, without loading them.

    Raises:
        MissingPackageError: A package is missing; the message names the extra that brings it.
        ConfigError: The encoder is not available.
    """
    metric.require_packages()
    if isinstance(metric, EncoderMetric):
        locate(metric.encoder)


def ready(metric: Metric, store: Store) -> Metric:
    """Return the metric with its encoder, if it needs one. The encoder is loaded when a text is first encoded."""
    check_can_be_scored(metric)
    if not isinstance(metric, EncoderMetric):
        return metric
    return metric.bind(CachedEncoder(locate(metric.encoder), store.root / "embeddings"))


def offered(metric: Metric) -> dict[str, Column]:
    """The columns that a metric can give, without values, including those of metrics scored in its place."""
    fallback = metric.fallback()
    own = {metric.named(column.name): column for column in metric.score([])}
    return own | (offered(fallback) if fallback else {})


def columns_of(metrics: Iterable[Metric]) -> dict[str, Column]:
    """All columns that the metrics can give, without values, by name."""
    return {name: column for metric in metrics for name, column in offered(metric).items()}


def addable(metrics: Sequence[Metric]) -> dict[str, str]:
    """Explain how to add each column that no metric gives, and what this machine lacks for it."""
    have = columns_of(metrics)
    lines: dict[str, str] = {}
    for metric in every_metric():
        given = "".join(
            f", {name}: {name.upper()}" for name, field in type(metric).model_fields.items() if field.is_required()
        )
        entry = f"{{kind: {metric.kind}{given}}}" if given else metric.kind
        how = f"add `- {entry}` to 'metrics:' in the baseline's YAML, or use --metric {metric.kind}"
        try:
            check_can_be_scored(metric)
        except FidelityError as error:
            how += f"; first: {error}"
        lines |= {name: how for name in offered(metric) if name not in have.keys() | lines.keys()}
    return lines


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
    pairing = pair_runs(baseline, other, reasoning)
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
        answers=(baseline.manifest.answers_sha256, other.manifest.answers_sha256),
        compares=tuple(compares),
        reasoning_formats=pairing.reasoning_formats,
    )
    return Scores(baseline, other, store.comparison(baseline, other, manifest, digest), is_reference=is_reference)


def _sameness(pairing: Pairing, baseline: Run, other: Run) -> Sameness:
    """Whether both runs are equal. If texts are equal and have no log-probabilities, token scores decide."""
    same = pairing.same()
    if not same.texts or same.logprobs is not None:
        return same
    if isinstance(together(baseline, other, whole_vocabulary=False), str):
        return same
    scored = both_scored(baseline, other, whole_vocabulary=False)
    return replace(same, logprobs=all(np.array_equal(one.logprobs, two.logprobs) for one, two in scored))


def score(scores: Sequence[Scores], metrics: Sequence[Metric], *, anchors: bool = True) -> None:
    """Add the columns of all metrics to the scores of controls and candidates.

    References get no chance levels and no token scores, which are only of the baseline's tokens. `anchors=False` skips
    the chance levels, for intermediate looks, which discard their numbers.
    """
    for metric in metrics:
        chosen: Metric | None = metric
        waiting = _applicable(metric, [s for s in scores if not (s.is_reference and metric.reads_token_scores)])
        while chosen and waiting:
            reasons = [_unmet(chosen, one) for one in waiting]
            for one, reason in zip(waiting, reasons, strict=True):
                if reason:
                    one.unscored.update({metric.named(column.name): reason for column in chosen.score([])})
            scorable = [one for one, reason in zip(waiting, reasons, strict=True) if not reason]
            if chosen.reads_token_scores:
                for one in scorable:
                    _add_token_scores(chosen, one)
            elif scorable:
                _add(chosen, metric.named, scorable, anchors=anchors)
            waiting = [one for one, reason in zip(waiting, reasons, strict=True) if reason]
            chosen = chosen.fallback()
    for one in scores:
        _describe(one)


def _applicable(metric: Metric, scores: Sequence[Scores]) -> list[Scores]:
    """The scores that the metric applies to; the reason is recorded in the others."""
    reasons = [metric.inapplicable(one.pairing.pairs) for one in scores]
    for one, reason in zip(scores, reasons, strict=True):
        if reason:
            one.inapplicable.update(dict.fromkeys(map(metric.named, offered(metric)), reason))
    return [one for one, reason in zip(scores, reasons, strict=True) if not reason]


def _describe(scores: Scores) -> None:
    """Record which metric gave which column, in addition to what earlier commands scored."""
    made = {name: ColumnSource(signature=s.signature, column=s.column.name) for name, s in scores.columns.items()}
    scores.comparison.updated(
        lambda before: {
            "columns": {n: source for n, source in before.columns.items() if n not in scores.unscored} | made,
            "unscored": {**before.unscored, **scores.unscored},
            "inapplicable": {**before.inapplicable, **scores.inapplicable},
        }
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    """The number of pairs per stored part of a column."""

    comparison: Comparison
    signature: str
    pairs: Sequence[Pair]


def _add_token_scores(metric: Metric, one: Scores) -> None:
    """Add the columns of a metric that reads token scores, one answer at a time.

    They have no chance level: teacher forcing on the answer to another prompt is meaningless.
    """
    both = together(one.baseline, one.run, whole_vocabulary="whole_vocabulary" in metric.needs)
    assert not isinstance(both, str)
    baseline_scores, other_scores = both
    depth = "|".join(f"{key}:{value}" for key, value in asdict(baseline_scores.depth).items() if value is not None)
    signature = f"{metric.signature()}|{depth}"
    if not _is_scored(one.comparison, signature):
        rows = [_score_tokens(metric, pair, baseline_scores, other_scores) for pair in one.pairing.pairs]
        one.comparison.add_columns(signature, [_joined(parts) for parts in zip(*rows, strict=True)])
    columns = scored_columns(one.comparison, signature)
    one.columns.update({metric.named(name): column for name, column in columns.items()})


def _score_tokens(metric: Metric, pair: Pair, baseline: StoredScores, candidate: StoredScores) -> list[Column]:
    """The columns of one pair; unscored if one of the runs has no token scores for it."""
    tokens, key = pair.baseline.token_ids or (), (pair.prompt.id, pair.baseline.repeat)
    scores = [stored.get(*key) for stored in (baseline, candidate)]
    own, other = (s if s and list(s.token_ids) == list(tokens[: len(s.token_ids)]) else None for s in scores)
    if own and other and (len(other.token_ids) or not len(own.token_ids)):
        return metric.score([replace(pair, token_scores=(own, other))])
    sides: tuple[Side, ...] = ("candidate" if own else "baseline",)
    return [replace(column, sides=sides) for column in metric.score([replace(pair, token_scores=None)])]


def _is_scored(comparison: Comparison, signature: str) -> bool:
    """Whether the store has a metric's columns, with the side of each unscored pair (older versions have no sides)."""
    columns = comparison.columns(signature)
    return columns is not None and not any(c.sides is None and None in c.values for c in columns)


def _joined(parts: Sequence[Column]) -> Column:
    """Join the columns of single pairs."""
    weights = None if parts[0].weights is None else tuple(column.weights[0] for column in parts if column.weights)
    sides = tuple(column.sides[0] if column.sides else None for column in parts)
    values = tuple(column.values[0] for column in parts)
    return replace(parts[0], values=values, weights=weights, sides=sides if any(sides) else None)


def _add(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], *, anchors: bool) -> None:
    """Add a metric's columns, and the chance levels of its similarities, to all scores."""
    own = [one for one in scores if not one.is_reference]
    metric = metric.fit([pair for one in own or scores for pair in one.pairing.pairs])
    signature = metric.signature()
    batches = [_Batch(one.comparison, signature, one.pairing.pairs) for one in scores]
    if anchors and any(column.better == "higher" for column in metric.score([])):
        batches += [
            _Batch(one.comparison, chance_signature(signature), _with_other_baselines(one.pairing.pairs))
            for one in own
            if len(set(one.prompt_ids)) > 1
        ]
    _score_missing(metric, batches)
    for one in scores:
        for name, column in scored_columns(one.comparison, signature).items():
            if reason := _lacking(metric.needs_of(name), one):
                one.unscored[named(name)] = reason
            else:
                one.columns[named(name)] = column


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


def _with_other_baselines(pairs: Sequence[Pair]) -> list[Pair]:
    """Pair each of the candidate's outputs with another prompt's baseline, by a seeded derangement.

    All repeats of a prompt are paired with the other prompt's repeats, cyclically if it has fewer.
    """
    by_prompt: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt.id, []).append(pair)
    order = list(by_prompt)
    random.Random(CHANCE_SEED).shuffle(order)
    other = {one: by_prompt[next_] for one, next_ in zip(order, [*order[1:], *order[:1]], strict=True)}
    seen = Counter[str]()
    moved = []
    for pair in pairs:
        stranger = other[pair.prompt.id][seen[pair.prompt.id] % len(other[pair.prompt.id])]
        seen[pair.prompt.id] += 1
        moved.append(replace(pair, baseline=stranger.baseline, baselines=stranger.baselines))
    return moved


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
