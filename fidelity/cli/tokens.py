"""`fidelity tokens`."""

import argparse
import json
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, STANDARD_OUTPUT, Commands, add_comparison, add_json, comparison_of, write
from fidelity.cli.terminal import open_console

if TYPE_CHECKING:
    from fidelity.tokens.report import RunTokens
    from fidelity.tokens.statistics import KlStatistics

SHOWN = (0.999, 0.99, 0.9, 0.5)
"""The quantiles in the table; the JSON has all of them."""
SURVIVAL_AT = (4, 16, 64, 256)
"""The positions at which the table gives the share of answers that still equal the baseline's."""


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    tokens = commands.add_parser(
        "tokens", help="show a comparison token by token: llama.cpp's statistics and first divergences"
    )
    add_comparison(tokens)
    add_json(tokens, "every number and every first divergence")
    tokens.set_defaults(command=_tokens)


def _tokens(chosen: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from fidelity.comparison.stored import load_comparison
    from fidelity.tokens.report import as_json, token_report

    result = load_comparison(comparison_of(chosen), only=())
    (candidate,) = result.candidates
    report = token_report(result.baseline, [control.run for control in result.controls], candidate.run)
    if chosen.json:
        write(chosen.json, json.dumps(as_json(report), indent=2, ensure_ascii=False) + "\n")
        if chosen.json == STANDARD_OUTPUT:
            return OK
    table = Table(f"on the tokens of {result.baseline.name}", show_edge=False, pad_edge=False)
    for of_run in report.runs:
        table.add_column(
            Text(of_run.run + ("" if of_run.run == candidate.run.name else "\n(the floor)")), justify="right"
        )
    columns = [_facts(of_run) for of_run in report.runs]
    for name in dict.fromkeys(name for column in columns for name in column):
        table.add_row(name, *(Text(column.get(name, "-")) for column in columns))
    console = open_console()
    console.print(table)
    if report.noise is not None:
        console.print(
            Text(
                f"Near tie: the baseline preferred its token by at most {report.noise:.3g} nats, which is how much the "
                f"gap between its first and second token varies in the controls (99% of tokens)."
            )
        )
    return OK


def _facts(of_run: "RunTokens") -> dict[str, str]:
    """One run's row of the table, with the names of llama.cpp's tool where it has one."""
    statistics, survival = of_run.statistics, of_run.survival
    near = [divergence.near_tie for divergence in of_run.divergences]
    ties = f"{sum(map(bool, near))} of {len(near)}" if near and None not in near else "-"
    facts = {
        "tokens": str(statistics.tokens),
        "perplexity of the baseline's tokens": f"{statistics.perplexity:.4f}",
        "ratio to the baseline's perplexity": f"{statistics.perplexity_ratio:.5f}",
        "mean Δp": f"{statistics.mean_delta_p:+.3%}",
        "RMS Δp": f"{statistics.rms_delta_p:.3%}",
        "same top p": f"{statistics.same_top:.3%}",
        "EAR, lower and upper bound": f"{statistics.acceptance:.4f} to {statistics.acceptance_upper:.4f}",
        "EAR, exact": "-" if statistics.acceptance_exact is None else f"{statistics.acceptance_exact:.4f}",
    }
    facts |= {f"KLD, lower bound: {name}": fact for name, fact in _of_kl(statistics.kl_lower_bound).items()}
    facts["KLD, lower bound: tail mass"] = f"{statistics.tail_mass:.3%}"
    facts |= {f"KLD, exact: {name}": fact for name, fact in _of_kl(statistics.kl).items()}
    facts["diverging answers"] = f"{len(survival.diverged_at)} of {survival.answers}"
    facts["diverging at a near tie"] = ties
    return facts | {f"identical after {n} tokens": f"{survival.share_at(n - 1):.1%}" for n in SURVIVAL_AT}


def _of_kl(kl: "KlStatistics | None") -> dict[str, str]:
    if kl is None:
        return {"mean": "-"}
    at = {f"{q:.1%}": value for q, value in kl.quantiles.items() if q in SHOWN}
    return {"tokens": str(kl.tokens), "mean": f"{kl.mean:.6f}", **{q: f"{value:.6f}" for q, value in at.items()}}
