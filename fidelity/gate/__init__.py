"""The gate: from limits and a comparison's numbers to verdicts and an exit code. It reads no file but gate.yaml."""

from fidelity.gate.comparability import differences
from fidelity.gate.difference import Difference
from fidelity.gate.drafting import draft
from fidelity.gate.evidence import SEED, Evidence, Measured
from fidelity.gate.facts import counted_prompts
from fidelity.gate.feasibility import out_of_reach
from fidelity.gate.judging import judge
from fidelity.gate.proposals import PURPOSES, Purpose
from fidelity.gate.quantization import format_that_ran, is_quantized, mislabeled, real_format
from fidelity.gate.settings import (
    LIMIT_KEYS,
    Gate,
    break_column,
    break_key,
    check_columns,
    column_of,
    conflict_column,
    load_gate,
)
from fidelity.gate.verdict import Line, LineKind, Outcome, Verdict, exit_code

__all__ = [
    "LIMIT_KEYS",
    "PURPOSES",
    "SEED",
    "Difference",
    "Evidence",
    "Gate",
    "Line",
    "LineKind",
    "Measured",
    "Outcome",
    "Purpose",
    "Verdict",
    "break_column",
    "break_key",
    "check_columns",
    "column_of",
    "conflict_column",
    "counted_prompts",
    "differences",
    "draft",
    "exit_code",
    "format_that_ran",
    "is_quantized",
    "judge",
    "load_gate",
    "mislabeled",
    "out_of_reach",
    "real_format",
]
