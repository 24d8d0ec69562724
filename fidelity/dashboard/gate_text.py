"""A gate as YAML with its reasons, and the commands that use it."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import regex
import yaml

from fidelity.gate import Gate

_KEY = regex.compile(r"^  (?:# )?(?P<name>[\w.\[\]=-]+): [\d.e-]+$")
_COMMENT = regex.compile(r"^  # (?P<text>.*)$")


def reasons_in(drafted: str) -> dict[str, list[str]]:
    """The lines of comment before each limit of a drafted gate, also of limits that are only suggested."""
    reasons: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in drafted.splitlines():
        if key := _KEY.match(line):
            reasons.setdefault(key["name"], lines)
            lines = []
        elif comment := _COMMENT.match(line):
            lines.append(comment["text"])
        else:
            lines = []
    return reasons


def written(gate: Gate, reasons: Mapping[str, list[str]]) -> str:
    """gate.yaml: the gate's keys that differ from the defaults, with the reasons before their limits."""
    keys = {key: value for key, value in gate.model_dump(exclude_defaults=True).items() if value}
    lines = []
    for line in yaml.safe_dump({"confidence": gate.confidence, **keys}, sort_keys=False).splitlines():
        if key := _KEY.match(line):
            lines += [f"  # {reason}" for reason in reasons.get(key["name"], ())]
        lines.append(line)
    return "\n".join(lines) + "\n"


def commands(comparison: str, store: Path) -> str:
    """The commands that judge this comparison, and new candidates, with a saved gate.yaml."""
    where = f"--gate gate.yaml --store {shlex.quote(str(store))}"
    return f"fidelity gate check {shlex.quote(comparison)} {where}\nfidelity compare base.yaml quant.yaml {where}"
