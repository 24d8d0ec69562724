"""The price of a run: what it takes in bytes, memory, time and money, by itself and beside its baseline's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

import numpy as np

from fidelity.stats import Ratio, bca_interval, paired_ratio, ratio_of_rates
from fidelity.store.measurements import UNMEASURED, Measurement, Turn
from fidelity.store.runs import Run

PriceUnit = Literal["bytes", "per second", "seconds", "per query"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that a run takes or gives."""

    title: str
    unit: PriceUnit
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
class PriceValue:
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


RATES = ("tokens_per_s", "requests_per_s")


def measure_of(name: str) -> Measure:
    """The measure of a name; that of `answer[rag]` is called `answer, rag`."""
    plain, _, kind = name.removesuffix("]").partition("[")
    measure = MEASURES[plain]
    return Measure(f"{measure.title}, {kind}", measure.unit, measure.better) if kind else measure


def values_of(run: Run) -> dict[str, PriceValue]:
    """What is known of a run, by the measure's name; nothing of a run without a checkpoint that was timed nowhere."""
    size = run.manifest.checkpoint.bytes
    return {**({"bytes": PriceValue(float(size))} if size else {}), **values_from(run.measurement or UNMEASURED)}


def values_from(measured: Measurement) -> dict[str, PriceValue]:
    """What a measurement says, by the measure's name."""
    values: dict[str, PriceValue] = {}
    if memory := _memory(measured, without_cache=True) or _memory(measured, without_cache=False):
        values["memory"] = PriceValue(memory)
    for name in RATES:
        if series := _series(measured, name):
            done, seconds = (sum(column) for column in zip(*series, strict=True))
            if done and seconds:
                values[name] = PriceValue(done / seconds, n=len(series))
    for kind, requests in _requests(measured).items():
        for name, seconds_of in _TIMES.items():
            if value := _times(requests, seconds_of):
                values[_name(name, kind)] = value
    if (rate := values.get("requests_per_s")) and (price := measured.price_per_hour):
        values["cost"] = PriceValue(price / 3600 / rate.value, n=rate.n)
    return values


def ratios_of(baseline: Run, candidate: Run) -> dict[str, Ratio]:
    """The candidate's values over the baseline's, as far as both are known: 0.5 bytes is half as many.

    Where both were measured in turn, turn is held against turn; else times are paired by prompt, and rates are held
    against each other over the runs' chunks, which are not the same ones.
    """
    own, original = (run.measurement or UNMEASURED for run in (candidate, baseline))
    ratios = (
        _bytes_ratio(candidate, baseline)
        | _memory_ratio(own, original)
        | _rate_ratios(own, original)
        | _time_ratios(own, original)
        | _turn_ratios(own, original)
    )
    if own.price_per_hour and original.price_per_hour and (rate := ratios.get("requests_per_s")):
        ratios["cost"] = _inverse(rate, times=own.price_per_hour / original.price_per_hour)
    return {name: ratios[name] for name in [*MEASURES, *ratios] if name in ratios}


def _bytes_ratio(candidate: Run, baseline: Run) -> dict[str, Ratio]:
    own, original = (run.manifest.checkpoint.bytes for run in (candidate, baseline))
    return {"bytes": _exactly(own / original)} if own and original else {}


