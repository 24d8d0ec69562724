"""Manifests for tests that don't generate: valid as a whole, with what the test is about."""

import json

from fidelity.store.manifests import ComparisonManifest, RunDraft, RunManifest


def run_draft(name="base", **keys):
    """A run of vLLM on an H100, with the test's own `keys`."""
    given = {
        "name": name,
        "digest": "0123456789abcdef",
        "created": "2026-01-01T00:00:00+00:00",
        "fidelity": "0",
        "config": {"name": name, "model": "model", "engine": {"kind": "vllm"}},
        "sampling": {},
        "prompts_digest": "",
        "chunk": 128,
        "seed": 0,
        "control_of": None,
        "subset_of": None,
        "planned": None,
        "identity": {},
        "engine": {"kind": "vllm", "version": "0.26.0", "mode": "compiled", "device": "H100"},
        "checkpoint": {},
        "label": None,
        "recorded_timings": {},
    }
    return RunDraft.model_validate({**given, **keys})


def run_manifest(name="base", *, prompts=3, failures=0, **keys):
    """The same of a finished run."""
    counts = {"prompts": prompts, "generations": prompts - failures, "failures": failures, "tokens": 0}
    return RunManifest.model_validate({**dict(run_draft(name, **keys)), "counts": counts})


def comparison_manifest(baseline, candidate, **keys):
    """Two runs, before anything of them is scored."""
    given = {
        "baseline": baseline.id,
        "candidate": candidate.id,
        "created": "2026-01-01T00:00:00.000+00:00",
        "reasoning": None,
        "prompt_ids": [],
        "failures": {},
        "failed_prompts": [],
        "same": {"texts": False},
    }
    return ComparisonManifest.model_validate({**given, **keys})


def edited(file, change):
    """A manifest on disk as a text editor leaves it: `change` of its data, without the seal of the old."""
    data = change(json.loads(file.read_text(encoding="utf-8")))
    data.pop("seal", None)
    file.write_text(json.dumps(data), encoding="utf-8")
