"""Comparisons in the store: the controls are recorded with a candidate, and all of it is read again later."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fidelity.comparison.chance import chance_signature
from fidelity.comparison.pairing import PairedRuns
from fidelity.comparison.results import ComparisonSet, ScoredColumn, Scores, control_values_of
from fidelity.errors import StoreError
from fidelity.outside.paths import inside
from fidelity.records import CODES, ColumnNumbers, PromptValues, Sides
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ColumnSource
from fidelity.store.runs import Run


def keep(
    candidate: Scores, controls: Sequence[Scores], *, between_controls: Sequence[Scores] = (), candidates: int = 1
) -> Scores:
    """Record the controls in a candidate's comparison, so it can be read and judged later.

    Args:
        candidate: The candidate's comparison.
        controls: The comparisons of the baseline's controls.
        between_controls: The controls with each other.
        candidates: The number of candidates compared together.
    """
    comparison = candidate.comparison.described(
        controls=[control.comparison.path.name for control in controls],
        own_controls=[control.comparison.path.name for control in candidate.own_controls],
        references=[reference.comparison.path.name for reference in candidate.references],
        between_controls=[between.comparison.path.name for between in between_controls],
        shared_answers=tuple(candidate.pairing.nearness_of(control.pairing) for control in controls),
        candidates=candidates,
    )
    return replace(candidate, comparison=comparison)


def load_comparison(
    path: Path, *, only: Container[str] | None = None, lows: bool = True, shared: dict[str, Scores] | None = None
) -> ComparisonSet:
    """Read one candidate's comparison from the store. No model is loaded and nothing is scored.

    Args:
        path: A directory in a store's `comparisons/`. The runs and the controls' comparisons are in the same store.
        only: The names of the columns to read; others are treated as not scored. Default: all.
        lows: Whether to read the chance levels too.
        shared: A cache of controls for comparisons with the same `only` and `lows`; controls read here are added.

    Raises:
        StoreError: It is not the comparison of a candidate, or a file is missing or damaged.
    """
    comparison = Comparison(path)
    manifest = None if path.resolve().parent.name == "runs" else comparison.manifest
    if manifest is None or manifest.controls is None:
        raise StoreError(
            f"{path}: not a finished comparison of a candidate; give a candidate's directory in comparisons/ "
            f"of a store (fidelity list shows them), or run fidelity compare again"
        )
    columns, folder = {n: made for n, made in manifest.columns.items() if only is None or n in only}, path.parent
    baseline = Run(_run(path, manifest.baseline))
    shared = {} if shared is None else shared

    def once(name: str, *, is_reference: bool = False) -> Scores:
        if name not in shared:
            of, reference = Comparison(inside(folder, name)), baseline
            if is_reference:
                reference = Run(_run(path, of.manifest.baseline))
            shared[name] = _scores(reference, of, columns, lows=lows and not is_reference, is_reference=is_reference)
        return shared[name]

    controls = tuple(map(once, manifest.controls))
    run = Run(_run(path, manifest.candidate))
    own = tuple(_scores(run, Comparison(inside(folder, name)), columns, lows=lows) for name in manifest.own_controls)
    candidate = _scores(baseline, comparison, columns, lows=lows, own_controls=own)
    for scores in (*controls, candidate):
        _check_runs(scores)
    references = tuple(once(name, is_reference=True) for name in manifest.references)
    return ComparisonSet(
        baseline,
        controls,
        (replace(_with_sides(candidate, controls), references=references),),
        between_controls=tuple(once(name, is_reference=True) for name in manifest.between_controls),
    )


def _check_runs(scores: Scores) -> None:
    """Whether the runs are those that were compared, with the answers that they had then."""
    comparison, runs = scores.comparison, (scores.baseline, scores.run)
    if comparison.manifest.baseline != scores.baseline.id:
        raise StoreError(f"{comparison.path}: the control of another baseline, {comparison.manifest.baseline}")
    for run, answers in zip(runs, comparison.manifest.answers or (None, None), strict=True):
        run.check_place()
        if answers is not None and answers != run.manifest.answers_sha256:
            raise StoreError(f"{comparison.path}: {run.name} has other answers now; run fidelity compare again")


def _with_sides(candidate: Scores, controls: Sequence[Scores]) -> Scores:
    """Fill in the sides that older comparisons lack: "candidate" for prompts that all controls are scored on."""
    columns = {}
    for name, scored in candidate.columns.items():
        column, floor = scored.column, [control_values_of(c, name) for c in controls if name in c.columns]
        unscored = np.isnan(ColumnNumbers.of(column.values).array)
        if column.sides is None and unscored.any():
            lost = np.full(len(candidate.prompts.ids), bool(floor))
            for values in floor:
                lost &= PromptValues.of(values).at(candidate.prompts).scored
            of_pairs = lost if candidate.prompts.rows is None else lost[candidate.prompts.rows]
            sides = np.where(unscored, np.where(of_pairs, CODES["candidate"], CODES["pair"]), CODES[None])
            scored = replace(scored, column=replace(column, sides=Sides(sides.astype(np.int8))))
        columns[name] = scored
    return replace(candidate, columns=columns)


def scored_columns(
    comparison: Comparison, signature: str, *, only: Container[str] | None = None, lows: bool = True
) -> dict[str, ScoredColumn]:
    """The stored columns of a metric with this signature, or `only` some of them, by column name."""
    chance_columns = comparison.columns(chance_signature(signature), only=only) if lows else None
    low = {column.name: column for column in chance_columns or ()}
    return {
        column.name: ScoredColumn(column, signature, low.get(column.name) if column.better == "higher" else None)
        for column in comparison.columns(signature, only=only) or ()
    }


def _scores(
    baseline: Run,
    comparison: Comparison,
    columns: Mapping[str, ColumnSource],
    *,
    lows: bool,
    own_controls: tuple[Scores, ...] = (),
    is_reference: bool = False,
) -> Scores:
    manifest = comparison.manifest
    wanted: dict[str, set[str]] = {}
    for made in columns.values():
        wanted.setdefault(made.signature, set()).add(made.column)
    by_signature = {
        signature: scored_columns(comparison, signature, only=own, lows=lows) for signature, own in wanted.items()
    }
    loaded = {
        name: scored for name, made in columns.items() if (scored := by_signature[made.signature].get(made.column))
    }
    for name, listed in manifest.columns.items():
        if name in columns and columns[name].signature == listed.signature:
            if name not in loaded:
                raise comparison.missing(listed.signature, listed.column)
            if lows and listed.chance and loaded[name].low is None:
                raise comparison.missing(listed.chance, listed.column)
    run = Run(_run(comparison.path, manifest.candidate))
    return Scores(
        PairedRuns(baseline, run, manifest.reasoning),
        comparison,
        columns=loaded,
        unscored={name: why for name, why in manifest.unscored.items() if name not in loaded},
        inapplicable={name: why for name, why in manifest.inapplicable.items() if name not in loaded},
        own_controls=own_controls,
        is_reference=is_reference,
    )


def _run(comparison: Path, run_id: str) -> Path:
    return inside(comparison.resolve().parent.parent, "runs", run_id)
