"""The gate: margins and limits to verdicts to an exit code. Numbers and manifests in, no files but gate.yaml."""

from fidelity.gate.drafting import draft
from fidelity.gate.evidence import SEED, Evidence, Measured
from fidelity.gate.facts import engine_differences, is_quantized
from fidelity.gate.feasibility import out_of_reach
from fidelity.gate.judging import judge
from fidelity.gate.settings import LIMIT_KEYS, Gate, break_column, check_columns, load_gate
from fidelity.gate.verdict import Line, LineKind, Outcome, Verdict, exit_code

__all__ = [
    "LIMIT_KEYS",
    "SEED",
    "Evidence",
    "Gate",
    "Line",
    "LineKind",
    "Measured",
    "Outcome",
    "Verdict",
    "break_column",
    "check_columns",
    "draft",
    "engine_differences",
    "exit_code",
    "is_quantized",
    "judge",
    "load_gate",
    "out_of_reach",
]
