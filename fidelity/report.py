"""A comparison for people and for programs: the table in the terminal, and the JSON that says the same."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fidelity import gate
from fidelity.comparison import ComparisonSet, Scores, values_of
from fidelity.floor import ByPrompt, Summary, pooled, summarise
from fidelity.gate import IN_WORDS, Line, Verdict
from fidelity.history import Entry, line_names
from fidelity.store import Run

JSON_SCHEMA_VERSION = 1
NOT_QUALITY = (
    "Drift is displacement, not quality: a copy that drifts says something else, not necessarily something worse."
)
HIDDEN = "_coverage"
"""Ending of the columns that the table leaves out, and mentions where they aren't whole."""


def floor_of(result: ComparisonSet) -> dict[str, Summary]:
    """Each column between baseline and control, pooled over the controls; empty without a control."""
    return _floor(result.controls)


def summaries_of(result: ComparisonSet, candidate: Scores) -> dict[str, Summary]:
    """Each column of a candidate, with its mean excess over the floor."""
    return {
        name: summarise(candidate.prompt_ids, scored.column, _controls(result, name))
        for name, scored in candidate.columns.items()
    }


def as_json(result: ComparisonSet, verdicts: Mapping[str, Verdict] | None = None) -> dict[str, Any]:
    """The whole comparison as plain data, unrounded; see README for the schema."""
    verdicts = verdicts or {}
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        "baseline": _run_json(result.baseline),
        "floor": _floor_json(result.controls),
        "controls": [_run_json(control.run) for control in result.controls],
        "comparisons": [
            {
                "candidate": _run_json(candidate.run),
                "failed": candidate.failed,
                "failures": candidate.failures,
                "columns": {
                    name: _column_json(summary, candidate, name)
                    for name, summary in summaries_of(result, candidate).items()
                },
                "unscored": candidate.unscored,
                "own_floor": _floor_json(candidate.own_controls),
                "verdict": asdict(verdicts[candidate.run.name]) if candidate.run.name in verdicts else None,
            }
            for candidate in result.candidates
        ],
        "not_compared": result.not_compared,
    }


def print_table(result: ComparisonSet, console: Console, verdicts: Mapping[str, Verdict] | None = None) -> None:
    """The table, the verdicts, and what has to be said beside them."""
    _print_numbers(result, console)
    for verdict in (verdicts or {}).values():
        _print_verdict(verdict, console)
    for note in notes(result):
        console.print(Text(note))


def _print_numbers(result: ComparisonSet, console: Console) -> None:
    """The control's row is the floor, then a row per candidate; under each value its excess."""
    floor = floor_of(result)
    rows = [(f"{_names(result.controls)}\n(the floor)", result.controls, floor)] if floor else []
    for candidate in result.candidates:
        rows.append((_title(candidate.run), (candidate,), summaries_of(result, candidate)))
        if own := _floor(candidate.own_controls):
            rows.append((f"{_names(candidate.own_controls)}\n(its own floor)", candidate.own_controls, own))
    names = list(dict.fromkeys(name for _, _, summaries in rows for name in summaries if not name.endswith(HIDDEN)))
    counts = result.baseline.manifest["counts"]
    console.print(
        Text(f"Baseline {result.baseline.name}: {describe_run(result.baseline)}, {counts['prompts']} prompts")
    )
    first = max((_width(title) for title, _, _ in rows), default=0)
    for number, block in enumerate(_blocks(names, console.width, first=first)):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("run", no_wrap=True)
        for name in (*(("n", "failed") if number == 0 else ()), *block):
            table.add_column(_heading(name), justify="right")
        for title, scores, summaries in rows:
            counts = (str(sum(len(s.prompt_ids) for s in scores)), str(sum(s.failed for s in scores)))
            table.add_section()
            table.add_row(Text(title), *(counts if number == 0 else ()), *(_cell(summaries.get(n)) for n in block))
        console.print(table)


