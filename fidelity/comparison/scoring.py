"""Scoring runs: all pairs of a metric in one call, so that each text is read once; the store keeps what is scored."""

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
"""What of a generation an engine or a recording may leave out, and its name for people."""


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


def offered(metric: Metric) -> dict[str, Column]:
    """The columns that a metric may give, empty: its own, and those of what is scored in its place."""
    fallback = metric.fallback()
    own = {metric.named(column.name): column for column in metric.score([])}
    return own | (offered(fallback) if fallback else {})


def columns_of(metrics: Iterable[Metric]) -> dict[str, Column]:
    """All columns that they may give, empty, by name."""
    return {name: column for metric in metrics for name, column in offered(metric).items()}


def addable(metrics: Sequence[Metric]) -> dict[str, str]:
    """Columns that none of the metrics gives, each with the line that adds it, and what this machine lacks for it."""
    have = columns_of(metrics)
    lines: dict[str, str] = {}
    for metric in every_metric():
        given = "".join(
            f", {name}: {name.upper()}" for name, field in type(metric).model_fields.items() if field.is_required()
        )
        entry = f"{{kind: {metric.kind}{given}}}" if given else metric.kind
        how = f"add `- {entry}` to 'metrics:' in the baseline's YAML, or name it with --metric {metric.kind}"
        try:
            check_can_be_scored(metric)
        except FidelityError as error:
            how += f"; before that: {error}"
        lines |= {name: how for name in offered(metric) if name not in have.keys() | lines.keys()}
    return lines


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
        extra_prompts=_extra_prompts(baseline, other),
        one_sided_thinking=pairing.one_sided_thinking(),
        contradictions=pairing.contradictions(),
        compares=tuple(compares),
        answers=(baseline.manifest.answers_sha256, other.manifest.answers_sha256),
        reasoning_formats=pairing.reasoning_formats,
    )
    return Scores(baseline, other, store.comparison(baseline, other, manifest, digest))


def _extra_prompts(baseline: Run, other: Run) -> tuple[str, ...]:
    """Prompts that only the other run's file answers."""
    if not other.manifest.unasked:
        return ()
    known = {*baseline.manifest.unasked, *(prompt.id for prompt in baseline.prompts())}
    return tuple(prompt_id for prompt_id in other.manifest.unasked if prompt_id not in known)


def _sameness(pairing: Pairing, baseline: Run, other: Run) -> Sameness:
    """Equal texts without log-probabilities of their own are told apart by what both models make of their tokens."""
    same = pairing.same()
    if not same.texts or same.logprobs is not None:
        return same
    if isinstance(together(baseline, other, whole_vocabulary=False), str):
        return same
    scored = both_scored(baseline, other, whole_vocabulary=False)
    return replace(same, logprobs=all(np.array_equal(one.logprobs, two.logprobs) for one, two in scored))


def score(scores: Sequence[Scores], metrics: Sequence[Metric], *, anchors: bool = True) -> None:
    """Put the columns of all metrics into each of the scores; controls and candidates alike.

    Without `anchors` the low anchors are left out, for a look at numbers that are thrown away.
    """
    for metric in metrics:
        chosen: Metric | None = metric
        waiting = _applicable(metric, scores)
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
    """Those of the scores that the metric is about; into the others goes why not."""
    reasons = [metric.inapplicable(one.pairing.pairs) for one in scores]
    for one, reason in zip(scores, reasons, strict=True):
        if reason:
            one.inapplicable.update(dict.fromkeys(map(metric.named, offered(metric)), reason))
    return [one for one, reason in zip(scores, reasons, strict=True) if not reason]


def _describe(scores: Scores) -> None:
    """Keep which column came of which metric, beside what earlier commands have scored."""
    made = {name: ColumnSource(signature=s.signature, column=s.column.name) for name, s in scores.columns.items()}
    before = scores.comparison.manifest
    scores.comparison.described(
        columns={n: source for n, source in before.columns.items() if n not in scores.unscored} | made,
        unscored={**before.unscored, **scores.unscored},
        inapplicable={**before.inapplicable, **scores.inapplicable},
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pairs whose columns are kept together."""

    comparison: Comparison
    signature: str
    pairs: Sequence[Pair]


def _add_token_scores(metric: Metric, one: Scores) -> None:
    """Put the columns of a metric that reads forced scores into one of the scores, an answer at a time.

    They have no low anchor: a model forced on another prompt's answer says nothing.
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


def _joined(parts: Sequence[Column]) -> Column:
    """The columns of single pairs as one."""
    weights = None if parts[0].weights is None else tuple(column.weights[0] for column in parts if column.weights)
    sides = tuple(column.sides[0] if column.sides else None for column in parts)
    values = tuple(column.values[0] for column in parts)
    return replace(parts[0], values=values, weights=weights, sides=sides if any(sides) else None)


def _add(metric: Metric, named: Callable[[str], str], scores: Sequence[Scores], *, anchors: bool) -> None:
    """Put a metric's columns, and the low anchors of its similarities, into every one of the scores."""
    metric = metric.fit([pair for one in scores for pair in one.pairing.pairs])
    signature = metric.signature()
    batches = [_Batch(one.comparison, signature, one.pairing.pairs) for one in scores]
    if anchors and any(column.better == "higher" for column in metric.score([])):
        batches += [
            _Batch(one.comparison, chance_signature(signature), _with_other_baselines(one.pairing.pairs))
            for one in scores
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
    """Each candidate's output with another prompt's baseline, by a seeded permutation without fixed points.

    All repeats of a prompt get the other prompt's, in turn where it has fewer.
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
