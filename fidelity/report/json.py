"""The comparison as plain data, unrounded, as `schema.json` beside this file describes it."""

from typing import Any

from fidelity.floor import Summary
from fidelity.pipeline import ComparisonSet, Scores
from fidelity.report.content import floor_of, low_anchor, summaries_of
from fidelity.store import Run

JSON_SCHEMA_VERSION = 1


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
                "failed": candidate.failed,
                "failures": candidate.failures,
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


def _run_json(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    checkpoint = manifest["checkpoint"] or {}
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
