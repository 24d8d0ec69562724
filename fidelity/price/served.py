"""The results of a price sheet: latency, throughput at a limit of latency, cost per query, and ratios to the baseline.

Everything is taken turn by turn, so ratios and intervals are over turns (`paired_ratio`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from fidelity.config import RunConfig
from fidelity.errors import StoreError
from fidelity.files import locked
from fidelity.outside.paths import inside
from fidelity.price.sweep import SweepPlan, servable, sweep
from fidelity.stats import Ratio, paired_ratio
from fidelity.store.price_sheets import FOLDER, LoadPoint, Mode, PricedServer, PriceSheet, gpus_of
from fidelity.store.record_files import MANIFEST, read_record, write_record

LIMIT = 3.0
"""The default limit of latency, as a multiple of the baseline's answer to one request at a time."""
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class PriceUnderLoad:
    """One run's result in a use case and mode."""

    run: str
    use_case: str
    mode: Mode
    value: float
    """`sync`: seconds of an answer, one request at a time, the mean. `async`: requests per second with 95% of the
    answers within the limit. The mean over turns."""
    ratio: Ratio | None
    """To the baseline's value, over turns in common; None for the baseline."""
    cost: float | None
    """Of a query, in the currency of the price per hour; None without a price."""
    turns: int


def measured(
    configs: Sequence[RunConfig],
    plan: SweepPlan,
    *,
    store: Path,
    say: Callable[[str], None],
    on_point: Callable[[PriceSheet], None] = lambda _: None,
) -> PriceSheet:
    """Measure under load and append each point to the baseline's sheet in the store; `on_point` gets the sheet so far.

    Raises:
        StoreError: Its sheet has other use cases or models of these names, or another spread.
    """
    folder = inside(store, FOLDER, configs[0].name)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / MANIFEST
    with locked(folder):
        sheet = _begun(file, configs, plan)
        first_turn = 1 + max((point.turn for point in sheet.points), default=-1)
        known = {use_case: _rates(sheet, use_case) for use_case in plan.use_cases}
        for server, point in sweep(configs, plan, logs=folder, say=say, first_turn=first_turn, known_rates=known):
            servers = {**sheet.servers, server.name: server.about}
            ordered = {c.name: servers[c.name] for c in configs if c.name in servers}
            sheet = sheet.replace(servers={**ordered, **servers}, points=(*sheet.points, point))
            write_record(file, sheet)
            on_point(sheet)
    return sheet


def _rates(sheet: PriceSheet, use_case: str) -> list[float]:
    """The rates at which earlier turns measured a use case."""
    return sorted({point.rate for point in sheet.points if point.use_case == use_case and point.rate})


def _begun(file: Path, configs: Sequence[RunConfig], plan: SweepPlan) -> PriceSheet:
    if not file.is_file():
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return PriceSheet(
            baseline=configs[0].name, created=created, servers={}, use_cases=plan.use_cases, spread=plan.spread
        )
    sheet = read_record(file, PriceSheet)
    known = {name: tuple(tokens) for name, tokens in sheet.use_cases.items()}
    if sheet.spread != plan.spread or any(known.get(name, tokens) != tokens for name, tokens in plan.use_cases.items()):
        raise StoreError(f"{file}: measured with other lengths (--spread {sheet.spread:g}); use another --store")
    for config in configs:
        if (server := sheet.servers.get(config.name)) and (why := _another(server, config)):
            raise StoreError(f"{file}: {config.name} was {why}; give the run another name:, or use another --store")
    return sheet.replace(use_cases={**known, **plan.use_cases})


def _another(server: PricedServer, config: RunConfig) -> str:
    """How a run differs from what was measured under its name; empty if it doesn't."""
    before, now = Path(server.model).name, Path(str(config.model)).name
    if before != now:
        return f"{before} when it was measured, and is {now} now"
    gpus = gpus_of(servable(config).options)
    return "" if gpus == server.gpus else f"measured with GPUs={server.gpus}, and has GPUs={gpus} now"


def results(
    sheet: PriceSheet, *, price_per_hour: float | None = None, latency_limit: float | None = None
) -> list[PriceUnderLoad]:
    """Every run's results, by use case and mode, the baseline first."""
    modes: tuple[Mode, ...] = ("sync", "async")
    rows = []
    for use_case in sheet.use_cases:
        for mode in modes:
            values = {
                run: sync_answers(sheet, run, use_case)
                if mode == "sync"
                else capacities(sheet, run, use_case, limit=limit_of(sheet, use_case, latency_limit))
                for run in sheet.servers
            }
            for run, by_turn in values.items():
                if by_turn:
                    rows.append(_served(sheet, run, use_case, mode, by_turn, values[sheet.baseline], price_per_hour))
    return rows


