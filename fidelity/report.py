"""A comparison for people and for programs: the table in the terminal, and the JSON that says the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fidelity.floor import ByPrompt, Summary, by_prompt, pooled, summarise
from fidelity.pipeline import ComparisonSet
from fidelity.scoring import Scores
from fidelity.store import Run

JSON_SCHEMA_VERSION = 1
NOT_QUALITY = (
    "Drift is displacement, not quality: a copy that drifts says something else, not necessarily something worse."
)
HIDDEN = "_coverage"
"""Ending of the columns that the table leaves out, and mentions where they aren't whole."""


def floor_of(result: ComparisonSet) -> dict[str, Summary]:
    """Each column between baseline and control, pooled over the controls; empty without a control."""
    if not result.controls:
        return {}
    names = [name for name in result.controls[0].columns if all(name in c.columns for c in result.controls)]
    ids = [control.prompt_ids for control in result.controls]
    return {name: pooled(ids, [control.columns[name].column for control in result.controls]) for name in names}


def summaries_of(result: ComparisonSet, candidate: Scores) -> dict[str, Summary]:
    """Each column of a candidate, with its mean excess over the floor."""
    return {
        name: summarise(candidate.prompt_ids, scored.column, _controls(result, name))
        for name, scored in candidate.columns.items()
    }


def low_anchor(scores: Scores, name: str) -> float | None:
    """Where 0 is: the column's mean between this run's outputs and other prompts' baselines; None for no similarity."""
    low = scores.columns[name].low
    return None if low is None else summarise(scores.prompt_ids, low).value


def as_json(result: ComparisonSet) -> dict[str, Any]:
    """The whole comparison as plain data, unrounded; see README for the schema."""
    floor = floor_of(result)
    columns = {name: _column_json(summary, result.controls[0], name) for name, summary in floor.items()}
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        "baseline": _run_json(result.baseline),
        "floor": {"columns": columns} if result.controls else None,
        "controls": [_run_json(control.run) for control in result.controls],
        "comparisons": [
            {
                "candidate": _run_json(candidate.run),
                "failed": candidate.pairing.failed,
                "failures": candidate.pairing.failures,
                "columns": {
                    name: _column_json(summary, candidate, name)
                    for name, summary in summaries_of(result, candidate).items()
                },
                "unscored": candidate.unscored,
            }
            for candidate in result.candidates
        ],
        "not_compared": result.not_compared,
    }


def print_table(result: ComparisonSet, console: Console) -> None:
    """The table: the control's row is the floor, then a row per candidate; under each value its excess."""
    floor = floor_of(result)
    rows = [(f"{', '.join(c.run.name for c in result.controls)}\n(the floor)", result.controls, floor)] if floor else []
    rows += [(_title(c.run), (c,), summaries_of(result, c)) for c in result.candidates]
    names = list(dict.fromkeys(name for _, _, summaries in rows for name in summaries if shown_in_table(name)))
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
            counts = (str(sum(len(s.prompt_ids) for s in scores)), str(sum(s.pairing.failed for s in scores)))
            table.add_section()
            table.add_row(Text(title), *(counts if number == 0 else ()), *(_cell(summaries.get(n)) for n in block))
        table.add_section()
        lows = [_mean([low_anchor(c, n) for c in result.candidates if n in c.columns]) for n in block]
        cells = ["" if low is None else f"{low:.3f}" for low in lows]
        table.add_row("other prompts' answers", *(("", "") if number == 0 else ()), *cells)
        console.print(table)
    for note in notes(result):
        console.print(Text(note))


def shown_in_table(name: str) -> bool:
    """Profiles (`edit_words[decile=3]`) and coverages are for charts and notes."""
    return "[" not in name and not name.endswith(HIDDEN)


def notes(result: ComparisonSet) -> list[str]:
    """What has to be said beside the numbers."""
    said = [
        "Second line of a cell: excess over the floor, the mean over prompts; positive is worse.",
        "Last row: the candidates' answers against the baseline's to other prompts: as low as a metric gets here.",
    ]
    if not result.controls:
        said = ["No floor: no control was run, so a number here may be nothing but the baseline's own noise."]
    for scores in (*result.controls, *result.candidates):
        said += [f"{scores.run.name}: {note}" for note in scores.run.manifest["engine"]["notes"]]
        said += [f"{scores.run.name}: {column} is unscored: {why}" for column, why in scores.unscored.items()]
        said += [f"{scores.run.name}: {difference}" for difference in engine_differences(result.baseline, scores.run)]
        for name, summary in summaries_of(result, scores).items():
            if name.endswith(HIDDEN) and summary.value is not None and summary.value < 1:
                said.append(f"{scores.run.name}: {name.removesuffix(HIDDEN)} read {summary.value:.1%} of the texts")
            if summary.n_unscored and shown_in_table(name):
                said.append(f"{scores.run.name}: {name} could not be scored on {summary.n_unscored} prompts")
        reasons = list(scores.pairing.failures.items())
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
    ours, theirs = baseline.manifest["engine"], other.manifest["engine"]
    named = {"kind": "engine", "version": "version", "mode": "mode", "device": "hardware"}
    return [
        f"its {word} differs from the baseline's ({theirs[key]} against {ours[key]}), "
        f"so not all of its drift is quantization's"
        for key, word in named.items()
        if ours[key] and theirs[key] and ours[key] != theirs[key]
    ]


def _controls(result: ComparisonSet, name: str) -> list[ByPrompt]:
    """The column in every control; none at all if one of them lacks it."""
    if not all(name in control.columns for control in result.controls):
        return []
    return [by_prompt(control.prompt_ids, control.columns[name].column) for control in result.controls]


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
        "low": low_anchor(scores, name),
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


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


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
