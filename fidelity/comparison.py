"""A baseline, its controls and its candidates, scored: as it is measured, or read back from the store; and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fidelity.errors import StoreError
from fidelity.floor import ByPrompt, by_prompt
from fidelity.gate import Evidence, Gate, Measured, Verdict, judge
from fidelity.records import Column, Sameness
from fidelity.store import Comparison, Run


@dataclass(frozen=True, slots=True)
class ScoredColumn:
    """A column with the signature of the metric that made it."""

    column: Column
    signature: str


@dataclass(frozen=True)
class Scores:
    """All columns of one baseline and one other run."""

    run: Run
    prompt_ids: tuple[str, ...]
    columns: dict[str, ScoredColumn]
    failed: int
    failures: dict[str, str]
    unscored: dict[str, str]
    """Column name to the reason why the whole column could not be scored."""
    failed_prompts: tuple[str, ...] = ()
    """Those that the other run gave no answer to; `failures` has the baseline's too."""
    same: Sameness = field(default_factory=lambda: Sameness(texts=False))
    path: Path | None = None
    """Where the comparison lies in the store."""
    own_controls: tuple["Scores", ...] = ()
    """A candidate's own controls, compared with the candidate: its own floor, which is shown and not judged."""


@dataclass(frozen=True)
class ComparisonSet:
    """A baseline, its controls and its candidates, scored."""

    baseline: Run
    controls: tuple[Scores, ...]
    candidates: tuple[Scores, ...]
    not_compared: dict[str, str] = field(default_factory=dict)
    """Candidate name to the error that kept it from being compared."""


def verdicts(result: ComparisonSet, gate: Gate) -> dict[str, Verdict]:
    """The verdict on every candidate that was compared, by name.

    Raises:
        ConfigError: The gate names a column that was not scored, or that can't be judged.
    """
    return {scores.run.name: judge(gate, evidence_of(result, scores)) for scores in result.candidates}


def evidence_of(result: ComparisonSet, candidate: Scores) -> Evidence:
    """What a verdict on one candidate rests on."""
    columns, unscored = {}, dict(candidate.unscored)
    for name, scored in candidate.columns.items():
        lacking = next((control for control in result.controls if name not in control.columns), None)
        if lacking:
            unscored[name] = lacking.unscored.get(name, f"the control {lacking.run.name} was not scored on it")
            continue
        controls = tuple(values_of(control, name) for control in result.controls)
        columns[name] = Measured(scored.column, values_of(candidate, name), controls)
    return Evidence(
        candidate=candidate.run.name,
        prompt_ids=tuple(dict.fromkeys([*candidate.prompt_ids, *candidate.failures])),
        columns=columns,
        baseline_manifest=result.baseline.manifest,
        candidate_manifest=candidate.run.manifest,
        control_manifests=tuple(control.run.manifest for control in result.controls),
        unscored=unscored,
        failed=frozenset(candidate.failed_prompts),
        controls_failed=frozenset(p for control in result.controls for p in control.failed_prompts),
        same=candidate.same,
        planned=candidate.run.manifest.get("planned"),
    )


def values_of(scores: Scores, name: str) -> ByPrompt:
    """A column by prompt, repeats averaged."""
    return by_prompt(scores.prompt_ids, scores.columns[name].column)


def keep(candidate: Scores, controls: Sequence[Scores]) -> None:
    """Write into a candidate's comparison which controls belong to it, so that it can be read back and judged."""
    if candidate.path is None:
        return
    Comparison(candidate.path).described(
        controls=[control.path.name for control in controls if control.path],
        own_controls=[control.path.name for control in candidate.own_controls if control.path],
    )


def load_comparison(path: Path) -> ComparisonSet:
    """Read one candidate's comparison back from the store: Parquet and manifests, no model and no metric.

    Args:
        path: A directory in `comparisons/` of a store; the runs and the controls' comparisons lie in the same store.

    Raises:
        StoreError: It is no comparison of a candidate, or something of it is missing or damaged.
    """
    comparison = Comparison(path)
    manifest = comparison.manifest
    if "controls" not in manifest:
        raise StoreError(
            f"{path}: not the comparison of a candidate, or not finished; name a candidate's directory in comparisons/ "
            f"of a store (fidelity list shows them), or run fidelity compare again"
        )
    columns = manifest["columns"]
    candidate = _scores(comparison, columns)
    controls = tuple(_scores(Comparison(path.parent / name), columns) for name in manifest["controls"])
    own = tuple(_scores(Comparison(path.parent / name), columns) for name in manifest["own_controls"])
    baseline = Run(_runs(path) / manifest["baseline"])
    return ComparisonSet(baseline, controls, (replace(candidate, own_controls=own),))


def _scores(comparison: Comparison, columns: Mapping[str, Mapping[str, str]]) -> Scores:
    manifest = comparison.manifest
    found: dict[str, ScoredColumn] = {}
    read: dict[str, dict[str, Column]] = {}
    for name, made in columns.items():
        signature = made["signature"]
        if signature not in read:
            read[signature] = {column.name: column for column in comparison.columns(signature) or ()}
        if made["column"] in read[signature]:
            found[name] = ScoredColumn(read[signature][made["column"]], signature)
    return Scores(
        run=Run(_runs(comparison.path) / manifest["candidate"]),
        prompt_ids=comparison.prompt_ids,
        columns=found,
        failed=manifest["failed"],
        failures=manifest["failures"],
        unscored={name: why for name, why in manifest.get("unscored", {}).items() if name not in found},
        failed_prompts=tuple(manifest["failed_prompts"]),
        same=Sameness(**manifest["same"]),
        path=comparison.path,
    )


def _runs(comparison: Path) -> Path:
    return comparison.resolve().parent.parent / "runs"
