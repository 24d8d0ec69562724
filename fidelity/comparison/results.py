"""A scored baseline with its controls and candidates, computed or read from the store, and the verdicts on it."""

import math
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from fidelity.comparison.chance import chance_signature
from fidelity.comparison.pairing import PairedRuns, Pairing
from fidelity.config import Compares
from fidelity.errors import StoreError
from fidelity.floor import AmongRuns, ByPrompt, by_prompt, candidate_by_prompt, summarise
from fidelity.gate import Evidence, Gate, Measured, Verdict, judge
from fidelity.metrics import every_metric
from fidelity.outside.paths import inside
from fidelity.records import Column, PromptTokens, Sameness, Side
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ColumnSource
from fidelity.store.runs import Run
from fidelity.text.thinking import ReasoningFormat

Role = Literal["candidate", "control"]


@dataclass(frozen=True, slots=True)
class ScoredColumn:
    """A column with the signature of the metric that made it."""

    column: Column
    signature: str
    low: Column | None
    """The chance level: the same column with the candidate's outputs paired with other prompts' baselines.

    None for a column that is not a similarity.
    """

    @property
    def source(self) -> ColumnSource:
        """What the comparison's manifest lists of it."""
        chance = None if self.low is None else chance_signature(self.signature)
        return ColumnSource(signature=self.signature, column=self.column.name, chance=chance)


@dataclass(frozen=True)
class Scores:
    """All columns of one baseline and one other run; none before they are scored."""

    runs: PairedRuns
    comparison: Comparison
    """The comparison's directory in the store."""
    columns: Mapping[str, ScoredColumn] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)
    """Why a whole column could not be scored, by column name."""
    inapplicable: Mapping[str, str] = field(default_factory=dict)
    """Why a column doesn't apply to these two runs, by column name (diversity, without repeats)."""
    own_controls: tuple["Scores", ...] = ()
    """The candidate's own controls, compared with the candidate. This floor is shown, not judged."""
    references: tuple["Scores", ...] = ()
    """A candidate compared with each of the baseline's controls; empty for comparisons of older versions."""
    is_reference: bool = False
    """Whether these are numbers between a control and another run, which only an excess is made of."""

    @property
    def baseline(self) -> Run:
        """The run that the other is compared with: the baseline, a control, or a candidate with its own control."""
        return self.runs.baseline

    @property
    def run(self) -> Run:
        """The other run: a candidate or a control."""
        return self.runs.other

    @property
    def pairing(self) -> Pairing:
        """The texts, read when first used."""
        return self.runs.pairing

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The prompt of each pair, in the order of every column's values."""
        return self.comparison.prompt_ids

    @property
    def failures(self) -> dict[str, str]:
        """Why a prompt has no pair, by prompt id, whichever run failed."""
        return dict(self.comparison.manifest.failures)

    @property
    def failed_prompts(self) -> tuple[str, ...]:
        """The prompts that the other run didn't answer; `failures` includes those of the baseline."""
        return self.comparison.manifest.failed_prompts

    @property
    def same(self) -> Sameness:
        """Whether both runs gave the same answers."""
        return self.comparison.manifest.same

    @property
    def compares(self) -> tuple[Compares, ...]:
        """`compares:` of the other run's YAML; empty for comparisons of older versions."""
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
    def spelling_only(self) -> int | None:
        """The number of answers that differ only in normalization; None for comparisons of older versions."""
        return self.comparison.manifest.spelling_only

    @cached_property
    def by_prompt(self) -> dict[tuple[str, Role], ByPrompt]:
        """Cached results of `values_of` and `control_values_of`."""
        return {}

    @property
    def reasoning_formats(self) -> tuple[ReasoningFormat, ReasoningFormat]:
        """The reasoning formats of the baseline and the other run."""
        return self.comparison.manifest.reasoning_formats


@dataclass(frozen=True)
class ComparisonSet:
    """A scored baseline with its controls and candidates."""

    baseline: Run
    controls: tuple[Scores, ...]
    candidates: tuple[Scores, ...]
    not_compared: dict[str, str] = field(default_factory=dict)
    """The errors of candidates that could not be compared, by name."""
    between_controls: tuple[Scores, ...] = ()
    """The controls with each other, in the order of `itertools.combinations`; empty with fewer than two of them."""


def verdicts(result: ComparisonSet, gate: Gate, *, candidates: int = 1) -> dict[str, Verdict]:
    """Judge every candidate that was compared.

    Args:
        result: The comparison.
        gate: The gate.
        candidates: The number of candidates judged together, if more than were compared together.

    Raises:
        ConfigError: The gate names a column that was not scored, or that can't be judged.
    """
    evidence = [evidence_of(result, scores) for scores in result.candidates]
    return {one.candidate: judge(gate, replace(one, candidates=max(one.candidates, candidates))) for one in evidence}


