"""`fidelity price`."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import (
    OK,
    STANDARD_OUTPUT,
    Commands,
    add_json,
    add_store,
    check_writable,
    finite_number,
    number,
    positive,
    positive_number,
    write,
)
from fidelity.cli.terminal import echo, open_console
from fidelity.errors import ConfigError

if TYPE_CHECKING:
    from fidelity.price.sweep import SweepPlan
    from fidelity.store.price_sheets import PriceSheet


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    price = commands.add_parser(
        "price", help="measure latency, throughput and cost of served models under load, in turns"
    )
    price.add_argument("baseline", type=Path, metavar="BASELINE", help="the baseline's YAML file")
    price.add_argument("candidates", type=Path, nargs="*", metavar="CANDIDATE", help="the candidates' YAML files")
    price.add_argument(
        "--scenarios", default="chat,rag", metavar="NAMES", help="use cases, 'all', or lengths as 512/64 (chat,rag)"
    )
    price.add_argument("--mode", choices=("sync", "async", "both"), default="both", help="(both)")
    price.add_argument(
        "--rates", default="auto", metavar="RATES", help="requests per second, as 1,2,4,inf; or 'auto' (the default)"
    )
    price.add_argument("--turns", type=positive, default=3, metavar="N", help="(3); appended to earlier turns")
    price.add_argument("--one-by-one", type=positive, default=3, metavar="N", help="requests of a turn in sync (3)")
    price.add_argument("--seconds", type=finite_number, default=30.0, metavar="S", help="of requests at each rate (30)")
    price.add_argument("--at-once", type=positive, default=200, metavar="N", help="requests at the rate inf (200)")
    price.add_argument("--spread", type=number, default=0.5, help="of the lengths in async, as a share (0.5)")
    price.add_argument("--together", action="store_true", help="keep all servers loaded, side by side on the device")
    price.add_argument("--no-load-after", type=number, default=math.inf, metavar="S", help="stop after this time")
    price.add_argument("--price", type=finite_number, metavar="P", help="of the machine per hour")
    price.add_argument("--latency-limit", type=positive_number, metavar="S", help="of an answer's 95th percentile")
    add_json(price, "the points and the ratios")
    add_store(price)
    price.set_defaults(command=_price, yaml=("baseline", "candidates"))


def _price(chosen: argparse.Namespace) -> int:
    from fidelity.config import candidate_of, load_run
    from fidelity.price.served import measured

    if chosen.json and chosen.json != STANDARD_OUTPUT:
        check_writable(chosen.json, "--json")
    baseline = load_run(chosen.baseline)
    configs = [baseline, *(candidate_of(baseline, load_run(file)) for file in chosen.candidates)]
    if len({config.name for config in configs}) < len(configs):
        raise ConfigError("two of the files have the same name:; give each run its own")
    plan = _plan(chosen)
    price = chosen.price or baseline.price_per_hour

    def say(line: str) -> None:
        if not chosen.quiet:
            echo(line, to=sys.stderr)

    def save(sheet: "PriceSheet") -> None:
        if chosen.json and chosen.json != STANDARD_OUTPUT:
            _write_json(sheet, price, chosen)

    sheet = measured(configs, plan, store=chosen.store, say=say, on_point=save)
    _show(sheet, price, chosen)
    return OK


def _plan(chosen: argparse.Namespace) -> "SweepPlan":
    from fidelity.config import USE_CASES
    from fidelity.price.sweep import SweepPlan, use_cases_of

    names = list(USE_CASES) if chosen.scenarios == "all" else chosen.scenarios.split(",")
    if not 0 <= chosen.spread < 1:
        raise ConfigError(f"--spread {chosen.spread:g}: must be at least 0 and below 1")
    return SweepPlan(
        use_cases=use_cases_of(names),
        modes=("sync", "async") if chosen.mode == "both" else (chosen.mode,),
        rates=None if chosen.rates == "auto" else tuple(map(_rate, chosen.rates.split(","))),
        turns=chosen.turns,
        one_by_one=chosen.one_by_one,
        seconds=chosen.seconds,
        at_once=chosen.at_once,
        spread=chosen.spread,
        together=chosen.together,
        no_load_after=chosen.no_load_after,
    )


def _show(sheet: "PriceSheet", price: float | None, chosen: argparse.Namespace) -> None:
    from fidelity.report.price_sheet import RANDOM_WEIGHTS, tables

    if chosen.json:
        _write_json(sheet, price, chosen)
        if chosen.json == STANDARD_OUTPUT:
            return
    console = open_console()
    for table in tables(sheet, price_per_hour=price, latency_limit=chosen.latency_limit):
        console.print(table)
    if any(server.random_weights for server in sheet.servers.values()):
        console.print(RANDOM_WEIGHTS)


def _write_json(sheet: "PriceSheet", price: float | None, chosen: argparse.Namespace) -> None:
    from fidelity.price.served import as_json

    content = as_json(sheet, price_per_hour=price, latency_limit=chosen.latency_limit)
    write(chosen.json, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not rate > 0:
        raise ConfigError(f"--rates {text}: not a rate; write requests per second, as 1,2,4,inf, or 'auto'")
    return rate
