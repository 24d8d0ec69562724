"""The gate: margins and limits to verdicts to an exit code. Numbers and manifests in, no files but gate.yaml."""

from fidelity.gate.evidence import SEED, Evidence, Measured, Sameness
from fidelity.gate.facts import engine_differences, is_quantized
from fidelity.gate.judge import judge
from fidelity.gate.settings import Gate, break_column, check_columns, load_gate
from fidelity.gate.verdict import Line, LineKind, Outcome, Verdict, exit_code

__all__ = [
    "SEED",
    "Evidence",
    "Gate",
    "Line",
    "LineKind",
    "Measured",
    "Outcome",
    "Sameness",
    "Verdict",
    "break_column",
    "check_columns",
    "engine_differences",
    "exit_code",
    "is_quantized",
    "judge",
    "load_gate",
]
