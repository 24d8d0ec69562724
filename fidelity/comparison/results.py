"""A baseline, its controls and its candidates, scored: as it is measured, or read back from the store; and judged."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from fidelity.comparison.pairing import Pairing, pair_runs
from fidelity.config import Compares
from fidelity.errors import StoreError
from fidelity.floor import ByPrompt, by_prompt, candidate_by_prompt, summarise
from fidelity.gate import Evidence, Gate, Measured, Verdict, judge
from fidelity.outside.paths import inside
from fidelity.records import Column, PromptTokens, Sameness, Side
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ColumnSource
from fidelity.store.runs import Run
from fidelity.text.thinking import ReasoningFormat

Role = Literal["candidate", "control"]
CHANCE_SEED = 0
"""Of the permutation that gives each of the candidate's outputs another prompt's baseline."""


@dataclass(frozen=True, slots=True)
class ScoredColumn:
    """A column with the signature of the metric that made it."""

    column: Column
    signature: str
    low: Column | None
    """Where the metric's 0 is: the same column with each of the candidate's outputs against another prompt's baseline.

    None for what is no similarity.
    """


@dataclass(frozen=True)
class Scores:
    """All columns of one baseline and one other run."""

    baseline: Run
    run: Run
    comparison: Comparison
    """Where they are in the store, with what else is known of the two."""
    columns: dict[str, ScoredColumn] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    """Column name to the reason why the whole column could not be scored."""
    inapplicable: dict[str, str] = field(default_factory=dict)
    """Column name to the reason why it has nothing to say on these two runs (diversity, without repeats)."""
    own_controls: tuple["Scores", ...] = ()
    """A candidate's own controls, compared with the candidate: its own floor, which is shown and not judged."""

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The prompt of each pair, in the order of every column's values."""
        return self.comparison.prompt_ids

    @property
    def failures(self) -> dict[str, str]:
        """Why a prompt has no pair, whichever of the two runs failed on it."""
        return dict(self.comparison.manifest.failures)

    @property
    def failed_prompts(self) -> tuple[str, ...]:
        """Those that the other run gave no answer to; `failures` has the baseline's too."""
        return self.comparison.manifest.failed_prompts

    @property
    def same(self) -> Sameness:
        """Whether both said the very same."""
        return self.comparison.manifest.same

    @property
    def compares(self) -> tuple[Compares, ...]:
        """What the other run's YAML declares; empty for comparisons of older versions."""
        return self.comparison.manifest.compares

    @property
    def prompt_tokens(self) -> PromptTokens | None:
        """How both models read the prompts; None for comparisons of older versions."""
        return self.comparison.manifest.prompt_tokens

    @property
    def extra_prompts(self) -> tuple[str, ...]:
        """Prompts that only the other run's file answers; they aren't compared."""
        return self.comparison.manifest.extra_prompts

    @property
    def one_sided_thinking(self) -> int:
        """Pairs in which one side has thinking before its answer, and the other has not."""
        return self.comparison.manifest.one_sided_thinking

    @property
    def contradictions(self) -> int:
        """Pairs whose token ids are equal and whose texts aren't."""
        return self.comparison.manifest.contradictions

    @property
    def spelling_only(self) -> int | None:
        """How many answers differ in normalization alone; None where an older version compared them."""
        return self.comparison.manifest.spelling_only

    @cached_property
    def by_prompt(self) -> dict[tuple[str, Role], ByPrompt]:
        """What `values_of` and `control_values_of` have been asked for."""
        return {}

    @property
    def reasoning_formats(self) -> tuple[ReasoningFormat, ReasoningFormat]:
        """How the thinking of the baseline and of the other run is told from their answers."""
        return self.comparison.manifest.reasoning_formats

    @cached_property
    def pairing(self) -> Pairing:
        """The texts, read when they are asked for."""
        return pair_runs(self.baseline, self.run, self.comparison.manifest.reasoning)


