"""Scoring runs: all pairs of a metric in one call, so that each text is read once; the store keeps what is scored."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fidelity.encoders import CachedEncoder, locate
from fidelity.metrics import EncoderMetric, Metric
from fidelity.pairing import Pairing
from fidelity.records import Column, Pair
from fidelity.store import Comparison, Run, Store

LOW_ANCHOR_SEED = 0


@dataclass(frozen=True, slots=True)
class ScoredColumn:
    """A column with the signature of the metric that made it."""

    column: Column
    signature: str
    low: Column | None = None
    """A similarity's low anchor: the same candidate's outputs against other prompts' baselines."""


@dataclass(frozen=True)
class Scores:
    """All columns of one baseline and one other run."""

    run: Run
    kept: Comparison
    """Where they are in the store."""
    pairing: Pairing
    columns: dict[str, ScoredColumn]
    unscored: dict[str, str]
    """Column name to the reason why the whole column could not be scored."""

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The prompt of each pair, in the order of every column's values."""
        return tuple(pair.prompt.id for pair in self.pairing.pairs)


def check_can_be_scored(metric: Metric) -> None:
    """Whether all that the metric needs of this machine is here, found out without loading any of it.

    Raises:
        MissingPackageError: A package is missing; the message names the extra that brings it.
        ConfigError: The encoder can't be had.
    """
    metric.require_packages()
    if isinstance(metric, EncoderMetric):
        locate(metric.encoder)


def ready(metric: Metric, store: Store) -> Metric:
    """The metric with its encoder bound, where it needs one; nothing heavy is loaded until a text must be encoded."""
    check_can_be_scored(metric)
    if not isinstance(metric, EncoderMetric):
        return metric
    return metric.bind(CachedEncoder(locate(metric.encoder), store.root / "embeddings"))


def score(
    baseline: Run, others: Sequence[tuple[Run, Pairing]], metrics: Sequence[Metric], store: Store
) -> list[Scores]:
    """Score runs against their baseline, each with its pairs; controls and candidates alike."""
    scores = [Scores(run, _kept(baseline, run, pairing, store), pairing, {}, {}) for run, pairing in others]
    for metric in metrics:
        chosen: Metric | None = metric
        waiting = scores
        while chosen and waiting:
            reasons = [_unmet(chosen, baseline, one.run, one.pairing) for one in waiting]
            for one, reason in zip(waiting, reasons, strict=True):
                if reason:
                    one.unscored.update({metric.named(column.name): reason for column in chosen.score([])})
            scorable = [one for one, reason in zip(waiting, reasons, strict=True) if not reason]
            if scorable:
                _add(chosen, metric.named, scorable)
            waiting = [one for one, reason in zip(waiting, reasons, strict=True) if reason]
            chosen = chosen.fallback()
    return scores


def _kept(baseline: Run, other: Run, pairing: Pairing, store: Store) -> Comparison:
    digest = hashlib.sha256(f"{baseline.manifest['digest']}{other.manifest['digest']}".encode()).hexdigest()
    prompt_ids = [pair.prompt.id for pair in pairing.pairs]
    manifest = {"prompt_ids": prompt_ids, "failed": pairing.failed, "failures": pairing.failures}
    return store.comparison(baseline, other, manifest, digest)


@dataclass(frozen=True, slots=True)
class _Part:
    """Pairs whose columns are kept together."""

    scores: Scores
    signature: str
    pairs: Sequence[Pair]


def _add(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores]) -> None:
    """Put a metric's columns, and the low anchors of its similarities, into every one of the scores."""
    metric = metric.fit([pair for one in scores for pair in one.pairing.pairs])
    signature = metric.signature()
    low_signature = f"{signature}|low:{LOW_ANCHOR_SEED}"
    parts = [_Part(one, signature, one.pairing.pairs) for one in scores]
    if any(column.better == "higher" for column in metric.score([])):
        parts += [
            _Part(one, low_signature, _with_other_baselines(one.pairing.pairs))
            for one in scores
            if len(one.pairing.pairs) > 1
        ]
    _score_missing(metric, parts)
    for one in scores:
        low = {column.name: column for column in one.kept.columns(low_signature) or () if column.better == "higher"}
        for column in one.kept.columns(signature) or ():
            one.columns[named(column.name)] = ScoredColumn(column, signature, low.get(column.name))


def _score_missing(metric: Metric, parts: Sequence[_Part]) -> None:
    missing = [part for part in parts if part.scores.kept.columns(part.signature) is None]
    if not missing:
        return
    columns = metric.score([pair for part in missing for pair in part.pairs])
    start = 0
    for part in missing:
        own = slice(start, start + len(part.pairs))
        part.scores.kept.add_columns(part.signature, [_sliced(column, own) for column in columns])
        start = own.stop


def _sliced(column: Column, own: slice) -> Column:
    weights = None if column.weights is None else column.weights[own]
    return replace(column, values=column.values[own], weights=weights)


def _with_other_baselines(pairs: Sequence[Pair]) -> list[Pair]:
    """Each candidate's output with another prompt's baseline, by a seeded permutation without fixed points."""
    order = list(range(len(pairs)))
    random.Random(LOW_ANCHOR_SEED).shuffle(order)
    other = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [replace(pair, baseline=pairs[other[number]].baseline) for number, pair in enumerate(pairs)]


def _unmet(metric: Metric, baseline: Run, other: Run, pairing: Pairing) -> str | None:
    """Why these two runs can't be scored with this metric; None where they can."""
    if "token_ids" not in metric.needs:
        return None
    for run, side in ((baseline, "baseline"), (other, "candidate")):
        if all(getattr(pair, side).token_ids is None for pair in pairing.pairs):
            return f"{run.name} has no token ids"
    ours, theirs = baseline.manifest["engine"]["tokenizer"], other.manifest["engine"]["tokenizer"]
    if ours and theirs and ours != theirs:
        return f"{baseline.name} and {other.name} have different tokenizers, so their token ids can't be compared"
    return None