def evidence_of(result: ComparisonSet, candidate: Scores) -> Evidence:
    """The data that one candidate's verdict is based on."""
    columns, unscored = {}, {**candidate.inapplicable, **candidate.unscored}
    for name, scored in candidate.columns.items():
        lacking = next((control for control in result.controls if name not in control.columns), None)
        if lacking:
            reasons = {**lacking.inapplicable, **lacking.unscored}
            unscored[name] = reasons.get(name, f"the control {lacking.run.name} was not scored on it")
            continue
        among = among_runs(result, candidate, name)
        levels = [chance_level(scores, name) for scores in result.controls or (candidate,)]
        known = [level for level in levels if level is not None]
        chance = sum(known) / len(known) if known else chance_level(candidate, name)
        controls = tuple(control_values_of(control, name) for control in result.controls)
        columns[name] = Measured(
            scored.column,
            values_of(candidate, name),
            controls,
            among=among if among.all_references else None,
            only_reference=_why_only_reference(candidate, scored) if among.floor and not among.all_references else "",
            chance=chance,
        )
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
        one_sided_thinking=candidate.comparison.manifest.one_sided_thinking,
        contradictions=candidate.comparison.manifest.contradictions,
        compares=candidate.compares,
        shared_answers=candidate.comparison.manifest.shared_answers,
        planned=candidate.run.manifest.planned,
    )


def _why_only_reference(candidate: Scores, scored: ScoredColumn) -> str:
    """Why a column with a floor has only the baseline as its reference; empty for token scores, where it should."""
    kind = scored.signature.partition("|")[0]
    if any(metric.kind == kind and metric.reads_token_scores for metric in every_metric()):
        return ""
    if not candidate.references:
        return "an older version compared them, with the baseline as the only reference: run fidelity compare again"
    return "not all of the baseline's runs could be scored on it"


def among_runs(result: ComparisonSet, candidate: Scores, name: str) -> AmongRuns:
    """A column of a candidate with its references, and of these with each other.

    Every run of the baseline is a reference where all of their pairs were scored on the column. It has no floor
    without a control, and where a control lacks it.
    """
    own = values_of(candidate, name)
    if not result.controls or any(name not in control.columns for control in result.controls):
        return AmongRuns((own,))
    floor = floor_values_of(result, name)
    others = [scores for scores in candidate.references if name in scores.columns]
    if len(others) < len(result.controls) or len(floor) < math.comb(len(result.controls) + 1, 2):
        return AmongRuns((own,), floor[: len(result.controls)])
    return AmongRuns((own, *(values_of(scores, name) for scores in others)), floor)


def floor_values_of(result: ComparisonSet, name: str) -> tuple[ByPrompt, ...]:
    """A column that every control has, over the pairs of the baseline's runs: of all of them where all were scored."""
    between = [scores for scores in result.between_controls if name in scores.columns]
    whole = len(between) == math.comb(len(result.controls), 2)
    return tuple(control_values_of(scores, name) for scores in (*result.controls, *(between if whole else ())))


def values_of(candidate: Scores, name: str) -> ByPrompt:
    """A candidate's column by prompt, repeats averaged. An unscored answer that is its own fault counts as worst."""
    key: tuple[str, Role] = name, "candidate"
    if key not in candidate.by_prompt:
        candidate.by_prompt[key] = candidate_by_prompt(candidate.prompt_ids, candidate.columns[name].column)
    return candidate.by_prompt[key]


def control_values_of(control: Scores, name: str) -> ByPrompt:
    """A control's column by prompt, repeats averaged. A prompt that a control can't be scored on is excluded."""
    key: tuple[str, Role] = name, "control"
    if key not in control.by_prompt:
        control.by_prompt[key] = by_prompt(control.prompt_ids, control.columns[name].column)
    return control.by_prompt[key]


def chance_level(scores: Scores, name: str) -> float | None:
    """A column's chance level: its mean between answers to different prompts. None if it is not a similarity."""
    low = scores.columns[name].low
    return None if low is None else summarise(AmongRuns((by_prompt(scores.prompt_ids, low),)), low).value


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
        if column.sides is None and None in column.values:
            sides: list[Side | None] = []
            for prompt_id, value in zip(candidate.prompt_ids, column.values, strict=True):
                lost = floor and all(values.get(prompt_id) is not None for values in floor)
                sides.append(None if value is not None else "candidate" if lost else "pair")
            scored = replace(scored, column=replace(column, sides=tuple(sides)))
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