@dataclass(frozen=True)
class ComparisonSet:
    """A baseline, its controls and its candidates, scored."""

    baseline: Run
    controls: tuple[Scores, ...]
    candidates: tuple[Scores, ...]
    not_compared: dict[str, str] = field(default_factory=dict)
    """Candidate name to the error that kept it from being compared."""


def verdicts(result: ComparisonSet, gate: Gate, *, candidates: int = 1) -> dict[str, Verdict]:
    """The verdict on every candidate that was compared, by name.

    Args:
        result: What is judged.
        gate: What it is held to.
        candidates: How many are judged together, if that is more than were compared together.

    Raises:
        ConfigError: The gate names a column that was not scored, or that can't be judged.
    """
    evidence = [evidence_of(result, scores) for scores in result.candidates]
    return {one.candidate: judge(gate, replace(one, candidates=max(one.candidates, candidates))) for one in evidence}


def evidence_of(result: ComparisonSet, candidate: Scores) -> Evidence:
    """What a verdict on one candidate rests on."""
    columns, unscored = {}, candidate.inapplicable | candidate.unscored
    for name, scored in candidate.columns.items():
        lacking = next((control for control in result.controls if name not in control.columns), None)
        if lacking:
            reasons = lacking.inapplicable | lacking.unscored
            unscored[name] = reasons.get(name, f"the control {lacking.run.name} was not scored on it")
            continue
        controls = tuple(control_values_of(control, name) for control in result.controls)
        levels = [chance_level(scores, name) for scores in result.controls or (candidate,)]
        known = [level for level in levels if level is not None]
        chance = sum(known) / len(known) if known else chance_level(candidate, name)
        columns[name] = Measured(scored.column, values_of(candidate, name), controls, chance)
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
        repeats=max(Counter(candidate.prompt_ids).values()),
        same=candidate.same,
        candidates=candidate.comparison.manifest.candidates,
        prompt_tokens=candidate.prompt_tokens,
        extra_prompts=candidate.extra_prompts,
        one_sided_thinking=candidate.one_sided_thinking,
        contradictions=candidate.contradictions,
        compares=candidate.compares,
        shared_answers=candidate.comparison.manifest.shared_answers,
        planned=candidate.run.manifest.planned,
    )


def values_of(candidate: Scores, name: str) -> ByPrompt:
    """A candidate's column by prompt, repeats averaged; what it alone keeps from being scored counts as the worst."""
    key: tuple[str, Role] = name, "candidate"
    if key not in candidate.by_prompt:
        candidate.by_prompt[key] = candidate_by_prompt(candidate.prompt_ids, candidate.columns[name].column)
    return candidate.by_prompt[key]


def control_values_of(control: Scores, name: str) -> ByPrompt:
    """A control's column by prompt, repeats averaged; a prompt that it can't be scored on is out for everybody."""
    key: tuple[str, Role] = name, "control"
    if key not in control.by_prompt:
        control.by_prompt[key] = by_prompt(control.prompt_ids, control.columns[name].column)
    return control.by_prompt[key]


def chance_level(scores: Scores, name: str) -> float | None:
    """A column's mean between this run's outputs and other prompts' baselines; None for what is no similarity."""
    low = scores.columns[name].low
    return None if low is None else summarise(by_prompt(scores.prompt_ids, low), low).value


def keep(candidate: Scores, controls: Sequence[Scores], *, candidates: int = 1) -> Scores:
    """Write into a candidate's comparison which controls belong to it, so that it can be read back and judged.

    Args:
        candidate: The candidate's.
        controls: Those of the baseline's controls.
        candidates: How many were compared together.
    """
    comparison = candidate.comparison.described(
        controls=[control.comparison.path.name for control in controls],
        own_controls=[control.comparison.path.name for control in candidate.own_controls],
        shared_answers=tuple(candidate.pairing.nearness_of(control.pairing) for control in controls),
        candidates=candidates,
    )
    return replace(candidate, comparison=comparison)