def _print_verdict(verdict: Verdict, console: Console) -> None:
    """The whole, then a row for each line with its reason."""
    console.print(Text(f"\n{verdict.candidate}: {verdict.outcome.upper()}. {verdict.reason}", style="bold"))
    table = Table(show_edge=False, pad_edge=False, show_header=False, box=None, padding=(0, 2, 0, 0))
    for line in verdict.lines:
        outcome = line.outcome if line.decides else f"{line.outcome} (only warns)"
        title = IN_WORDS.get(line.kind, "{}").format(line.name)
        table.add_row(Text(outcome), Text(title), Text(line.reason))
    console.print(table)


def print_history(entries: Sequence[Entry], console: Console) -> None:
    """A table for each baseline, oldest comparison first: the verdict, and of each line the value and its bounds."""
    for baseline in dict.fromkeys(entry.baseline for entry in entries):
        rows = [entry for entry in entries if entry.baseline == baseline]
        names = line_names(rows)
        table = Table(title=f"Baseline {baseline}", show_edge=False, pad_edge=False, title_justify="left")
        for heading in ("compared", "candidate", "n", "verdict"):
            table.add_column(heading, justify="right" if heading == "n" else "left")
        for kind, name in names:
            table.add_column(Text(_heading(IN_WORDS.get(kind, "{}").format(name))), justify="right")
        for entry in rows:
            lines = {(line.kind, line.name): line for line in entry.verdict.lines} if entry.verdict else {}
            cells = [_line_cell(lines.get(name)) for name in names]
            verdict = entry.verdict.outcome if entry.verdict else "not judged"
            told = (entry.created[:16].replace("T", " "), entry.candidate, str(entry.prompts), verdict)
            table.add_row(*(Text(cell) for cell in (*told, *cells)))
        console.print(table)
    for entry in entries:
        reason = entry.verdict.reason if entry.verdict else entry.why_not
        console.print(Text(f"{entry.candidate}: {reason}"))
    console.print(Text(f"In brackets: one-sided bounds, each at the gate's confidence. {NOT_QUALITY}"))


def _line_cell(line: Line | None) -> str:
    if line is None or line.value is None or line.lower is None or line.upper is None:
        return "-"
    form = "+.3f" if line.kind in ("margin", "tail") else ".1%"
    return f"{line.value:{form}}\n[{line.lower:{form}}, {line.upper:{form}}]"


def notes(result: ComparisonSet) -> list[str]:
    """What has to be said beside the numbers."""
    said = ["Second line of a cell: excess over the floor, the mean over prompts; positive is worse."]
    if not result.controls:
        said = ["No floor: no control was run, so a number here may be nothing but the baseline's own noise."]
    for scores in (*result.controls, *result.candidates):
        if planned := scores.run.manifest.get("planned"):
            asked = scores.run.manifest["counts"]["prompts"]
            how = (
                f"stopped after {asked} of {planned} prompts, when the gate had decided"
                if asked < planned
                else "not stopped"
            )
            said.append(f"{scores.run.name}: {how}; its bounds hold at whatever moment it stops")
        said += [f"{scores.run.name}: {note}" for note in scores.run.manifest["engine"]["notes"]]
        said += [f"{scores.run.name}: {column} is unscored: {why}" for column, why in scores.unscored.items()]
        said += [f"{scores.run.name}: {difference}" for difference in engine_differences(result.baseline, scores.run)]
        for name, summary in summaries_of(result, scores).items():
            if name.endswith(HIDDEN) and summary.value is not None and summary.value < 1:
                said.append(f"{scores.run.name}: {name.removesuffix(HIDDEN)} read {summary.value:.1%} of the texts")
            if summary.n_unscored and not name.endswith(HIDDEN):
                said.append(f"{scores.run.name}: {name} could not be scored on {summary.n_unscored} prompts")
        reasons = list(scores.failures.items())
        said += [f"{scores.run.name}: prompt {prompt} failed: {why}" for prompt, why in reasons[:3]]
        said += [f"{scores.run.name}: and {len(reasons) - 3} more failed"] if len(reasons) > 3 else []
    said += [f"{name}: not compared: {why}" for name, why in result.not_compared.items()]
    return [*dict.fromkeys(said), NOT_QUALITY]