def _served(
    sheet: PriceSheet,
    run: str,
    use_case: str,
    mode: Mode,
    by_turn: Mapping[int, float],
    original: Mapping[int, float],
    price_per_hour: float | None,
) -> PriceUnderLoad:
    value = fmean(by_turn.values())
    both = [turn for turn in by_turn if original.get(turn)]
    ratio = paired_ratio([by_turn[turn] for turn in both], [original[turn] for turn in both])
    seconds = value if mode == "sync" else 1 / value
    cost = price_per_hour / SECONDS_PER_HOUR * seconds if price_per_hour else None
    return PriceUnderLoad(run, use_case, mode, value, None if run == sheet.baseline else ratio, cost, len(by_turn))


def sync_answers(sheet: PriceSheet, run: str, use_case: str) -> dict[int, float]:
    """The mean seconds of an answer with one request at a time, by turn."""
    points = [p for p in sheet.points if (p.run, p.use_case, p.mode) == (run, use_case, "sync")]
    return {point.turn: point.answer_mean for point in points}


def limit_of(sheet: PriceSheet, use_case: str, given: float | None = None) -> float:
    """The limit of an answer's 95th percentile in seconds: the given one, or LIMIT times the baseline's own answer.

    Infinite if neither is known: the highest throughput, however slow the answers.
    """
    alone = sync_answers(sheet, sheet.baseline, use_case)
    return given or (LIMIT * fmean(alone.values()) if alone else float("inf"))


def capacities(sheet: PriceSheet, run: str, use_case: str, *, limit: float) -> dict[int, float]:
    """The requests per second that were answered with 95% of the answers within the limit, by turn.

    Between the last rate within the limit and the first one beyond it, throughput is interpolated linearly in the
    95th percentile. A turn in which even the lowest rate was beyond the limit has no value.
    """
    by_turn: dict[int, list[LoadPoint]] = {}
    for point in sheet.points:
        if (point.run, point.use_case, point.mode) == (run, use_case, "async"):
            by_turn.setdefault(point.turn, []).append(point)
    values = {turn: _capacity(points, limit) for turn, points in by_turn.items()}
    return {turn: value for turn, value in values.items() if value}


def _capacity(points: Sequence[LoadPoint], limit: float) -> float:
    best = 0.0
    below: LoadPoint | None = None
    for point in sorted(points, key=lambda point: point.rate or float("inf")):
        if point.answer_p95 <= limit:
            best, below = max(best, point.requests_per_s), point
            continue
        if below is not None:
            share = (limit - below.answer_p95) / (point.answer_p95 - below.answer_p95)
            between = below.requests_per_s + share * (point.requests_per_s - below.requests_per_s)
            best = max(best, between)
        break
    return best


def curves(sheet: PriceSheet, use_case: str) -> dict[str, list[tuple[float | None, float, float]]]:
    """For each run (rate sent, requests per second answered, median seconds of an answer), the means over turns."""
    lines = {}
    for run in sheet.servers:
        by_rate: dict[float | None, list[LoadPoint]] = {}
        for point in sheet.points:
            if (point.run, point.use_case, point.mode) == (run, use_case, "async"):
                by_rate.setdefault(point.rate, []).append(point)
        rates = sorted(by_rate, key=lambda rate: rate or float("inf"))
        lines[run] = [
            (rate, fmean(p.requests_per_s for p in by_rate[rate]), fmean(p.answer for p in by_rate[rate]))
            for rate in rates
        ]
    return lines


def as_json(
    sheet: PriceSheet, *, price_per_hour: float | None = None, latency_limit: float | None = None
) -> dict[str, Any]:
    """The sheet with its results, for a JSON report."""
    rows = [
        {
            "run": one.run,
            "use_case": one.use_case,
            "mode": one.mode,
            "value": one.value,
            "unit": "seconds" if one.mode == "sync" else "requests per second",
            "ratio": one.ratio and {"value": one.ratio.value, "low": one.ratio.low, "high": one.ratio.high},
            "cost_per_query": one.cost,
            "turns": one.turns,
        }
        for one in results(sheet, price_per_hour=price_per_hour, latency_limit=latency_limit)
    ]
    limits = {name: limit_of(sheet, name, latency_limit) for name in sheet.use_cases}
    finite = {name: limit if limit != float("inf") else None for name, limit in limits.items()}
    return {
        "results": rows,
        "latency_limits": finite,
        "concurrent_requests": concurrent_requests(sheet),
        "price_per_hour": price_per_hour,
        "sheet": sheet.model_dump(mode="json"),
    }


def concurrent_requests(sheet: PriceSheet) -> dict[str, dict[str, int]]:
    """How many requests of each use case fit into a server's KV cache at their full length, by run."""
    return {
        run: {name: server.kv_tokens // sum(tokens) for name, tokens in sheet.use_cases.items()}
        for run, server in sheet.servers.items()
        if server.kv_tokens
    }