def _memory_ratio(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    """Without what is reserved for the KV cache, where both tell it."""
    for without_cache in (True, False):
        held = [_memory(measured, without_cache=without_cache) for measured in (own, original)]
        if held[0] and held[1]:
            return {"memory": _exactly(held[0] / held[1])}
    return {}


def _rate_ratios(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    ratios = {name: ratio_of_rates(_series(own, name), _series(original, name)) for name in RATES}
    return {name: ratio for name, ratio in ratios.items() if ratio}


def _time_ratios(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    """Of each kind of request, over the prompts that both were timed with."""
    ratios: dict[str, Ratio] = {}
    requests_of_baseline = _requests(original)
    for kind, requests in _requests(own).items():
        for name, seconds_of in _TIMES.items():
            above, below = (_by_prompt(r, seconds_of) for r in (requests, requests_of_baseline.get(kind, [])))
            both = [prompt for prompt in above if prompt in below]
            if ratio := paired_ratio([above[p] for p in both], [below[p] for p in both]):
                ratios[_name(name, kind)] = ratio
    return ratios


def _turn_ratios(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    pairs = turns_in_common(own, original)
    names = dict.fromkeys(name for one, other in pairs for name in one.values if name in other.values)
    both = {name: [(a.values[name], b.values[name]) for a, b in pairs] for name in names}
    return {name: ratio for name, values in both.items() if (ratio := paired_ratio(*zip(*values, strict=True)))}


def queries_per_unit(run: Run) -> float | None:
    """How many prompts a unit of the currency answers, all at once; None without a price per hour."""
    cost = values_of(run).get("cost")
    return 1 / cost.value if cost else None


def remarks(runs: Sequence[Run]) -> list[str]:
    """What has to be said beside the timings of these runs: other work at the time, and times that lie far apart."""
    remarks_, dates = [], {}
    for run in runs:
        measured = run.measurement or UNMEASURED
        loads = {"generated": measured.machine, "timed": measured.latency and measured.latency.machine}
        for what, load in loads.items():
            if load and load.disturbed:
                remarks_.append(
                    f"{run.name}: other work kept {load.busy_with_others:.1f} of {load.processors} processors busy "
                    f"while it was {what}: its times are those of a shared machine"
                )
        if measured.chunks:
            dates[run.name] = str(measured.created)
    if len({date[:10] for date in dates.values()}) > 1:
        remarks_.append("Not measured on the same day: " + ", ".join(f"{name} {date}" for name, date in dates.items()))
    return remarks_


def turns_in_common(own: Measurement, original: Measurement) -> list[tuple[Turn, Turn]]:
    """The turns of two runs' measurements that were taken side by side."""
    beside = {turn.turn: turn for turn in original.turns}
    return [(turn, beside[turn.turn]) for turn in own.turns if turn.turn in beside]


def _inverse(ratio: Ratio, *, times: float) -> Ratio:
    low, high = (None if end is None else times / end for end in (ratio.high, ratio.low))
    return Ratio(times / ratio.value, low, high, ratio.n, ratio.confidence)


def _exactly(value: float) -> Ratio:
    return Ratio(value, None, None, 1, 0.95)


def _memory(measured: Measurement, *, without_cache: bool) -> float | None:
    """The driver's count, else PSS, else RSS; what is reserved for the KV cache is a setting, not the model's need."""
    memory = measured.memory
    held = memory and (memory.gpu or memory.pss or memory.rss)
    if not memory or not held:
        return None
    if not without_cache:
        return float(held)
    return float(held - memory.kv_cache) if memory.kv_cache and memory.kv_cache < held else None


def _series(measured: Measurement, rate: str) -> list[tuple[float, float]]:
    """What was done in how many seconds, chunk by chunk; of a measurement from before there were chunks, at once."""
    chunks = [(chunk.prompts, chunk.tokens, chunk.seconds) for chunk in measured.chunks]
    if not chunks and measured.seconds:
        chunks = [(measured.prompts or 0, measured.tokens or 0, measured.seconds)]
    return [(tokens if rate == "tokens_per_s" else prompts, seconds) for prompts, tokens, seconds in chunks]


def _requests(measured: Measurement) -> dict[str, list[Timed]]:
    """The timed requests by kind."""
    by_kind: dict[str, list[Timed]] = {}
    for request in measured.latency.requests if measured.latency else ():
        if arrivals := request.seconds:
            gaps = tuple(later - sooner for sooner, later in pairwise(arrivals))
            timed = Timed(request.prompt_id, arrivals[0], gaps, arrivals[-1])
            by_kind.setdefault(request.kind, []).append(timed)
    return by_kind


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


def _times(requests: Sequence[Timed], seconds_of: Callable[[Timed], float | None]) -> PriceValue | None:
    by_prompt = _by_prompt(requests, seconds_of)
    if not by_prompt:
        return None
    interval = bca_interval(list(by_prompt), list(by_prompt.values()), statistic="median")
    return PriceValue(
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
