"""A comparison as rows of plain values, one per pair or one per column."""

from collections.abc import Iterator

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.records import Pair
from fidelity.report import chance_level, floor_of, summaries_of

CellValue = str | int | float | None


def pair_rows(result: ComparisonSet) -> Iterator[dict[str, CellValue]]:
    """Yield every pair of every control and candidate with all columns' values, then the prompts without a pair."""
    for role, several in (("control", result.controls), ("candidate", result.candidates)):
        for scores in several:
            yield from _pairs_of(scores, role)


def _pairs_of(scores: Scores, role: str) -> Iterator[dict[str, CellValue]]:
    run = {"run": scores.run.name, "role": role}
    columns = {name: scored.column.values for name, scored in scores.columns.items()}
    for number, pair in enumerate(scores.pairing.pairs):
        yield {**run, **_about(pair), **{name: values[number] for name, values in columns.items()}}
    for prompt_id, reason in scores.failures.items():
        yield {**run, "prompt_id": prompt_id, "failure": reason}


def _about(pair: Pair) -> dict[str, CellValue]:
    return {
        "prompt_id": pair.prompt.id,
        "repeat": pair.candidate.repeat,
        "category": pair.prompt.category,
        "prompt": pair.prompt.text,
        "baseline": pair.baseline.text,
        "output": pair.candidate.text,
        "failure": None,
    }


def column_rows(result: ComparisonSet) -> Iterator[dict[str, CellValue]]:
    """Yield every column of every candidate, then the columns that could not be scored, with the reason."""
    floor = floor_of(result)
    for candidate in result.candidates:
        for name, summary in summaries_of(result, candidate).items():
            yield {
                "run": candidate.run.name,
                "column": name,
                "value": summary.value,
                "floor": floor[name].value if name in floor else None,
                "excess": summary.excess,
                "chance": chance_level(candidate, name),
                "better": summary.better,
                "summary": summary.kind,
                "n": summary.n,
                "n_unscored": summary.n_unscored,
                "unscored": None,
                "signature": candidate.columns[name].signature,
            }
        for name, reason in candidate.unscored.items():
            yield {"run": candidate.run.name, "column": name, "unscored": reason}
