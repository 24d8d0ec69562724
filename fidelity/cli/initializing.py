"""`fidelity init`: the first base.yaml, quant.yaml and gate.yaml, from what a folder holds."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, Commands, write
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError

if TYPE_CHECKING:
    from fidelity.runs.first_files import FolderPlan

GATE = "gate.yaml"
CONFIDENCE = 0.95
SHARES = {"conflicts": {"number": 0.02, "negation": 0.02, "any": 0.05}, "breaks": {"json": 0.02, "loop": 0.02}}
"""Acceptable shares of prompts, as in README's gate, if there are enough prompts to show them."""
MARGINS = {"ear": 0.05, "top1_agreement": 0.05}
"""Acceptable mean excess of columns of token scores."""


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    init = commands.add_parser("init", help="write commented base.yaml, quant.yaml and gate.yaml for a folder's models")
    init.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="DIR", help="where to look and write (default: here)"
    )
    init.add_argument("--model", metavar="M", help="the unquantized model, or its outputs, if it isn't found in DIR")
    init.add_argument("--quantized", action="append", metavar="Q", help="a quantized copy, or its outputs (repeatable)")
    init.add_argument("--prompts", metavar="SET", help="the prompt set (default: one in DIR, else starter)")
    init.add_argument("--force", action="store_true", help="replace files that are already there")
    init.set_defaults(command=_init)


def _init(chosen: argparse.Namespace) -> int:
    from fidelity.engines.devices import gpu_names
    from fidelity.runs.first_files import run_file

    folder: Path = chosen.folder
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such directory; create it, or name another")
    plan, gpus = _plan(chosen), gpu_names()
    names = ["quant.yaml", *(f"quant{number}.yaml" for number in range(2, len(plan.quantized) + 1))]
    sources = dict(zip(("base.yaml", *names), (plan.model, *plan.quantized), strict=True))
    texts = {name: run_file(source, folder, plan=plan, gpus=gpus) for name, source in sources.items()}
    texts[GATE] = _gate_file(plan)
    if not chosen.force and (there := [name for name in texts if (folder / name).exists()]):
        raise ConfigError(f"{folder / there[0]}: already exists; move it away, or replace it with --force")
    for name, text in texts.items():
        write(folder / name, text)
    files = [str(folder / name) for name in texts]
    echo(f"written: {', '.join(files)}")
    echo(f"next: fidelity compare {' '.join(files[:-1])} --gate {files[-1]}")
    return OK


def _plan(chosen: argparse.Namespace) -> "FolderPlan":
    from dataclasses import replace

    from fidelity.runs.first_files import FolderPlan, find
    from fidelity.runs.sources import config_of

    if (chosen.model is None) != (chosen.quantized is None):
        raise ConfigError("--model and --quantized belong together: fidelity init --model MODEL --quantized QUANTIZED")
    if chosen.model is None:
        plan = find(chosen.folder)
    else:
        default = "starter" if config_of(chosen.model).model else None
        plan = FolderPlan(chosen.model, tuple(chosen.quantized), default)
    return replace(plan, prompts=chosen.prompts) if chosen.prompts else plan


def _gate_file(plan: "FolderPlan") -> str:
    """Limits that a copy without drift can pass with so many prompts."""
    from fidelity.gate.feasibility import smallest_margin
    from fidelity.gate.lines import rounded_up
    from fidelity.runs.first_files import count_prompts
    from fidelity.runs.sources import config_of
    from fidelity.stats import clopper_pearson

    count = count_prompts(plan)
    confidence = 1 - (1 - CONFIDENCE) / len(plan.quantized)
    share = clopper_pearson(0, count, confidence=confidence, side="upper")[1]
    margin = smallest_margin(count, 1.0, confidence=confidence)
    least = f"{rounded_up(share):g}", f"{rounded_up(margin):g}"
    lines = [
        "# Limits on drift; exit code 0 pass, 1 fail, 2 inconclusive. How to choose them: docs/gates.md",
        f"# {count} prompts can't show less than a share of {least[0]} or a margin of {least[1]}.",
        f"confidence: {CONFIDENCE}",
    ]
    comments = {
        "conflicts": "share of prompts whose answers may contradict the baseline's",
        "breaks": "share of prompts that may be newly broken",
    }
    for key, limits in SHARES.items():
        written = ", ".join(f"{name}: {max(limit, rounded_up(share)):g}" for name, limit in limits.items())
        lines.append(f"{key}: {{{written}}}   # {comments[key]}")
    written = ", ".join(f"{name}: {max(limit, rounded_up(margin)):g}" for name, limit in MARGINS.items())
    scored = config_of(plan.model).model is not None
    lines.append(f"{'' if scored else '# '}margins: {{{written}}}   # acceptable mean excess over the floor")
    return "\n".join(lines) + "\n"
