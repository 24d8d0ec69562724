"""The price of a run: what it takes in bytes, memory, time and money, by itself and beside its baseline's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import numpy as np

from fidelity.engines import MachineLoad
from fidelity.stats import Ratio, bca_interval, paired_ratio, ratio_of_rates
from fidelity.store.runs import Run

Unit = Literal["bytes", "per second", "seconds", "per query"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that a run takes or gives."""

    title: str
    unit: Unit
    better: Literal["higher", "lower"] = "lower"


MEASURES = {
    "bytes": Measure("bytes", "bytes"),
    "memory": Measure("memory", "bytes"),
    "tokens_per_s": Measure("tokens/s", "per second", "higher"),
    "requests_per_s": Measure("requests/s", "per second", "higher"),
    "first_token": Measure("first token", "seconds"),
    "next_token": Measure("next token", "seconds"),
    "answer": Measure("whole answer", "seconds"),
    "cost": Measure("cost", "per query"),
}
"""By name. The first token and a whole answer are also timed for prompts of other lengths: `first_token[prefill 512]`,
`answer[rag]`."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a run takes, in its measure's unit."""

    value: float
    """A rate over the whole run; of times the median over prompts, each the median over its repeats."""
    low: float | None = None
    """95 % interval over the prompts; None where nothing was repeated."""
    high: float | None = None
    p95: float | None = None
    """Over all requests (of `next_token` over all gaps between two tokens)."""
    n: int = 1
    """Prompts; of rates, chunks or turns."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One request that was alone in the engine; seconds."""

    prompt_id: str
    first_token: float
    gaps: tuple[float, ...]
    answer: float


def measure_of(name: str) -> Measure:
    """The measure of a name; that of `answer[rag]` is called `answer, rag`."""
    plain, _, kind = name.removesuffix("]").partition("[")
    measure = MEASURES[plain]
    return Measure(f"{measure.title}, {kind}", measure.unit, measure.better) if kind else measure


def values_of(run: Run) -> dict[str, Value]:
    """What is known of a run, by the measure's name; nothing of a run without a checkpoint that was timed nowhere."""
    size = run.manifest.checkpoint.bytes
    return {**({"bytes": Value(float(size))} if size else {}), **values_from(run.measurement or {})}


def values_from(measured: Mapping[str, Any]) -> dict[str, Value]:
    """What a measurement says, by the measure's name."""
    values: dict[str, Value] = {}
    if memory := _memory(measured, without_cache=True) or _memory(measured, without_cache=False):
        values["memory"] = Value(memory)
    for name, counted in (("tokens_per_s", "tokens"), ("requests_per_s", "prompts")):
        if series := _series(measured, counted):
            done, seconds = (sum(part) for part in zip(*series, strict=True))
            if done and seconds:
                values[name] = Value(done / seconds, n=len(series))
    for kind, requests in _requests(measured).items():
        for name, seconds_of in _TIMES.items():
            if value := _times(requests, seconds_of):
                values[_name(name, kind)] = value
    if (rate := values.get("requests_per_s")) and (price := measured.get("price_per_hour")):
        values["cost"] = Value(price / 3600 / rate.value, n=rate.n)
    return values


def ratios_of(baseline: Run, candidate: Run) -> dict[str, Ratio]:
    """The candidate's values over the baseline's, as far as both are known: 0.5 bytes is half as many.

    Where both were measured in turn, turn is held against turn; else times are paired by prompt, and rates are held
    against each other over the runs' chunks, which are not the same ones.
    """
    ours, theirs = candidate.measurement or {}, baseline.measurement or {}
    values, of_baseline = values_of(candidate), values_of(baseline)
    ratios: dict[str, Ratio] = {}
    if "bytes" in values and "bytes" in of_baseline:
        ratios["bytes"] = _exactly(values["bytes"].value / of_baseline["bytes"].value)
    for without_cache in (False, True):
        memory = [_memory(measured, without_cache=without_cache) for measured in (ours, theirs)]
        if memory[0] and memory[1]:
            ratios["memory"] = _exactly(memory[0] / memory[1])
    for name, counted in (("tokens_per_s", "tokens"), ("requests_per_s", "prompts")):
        if ratio := ratio_of_rates(_series(ours, counted), _series(theirs, counted)):
            ratios[name] = ratio
    asked = _requests(theirs)
    for kind, requests in _requests(ours).items():
        for name, seconds_of in _TIMES.items():
            above, below = (_by_prompt(r, seconds_of) for r in (requests, asked.get(kind, [])))
            both = [prompt for prompt in above if prompt in below]
            if ratio := paired_ratio([above[p] for p in both], [below[p] for p in both]):
                ratios[_name(name, kind)] = ratio
    ratios |= _in_turn(ours, theirs)
    prices = ours.get("price_per_hour"), theirs.get("price_per_hour")
    if prices[0] and prices[1] and (rate := ratios.get("requests_per_s")):
        ratios["cost"] = _turned(rate, times=prices[0] / prices[1])
    return {name: ratios[name] for name in [*MEASURES, *ratios] if name in ratios}