def describe_run(run: Run) -> str:
    """Format, parameters and size, as read from the checkpoint."""
    about = _run_json(run)
    parts = [about["format"] or "format unknown"]
    if about["parameters"]:
        parts.append(_short(about["parameters"], ("", "K", "M", "B", "T")))
    if about["bytes"]:
        parts.append(_short(about["bytes"], (" B", " kB", " MB", " GB", " TB")))
    return ", ".join(parts)


def engine_differences(baseline: Run, other: Run) -> list[str]:
    """Where the two engines differ in more than the weights: drift and engine can't be told apart then."""
    differing = gate.engine_differences(baseline.manifest, other.manifest)
    return [f"its {difference}, so not all of its drift is quantization's" for difference in differing]


def _controls(result: ComparisonSet, name: str) -> list[ByPrompt]:
    """The column in every control; none at all if one of them lacks it."""
    if not all(name in control.columns for control in result.controls):
        return []
    return [values_of(control, name) for control in result.controls]


def _floor(controls: Sequence[Scores]) -> dict[str, Summary]:
    if not controls:
        return {}
    names = [name for name in controls[0].columns if all(name in control.columns for control in controls)]
    ids = [control.prompt_ids for control in controls]
    return {name: pooled(ids, [control.columns[name].column for control in controls]) for name in names}


def _floor_json(controls: Sequence[Scores]) -> dict[str, Any] | None:
    if not controls:
        return None
    return {"columns": {name: _column_json(summary, controls[0], name) for name, summary in _floor(controls).items()}}


def _names(controls: Sequence[Scores]) -> str:
    return ", ".join(control.run.name for control in controls)


def _run_json(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    checkpoint: Mapping[str, Any] = manifest["checkpoint"] or {}
    return {
        "name": run.name,
        "id": run.id,
        "format": manifest["label"] or checkpoint.get("format"),
        "ran_as": manifest["engine"]["ran_as"],
        "parameters": checkpoint.get("parameters"),
        "bytes": checkpoint.get("bytes"),
        "engine": manifest["engine"],
        "counts": manifest["counts"],
    }


def _column_json(summary: Summary, scores: Scores, name: str) -> dict[str, Any]:
    return {
        summary.kind: summary.value,
        "n": summary.n,
        "n_unscored": summary.n_unscored,
        "excess": None if summary.excess is None else {"mean": summary.excess},
        "better": summary.better,
        "signature": scores.columns[name].signature,
    }


def _title(run: Run) -> str:
    return f"{run.name}\n{describe_run(run)}"


def _short(number: float, units: tuple[str, ...]) -> str:
    """A number to three digits with its unit: 135M, 269 MB, 1.24 GB."""
    for unit in units[:-1]:
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.1f}{units[-1]}"


def _cell(summary: Summary | None) -> str:
    if summary is None or summary.value is None:
        return "-"
    value = f"{summary.value:.0f}" if summary.kind == "median" else f"{summary.value:.3f}"
    return value if summary.excess is None else f"{value}\n{summary.excess:+.3f}"


def _heading(name: str) -> str:
    return name.replace("_", "\n")


def _width(text: str) -> int:
    return max(len(line) for line in text.split("\n"))


def _blocks(names: list[str], width: int, *, first: int) -> list[list[str]]:
    """The metric columns in as many tables as the terminal's width asks for."""
    blocks: list[list[str]] = []
    room = 0
    for name in names:
        wide = max(_width(_heading(name)), 6) + 3
        if room < wide:
            room = width - first - (0 if blocks else 14)  # the first table also has n and failed
            blocks.append([])
        blocks[-1].append(name)
        room -= wide
    return blocks
