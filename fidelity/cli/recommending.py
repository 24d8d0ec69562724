"""`fidelity recommend`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import COULD_NOT_JUDGE, OK, Commands, open_store
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError

if TYPE_CHECKING:
    from fidelity.price.recommend import Choice, Recommendation

NONE_PASSES = 1


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    recommend = commands.add_parser("recommend", help="recommend the cheapest candidate that passes a gate")
    recommend.add_argument("store", type=Path, metavar="STORE", help="the store's directory")
    recommend.add_argument(
        "--within", type=Path, required=True, metavar="FILE", help="the gate file that a candidate must pass"
    )
    recommend.add_argument("--minimise", required=True, choices=("bytes", "latency", "cost"), help="what to minimize")
    recommend.add_argument(
        "--baseline", metavar="NAME", help="the baseline's name or id (default: that of the newest comparison)"
    )
    recommend.set_defaults(command=_recommend, yaml=("within",))


def _recommend(chosen: argparse.Namespace) -> int:
    from fidelity.gate import load_gate
    from fidelity.price.recommend import recommend

    if not chosen.store.is_dir():
        raise ConfigError(f"{chosen.store}: no such store; give the directory that fidelity compare wrote to")
    recommendation = recommend(
        open_store(chosen.store), load_gate(chosen.within), minimise=chosen.minimise, baseline=chosen.baseline
    )
    for line in _lines(recommendation):
        echo(line)
    if recommendation.best:
        return OK
    outcomes = {choice.verdict.outcome if choice.verdict else "inconclusive" for choice in recommendation.choices}
    return NONE_PASSES if outcomes == {"fail"} else COULD_NOT_JUDGE


def _lines(recommendation: "Recommendation") -> list[str]:
    """What to ship in the words of the dashboard, then every candidate with its verdict and its price."""
    from fidelity.report.recommendation import recommendation as advise

    advice = advise(recommendation.offers, price=recommendation.minimise)
    sentence = advice.sentence if advice else f"No candidate of {recommendation.baseline} could be judged."
    if closest := recommendation.closest:
        sentence += f" Of {recommendation.baseline}'s candidates, {closest.name} came closest."
    lines = [sentence, *([" ".join(advice.reasons)] if advice and advice.reasons else [])]
    for choice in sorted(
        recommendation.choices, key=lambda choice: (choice != recommendation.best, not choice.passes, choice.name)
    ):
        verdict = f"{choice.verdict.outcome}: {choice.verdict.reason}" if choice.verdict else choice.why_not
        lines.append(f"  {choice.name} ({_takes(choice)}): {verdict}")
    return lines


def _takes(choice: "Choice") -> str:
    from fidelity.price.measures import measure_of
    from fidelity.report import times

    if choice.ratio is None or choice.measure is None:
        return "not measured"
    return f"{measure_of(choice.measure).title} {times(choice.ratio).replace(chr(10), ', ')}"
