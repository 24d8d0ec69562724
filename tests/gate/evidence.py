"""Evidence by hand: manifests as far as a verdict reads them, and columns of values that are written down."""

from fidelity.gate import Evidence, Measured
from fidelity.records import Column, PromptValue
from tests.manifests import run_manifest

COMPILED = {"kind": "vllm", "version": "0.26.0", "mode": "compiled", "device": "H100"}


def manifest(name, *, engine=None, failures=0, prompts=300, **keys):
    """As far as a verdict reads it."""
    given = {
        "digest": name,
        "engine": {**COMPILED, **(engine or {})},
        "checkpoint": {"format": "W4A16-INT4 g64" if name == "quant" else "BF16"},
        "identity": {"model": "quantized" if name == "quant" else "original"},
        **keys,
    }
    return run_manifest(name, prompts=prompts, failures=failures, **given)


def ids(n):
    return [f"p{i}" for i in range(n)]


def by_id(values):
    return {f"p{i}": None if v is None else PromptValue(v, 1.0) for i, v in enumerate(values)}


def measured(candidate, *controls, name="sts", better="higher", bounds=(0.0, 1.0), weights=None):
    column = Column(name, (), weights, better, bounds=bounds)
    return Measured(column, by_id(candidate), tuple(by_id(control) for control in controls))


def evidence(columns, n=300, **keys):
    given = {
        "candidate": "quant",
        "prompt_ids": tuple(ids(n)),
        "columns": columns,
        "baseline_manifest": manifest("base"),
        "candidate_manifest": manifest("quant"),
        "control_manifests": (manifest("base.control1"),),
        **keys,
    }
    return Evidence(**given)


def line_of(verdict, name):
    (line,) = [line for line in verdict.lines if line.name == name]
    return line


def sts(excess, n=300, **keys):
    """A candidate with the same excess on every prompt."""
    return {"sts": measured([0.9 - excess] * n, [0.9] * n, **keys)}