def queries_per_unit(run: Run) -> float | None:
    """How many prompts a unit of the currency answers, all at once; None without a price per hour."""
    cost = values_of(run).get("cost")
    return 1 / cost.value if cost else None


def remarks(runs: Sequence[Run]) -> list[str]:
    """What has to be said beside the timings of these runs: other work at the time, and times that lie far apart."""
    said, dates = [], {}
    for run in runs:
        measured = run.measurement or {}
        for what, part in (("generated", measured), ("timed", measured.get("latency") or {})):
            if not part.get("machine"):
                continue
            load = MachineLoad(**part["machine"])
            if load.disturbed:
                said.append(
                    f"{run.name}: other work kept {load.busy_with_others:.1f} of {load.processors} processors busy "
                    f"while it was {what}: its times are those of a shared machine"
                )
        if "chunks" in measured:
            dates[run.name] = str(measured["created"])
    if len({date[:10] for date in dates.values()}) > 1:
        said.append("Not measured on the same day: " + ", ".join(f"{name} {date}" for name, date in dates.items()))
    return said


def turns_in_common(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The turns of two runs' measurements that were taken side by side."""
    beside = {turn["turn"]: turn for turn in theirs.get("turns") or ()}
    return [(turn, beside[turn["turn"]]) for turn in ours.get("turns") or () if turn["turn"] in beside]


def _in_turn(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Ratio]:
    pairs = turns_in_common(ours, theirs)
    names = dict.fromkeys(name for one, other in pairs for name in one["values"] if name in other["values"])
    both = {name: [(a["values"][name], b["values"][name]) for a, b in pairs] for name in names}
    return {name: ratio for name, values in both.items() if (ratio := paired_ratio(*zip(*values, strict=True)))}


def _turned(ratio: Ratio, *, times: float) -> Ratio:
    low, high = (None if end is None else times / end for end in (ratio.high, ratio.low))
    return Ratio(times / ratio.value, low, high, ratio.n, ratio.confidence)


def _exactly(value: float) -> Ratio:
    return Ratio(value, None, None, 1, 0.95)


def _memory(measured: Mapping[str, Any], *, without_cache: bool) -> float | None:
    """The driver's count, else PSS, else RSS; what is reserved for the KV cache is a setting, not the model's need."""
    memory = measured.get("memory") or {}
    held = memory.get("gpu") or memory.get("pss") or memory.get("rss")
    if not held:
        return None
    if not without_cache:
        return float(held)
    cache = memory.get("kv_cache")
    return float(held - cache) if cache and cache < held else None


def _series(measured: Mapping[str, Any], counted: str) -> list[tuple[float, float]]:
    """What was done in how many seconds, chunk by chunk; of a measurement from before there were chunks, at once."""
    chunks = measured.get("chunks") or ([measured] if measured.get("seconds") else [])
    return [(chunk[counted], chunk["seconds"]) for chunk in chunks]


def _requests(measured: Mapping[str, Any]) -> dict[str, list[Timed]]:
    """The timed requests by kind."""
    found: dict[str, list[Timed]] = {}
    for request in (measured.get("latency") or {}).get("requests") or ():
        if came := request["seconds"]:
            gaps = tuple(later - sooner for sooner, later in pairwise(came))
            found.setdefault(request["kind"], []).append(Timed(request["prompt_id"], came[0], gaps, came[-1]))
    return found


_TIMES: dict[str, Callable[[Timed], float | None]] = {
    "first_token": lambda timed: timed.first_token,
    "next_token": lambda timed: sum(timed.gaps) / len(timed.gaps) if timed.gaps else None,
    "answer": lambda timed: timed.answer if timed.gaps else None,
}


def _name(name: str, kind: str) -> str:
    return name if kind == "prompts" else f"{name}[{kind}]"


def _by_prompt(requests: Sequence[Timed], seconds_of: Callable[[Timed], float | None]) -> dict[str, float]:
    """The median over repeats."""
    repeats: dict[str, list[float]] = {}
    for request in requests:
        if seconds := seconds_of(request):
            repeats.setdefault(request.prompt_id, []).append(seconds)
    return {prompt: median(values) for prompt, values in repeats.items()}


def _times(requests: Sequence[Timed], seconds_of: Callable[[Timed], float | None]) -> Value | None:
    by_prompt = _by_prompt(requests, seconds_of)
    if not by_prompt:
        return None
    interval = bca_interval(list(by_prompt), list(by_prompt.values()), statistic="median")
    return Value(
        value=median(by_prompt.values()),
        low=interval.low,
        high=interval.high,
        p95=float(np.quantile(list(_each(requests, seconds_of)), 0.95)),
        n=len(by_prompt),
    )


def _each(requests: Sequence[Timed], seconds_of: Callable[[Timed], float | None]) -> Iterator[float]:
    for request in requests:
        if seconds_of is _TIMES["next_token"]:
            yield from request.gaps
        elif seconds := seconds_of(request):
            yield seconds
