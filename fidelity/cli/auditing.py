"""`fidelity audit`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import COULD_NOT_JUDGE, FAILED, OK, Commands, add_limit, add_store, open_store
from fidelity.cli.progress import ProgressBar
from fidelity.cli.terminal import echo

if TYPE_CHECKING:
    from fidelity.pipeline.audit import Audit, AuditRequest, TwoSampleTests

EXIT_CODES = {"not distinguishable": OK, "differs": FAILED, "undecided": COULD_NOT_JUDGE}


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    command = commands.add_parser(
        "audit", help="test whether an endpoint gives the answers of the model that it claims to serve"
    )
    command.add_argument("provider", type=Path, help="the endpoint's YAML file")
    command.add_argument(
        "--reference", type=Path, required=True, metavar="YAML", help="the model that the endpoint claims to serve"
    )
    command.add_argument(
        "--suspects", type=Path, nargs="+", default=[], metavar="YAML", help="models that it may serve instead"
    )
    command.add_argument("--dry-run", action="store_true", help="print the number of requests, and send none")
    add_limit(command)
    add_store(command)
    command.set_defaults(command=_audit, yaml=("provider", "reference"))


def _audit(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.pipeline.audit import AuditRequest, audit

    request = AuditRequest(
        provider=load_run(chosen.provider),
        reference=load_run(chosen.reference),
        suspects=tuple(map(load_run, chosen.suspects)),
        limit=chosen.limit,
    )
    for line in _budget(request):
        echo(line)
    if chosen.dry_run:
        return OK
    result = audit(request, store=open_store(chosen.store), listener=ProgressBar(chosen))
    for line in _lines(result, request):
        echo(line)
    return EXIT_CODES[result.outcome]


def _budget(request: "AuditRequest") -> list[str]:
    """Requests to each source, before any is sent."""
    tokens = request.requests * request.sampling.max_tokens
    names = [config.name for config in request.sources]
    return [
        f"{request.requests} requests ({request.sampling.repeats} answers per prompt, temperature "
        f"{request.sampling.temperature:g}, at most {tokens} tokens) to each of: {', '.join(names)}"
    ]


def _lines(result: "Audit", request: "AuditRequest") -> list[str]:
    """The outcome, then each test, the power, and what the provider resembles most."""
    lines = [f"{result.provider.name}: {result.outcome}: {result.reason}", ""]
    lines += [_row("provider", result.provider), _row("floor (the reference against itself)", result.floor)]
    for one, power in result.suspects.values():
        lines.append(f"{_row('suspect', one)}; power of this budget {power:.0%} at level {request.level:g}")
    if result.suspects:
        nearest = min(result.resembles, key=lambda name: result.resembles[name])
        distances = ", ".join(f"{name} {value:.5f}" for name, value in result.resembles.items())
        lines.append(f"resembles most: {nearest} (MMD^2: {distances})")
    return lines


def _row(role: str, one: "TwoSampleTests") -> str:
    return (
        f"{role}: {one.name}, {one.prompts} prompts: MMD^2 (Hamming) {one.hamming.statistic:.5f}, p "
        f"{one.hamming.p_value:.3g}; energy (edit_words) {one.energy.statistic:.5f}, p {one.energy.p_value:.3g}; both "
        f"together p {one.p_value:.3g}"
    )