def load_comparison(
    path: Path, *, only: Container[str] | None = None, lows: bool = True, shared: dict[str, Scores] | None = None
) -> ComparisonSet:
    """Read one candidate's comparison back from the store: Parquet and manifests, no model and no metric.

    Args:
        path: A directory in `comparisons/` of a store; the runs and the controls' comparisons lie in the same store.
        only: The columns to read, by name; the others are as if they had not been scored. All of them if not given.
        lows: Whether the low anchors are read too.
        shared: Controls that comparisons with the same `only` and `lows` have read already; these are put there too.

    Raises:
        StoreError: It is no comparison of a candidate, or something of it is missing or damaged.
    """
    comparison = Comparison(path)
    manifest = None if path.resolve().parent.name == "runs" else comparison.manifest
    if manifest is None or manifest.controls is None:
        raise StoreError(
            f"{path}: not the comparison of a candidate, or not finished; name a candidate's directory in comparisons/ "
            f"of a store (fidelity list shows them), or run fidelity compare again"
        )
    columns, folder = {n: made for n, made in manifest.columns.items() if only is None or n in only}, path.parent
    baseline = Run(_run(path, manifest.baseline))
    shared = {} if shared is None else shared
    for name in manifest.controls:
        if name not in shared:
            shared[name] = _scores(baseline, Comparison(inside(folder, name)), columns, lows=lows)
    controls = tuple(shared[name] for name in manifest.controls)
    run = Run(_run(path, manifest.candidate))
    own = tuple(_scores(run, Comparison(inside(folder, name)), columns, lows=lows) for name in manifest.own_controls)
    candidate = _scores(baseline, comparison, columns, lows=lows, own_controls=own)
    for scores in (*controls, candidate):
        _check_runs(scores)
    return ComparisonSet(baseline, controls, (_with_sides(candidate, controls),))


def _check_runs(scores: Scores) -> None:
    """Whether the runs are those that were compared, with the answers that they had then."""
    comparison, runs = scores.comparison, (scores.baseline, scores.run)
    if comparison.manifest.baseline != scores.baseline.id:
        raise StoreError(f"{comparison.path}: the control of another baseline, {comparison.manifest.baseline}")
    for run, answers in zip(runs, comparison.manifest.answers, strict=True):
        run.check_place()
        if answers is not None and answers != run.manifest.answers_sha256:
            raise StoreError(f"{comparison.path}: {run.name} has other answers now; run fidelity compare again")


def _with_sides(candidate: Scores, controls: Sequence[Scores]) -> Scores:
    """The same, where an earlier version kept no sides: a prompt that all controls are scored on is the candidate's."""
    columns = {}
    for name, scored in candidate.columns.items():
        column, floor = scored.column, [control_values_of(c, name) for c in controls if name in c.columns]
        if column.sides is None and None in column.values:
            sides: list[Side | None] = []
            for prompt_id, value in zip(candidate.prompt_ids, column.values, strict=True):
                lost = floor and all(values.get(prompt_id) is not None for values in floor)
                sides.append(None if value is not None else "candidate" if lost else "pair")
            scored = replace(scored, column=replace(column, sides=tuple(sides)))
        columns[name] = scored
    return replace(candidate, columns=columns)


def chance_signature(signature: str) -> str:
    """What the low anchors of a metric with this signature are kept under."""
    return f"{signature}|low:{CHANCE_SEED}"


def scored_columns(
    comparison: Comparison, signature: str, *, only: Container[str] | None = None, lows: bool = True
) -> dict[str, ScoredColumn]:
    """What a metric with this signature has left in the store, or `only` some of it, by the column's own name."""
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
    return Scores(
        baseline,
        Run(_run(comparison.path, manifest.candidate)),
        comparison,
        columns=loaded,
        unscored={name: why for name, why in manifest.unscored.items() if name not in loaded},
        inapplicable={name: why for name, why in manifest.inapplicable.items() if name not in loaded},
        own_controls=own_controls,
    )


def _run(comparison: Path, run_id: str) -> Path:
    return inside(comparison.resolve().parent.parent, "runs", run_id)
