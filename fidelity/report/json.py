"""The comparison as plain data, unrounded, as described by `schema.json` in this folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources

from pydantic_core import to_jsonable_python

from fidelity.comparison.results import ComparisonSet, Scores, chance_level
from fidelity.floor import Summary
from fidelity.gate import Verdict
from fidelity.report.content import differences_of, pooled_columns, summaries_of
from fidelity.report.expected import expected_json
from fidelity.report.price import price_json
from fidelity.report.verdicts import NO_GATE
from fidelity.report.votes import votes_json
from fidelity.store.runs import Run

JSON_SCHEMA_VERSION = 1


def as_json(result: ComparisonSet, verdicts: Mapping[str, Verdict] = NO_GATE) -> dict[str, object]:
    """Return the whole comparison as plain data, unrounded, with verdicts if a gate was given."""
    return {
        "schema_version": JSON_SCHEMA_VERSION,
        "baseline": _run_json(result.baseline),
        "floor": _floor_json(result.controls),
        "controls": [_run_json(control.run) for control in result.controls],
        "comparisons": [
            {
                "candidate": _run_json(candidate.run),
                "verdict": _verdict_json(verdicts.get(candidate.run.name)),
                "failed": len(candidate.failed_prompts),
                "failures": candidate.failures,
                "extra_prompts": list(candidate.extra_prompts),
                "columns": {
                    name: _column_json(summary, candidate, name)
                    for name, summary in summaries_of(result, candidate).items()
                },
                "unscored": candidate.unscored,
                "expected": expected_json(result, candidate),
                "votes": votes_json(result, candidate),
                "differences": [asdict(d) for d in differences_of(result, candidate, verdicts)],
                "own_floor": _floor_json(candidate.own_controls),
            }
            for candidate in result.candidates
        ],
        "not_compared": result.not_compared,
        "price": price_json(result),
    }


def json_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of the result of `as_json`."""
    text = resources.files("fidelity.report").joinpath("schema.json").read_text(encoding="utf-8")
    schema: dict[str, object] = json.loads(text)
    return schema


def _verdict_json(verdict: Verdict | None) -> dict[str, object] | None:
    elsewhere = {"candidate", "differences"}
    return None if verdict is None else {k: value for k, value in asdict(verdict).items() if k not in elsewhere}


def _floor_json(controls: Sequence[Scores]) -> dict[str, object] | None:
    if not controls:
        return None
    floor = pooled_columns(controls)
    return {"columns": {name: _column_json(summary, controls[0], name) for name, summary in floor.items()}}


def _run_json(run: Run) -> dict[str, object]:
    manifest = run.manifest
    return {
        "name": run.name,
        "id": run.id,
        "format": manifest.label or manifest.checkpoint.format,
        "label": manifest.label,
        "checkpoint_format": manifest.checkpoint.format,
        "ran_as": manifest.engine.ran_as,
        "parameters": manifest.checkpoint.parameters,
        "bytes": manifest.checkpoint.bytes,
        "engine": to_jsonable_python(manifest.engine),
        "counts": manifest.counts.model_dump(exclude_none=True),
    }


def _column_json(summary: Summary, scores: Scores, name: str) -> dict[str, object]:
    return {
        summary.kind: summary.value,
        "n": summary.n,
        "n_unscored": summary.n_unscored,
        "n_worst": summary.n_worst,
        "excess": None if summary.excess is None else {"mean": summary.excess},
        "low": chance_level(scores, name),
        "better": summary.better,
        "signature": scores.columns[name].signature,
    }
