"""`fidelity recommend`."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import COULD_NOT_JUDGE, OK, Commands, finite_number, open_store, positive_number
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError

if TYPE_CHECKING:
    from fidelity.price.recommend import Choice, Recommendation
    from fidelity.store.store import Store

NONE_PASSES = 1


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    recommend = commands.add_parser(
        "recommend", help="recommend the cheapest candidate that passes a gate, or the cheapest for a deployment"
    )
    recommend.add_argument("store", type=Path, nargs="?", metavar="STORE", help="the store's directory")
    recommend.add_argument("--within", type=Path, metavar="FILE", help="the gate file that a candidate must pass")
    recommend.add_argument("--minimise", choices=("bytes", "latency", "cost"), help="what to minimize")
    recommend.add_argument(
        "--baseline", metavar="NAME", help="the baseline's name or id (default: that of the newest comparison)"
    )
    recommend.add_argument("--scenario", metavar="NAME", help="the use case to serve, as measured by fidelity price")
    recommend.add_argument(
        "--mode", choices=("sync", "async"), default="async", help="one request at a time, or many (async)"
    )
    recommend.add_argument("--gpu", metavar="NAME", help="the device, or a part of its name: H200")
    recommend.add_argument("--price", type=finite_number, metavar="P", help="of the machine per hour")
    recommend.add_argument(
        "--latency-limit", type=positive_number, metavar="S", help="of an answer's 95th percentile; inf for none"
    )
    recommend.add_argument(
        "--from",
        dest="sources",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="JSON files of fidelity price, or folders with them (default: the prices in the store)",
    )
    recommend.set_defaults(command=_recommend, yaml=("within",))


def _recommend(chosen: argparse.Namespace) -> int:
    if chosen.scenario is not None:
        return _recommend_deployment(chosen)
    for option in ("store", "within", "minimise"):
        if getattr(chosen, option) is None:
            name = "STORE" if option == "store" else f"--{option}"
            raise ConfigError(
                f"{name} is missing; give STORE, --within and --minimise, or --scenario (fidelity recommend --help)"
            )
    from fidelity.gate import load_gate
    from fidelity.price.recommend import recommend

    recommendation = recommend(
        _existing(chosen.store), load_gate(chosen.within), minimise=chosen.minimise, baseline=chosen.baseline
    )
    for line in _lines(recommendation):
        echo(line)
    if recommendation.best:
        return OK
    return _code([choice.verdict.outcome if choice.verdict else "inconclusive" for choice in recommendation.choices])


def _recommend_deployment(chosen: argparse.Namespace) -> int:
    from fidelity.price.deployment import Deployment, advise
    from fidelity.price.sheets import load_sheet
    from fidelity.price.sweep import use_cases_of
    from fidelity.report.deployment import cost_lines, sentences

    sources = chosen.sources or ([chosen.store] if chosen.store else None)
    if not sources:
        raise ConfigError("--scenario needs prices: give STORE, or --from with the JSON of fidelity price")
    if chosen.within and not chosen.store:
        raise ConfigError("--within needs the store with the comparisons: give STORE")
    sheet = load_sheet(sources, gpu=chosen.gpu, baseline=chosen.baseline)
    (use_case,) = use_cases_of([chosen.scenario], option="--scenario")
    verdicts = _verdicts(chosen, sheet.baseline) if chosen.within else None
    deployment = Deployment(use_case, chosen.mode, chosen.price, chosen.latency_limit)
    why_not = None if verdicts is None else {run: why for run, (_, why) in verdicts.items()}
    advice = advise(sheet, deployment, why_not=why_not)
    for line in [" ".join(sentences(advice)), *cost_lines(advice)]:
        echo(line)
    if verdicts is None or any(not why for _, why in verdicts.values()):
        return OK
    return _code([outcome for outcome, _ in verdicts.values()])


def _verdicts(chosen: argparse.Namespace, baseline: str) -> Mapping[str, tuple[str, str]]:
    """Each candidate's outcome, and why it does not pass (empty if it passes), by run's name."""
    from fidelity.comparison.history import history
    from fidelity.gate import load_gate

    entries = history(_existing(chosen.store), load_gate(chosen.within), baseline=baseline, together=True)
    newest = entries[-1].baseline
    verdicts = {}
    for entry in entries:
        if entry.baseline == newest:
            outcome = entry.verdict.outcome if entry.verdict else "inconclusive"
            reason = f"{outcome}: {entry.verdict.reason}" if entry.verdict else entry.why_not
            name = entry.candidate if entry.verdict else entry.candidate.rpartition("-")[0]  # a run's id, not judged
            verdicts[name] = (outcome, "" if outcome == "pass" else reason)
    return verdicts


def _existing(store: Path) -> "Store":
    if not store.is_dir():
        raise ConfigError(f"{store}: no such store; give the directory that fidelity compare wrote to")
    return open_store(store)


def _code(outcomes: list[str]) -> int:
    """The exit code if no candidate passes."""
    return NONE_PASSES if set(outcomes) == {"fail"} else COULD_NOT_JUDGE


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
