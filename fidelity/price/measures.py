"""The price of a run in bytes, memory, time and money, and its ratio to the baseline's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

import numpy as np

from fidelity.stats import Ratio, bca_interval, paired_ratio, ratio_of_rates
from fidelity.store.measurements import UNMEASURED, Measurement, MemoryUse, Turn
from fidelity.store.runs import Run

PriceUnit = Literal["bytes", "per second", "seconds", "per query", "ratio"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a run's price or speed."""

    title: str
    unit: PriceUnit
    better: Literal["higher", "lower"] = "lower"


MEASURES = {
    "bytes": Measure("bytes", "bytes"),
    "memory": Measure("memory", "bytes"),
    "tokens_per_s": Measure("tokens/s", "per second", "higher"),
    "requests_per_s": Measure("requests/s", "per second", "higher"),
    "memory_per_gpu": Measure("memory per GPU", "bytes"),
    "tokens_per_s_per_gpu": Measure("tokens/s per GPU", "per second", "higher"),
    "first_token": Measure("first token", "seconds"),
    "next_token": Measure("next token", "seconds"),
    "answer": Measure("whole answer", "seconds"),
    "cost": Measure("cost", "per query"),
    "length_inflation": Measure("tokens of an answer", "ratio"),
    "effective_speedup": Measure("effective speed-up", "ratio", "higher"),
}
"""The measures by name; the last two are those of a comparison, not of a run (`price.inflation`). Those per GPU are
only of engines with several. Timings with other prompt lengths are called `first_token[prefill 512]`, `answer[rag]`."""


@dataclass(frozen=True, slots=True)
class PriceValue:
    """A measured value, in its measure's unit."""

    value: float
    """Rates: over the whole run. Times: the median over prompts, each the median over its repeats."""
    low: float | None = None
    """95% interval over the prompts; None without repetitions."""
    high: float | None = None
    p95: float | None = None
    """99th percentile over all requests (for `next_token`, over all gaps between two tokens)."""
    n: int = 1
    """The number of prompts; for rates, of chunks or turns."""


@dataclass(frozen=True, slots=True)
class Timed:
    """The times of one request that ran alone in the engine, in seconds."""

    prompt_id: str
    first_token: float
    gaps: tuple[float, ...]
    answer: float


RATES = ("tokens_per_s", "requests_per_s")
PER_GPU = ("memory", "tokens_per_s")
"""What is also given for one of an engine's GPUs."""


def measure_of(name: str) -> Measure:
    """Return the measure of a name; the title of `answer[rag]` is `answer, rag`."""
    plain, _, kind = name.removesuffix("]").partition("[")
    measure = MEASURES[plain]
    return Measure(f"{measure.title}, {kind}", measure.unit, measure.better) if kind else measure


def values_of(run: Run) -> dict[str, PriceValue]:
    """A run's known values, by the measure's name."""
    size = run.manifest.checkpoint.bytes
    return {**({"bytes": PriceValue(float(size))} if size else {}), **values_from(run.measurement or UNMEASURED)}


def values_from(measured: Measurement) -> dict[str, PriceValue]:
    """A measurement's values, by the measure's name."""
    values: dict[str, PriceValue] = {}
    if memory := _memory(measured):
        values["memory"] = PriceValue(memory)
    for name in RATES:
        if series := _series(measured, name):
            done, seconds = (sum(column) for column in zip(*series, strict=True))
            if done and seconds:
                values[name] = PriceValue(done / seconds, n=len(series))
    if (gpus := _gpus(measured)) > 1:
        for name in PER_GPU:
            if whole := values.get(name):
                values[f"{name}_per_gpu"] = PriceValue(whole.value / gpus, n=whole.n)
    for kind, requests in _requests(measured).items():
        for name, seconds_of in _TIMES.items():
            if value := _times(requests, seconds_of):
                values[_name(name, kind)] = value
    if (rate := values.get("requests_per_s")) and (price := measured.price_per_hour):
        values["cost"] = PriceValue(price / 3600 / rate.value, n=rate.n)
    return values


def ratios_of(baseline: Run, candidate: Run) -> dict[str, Ratio]:
    """The candidate's values divided by the baseline's, where both are known: 0.5 is half as many bytes.

    If both were measured in turn, ratios are taken turn by turn. Otherwise times are paired by prompt, and rates are
    compared over the runs' chunks, which differ.
    """
    own, original = (run.measurement or UNMEASURED for run in (candidate, baseline))
    ratios = (
        _bytes_ratio(candidate, baseline)
        | _memory_ratio(own, original)
        | _rate_ratios(own, original)
        | _time_ratios(own, original)
        | _turn_ratios(own, original)
    )
    if (gpus := (_gpus(original), _gpus(own))) != (1, 1):
        for name in PER_GPU:
            if whole := ratios.get(name):
                ratios[f"{name}_per_gpu"] = _scaled(whole, gpus[0] / gpus[1])
    if own.price_per_hour and original.price_per_hour and (rate := ratios.get("requests_per_s")):
        ratios["cost"] = _inverse(rate, times=own.price_per_hour / original.price_per_hour)
    return {name: ratios[name] for name in [*MEASURES, *ratios] if name in ratios}


def _gpus(measured: Measurement) -> int:
    """The number of processes, each on a GPU of its own, over which the model was spread."""
    engine = measured.engine
    return (engine.tensor_parallel or 1) * (engine.pipeline_parallel or 1) if engine else 1


def _bytes_ratio(candidate: Run, baseline: Run) -> dict[str, Ratio]:
    own, original = (run.manifest.checkpoint.bytes for run in (candidate, baseline))
    return {"bytes": _exactly(own / original)} if own and original else {}


def _memory_ratio(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    """Memory by the first count that both have, without the KV cache's reserve if both report it.

    A GPU's memory isn't compared with a CPU's.
    """
    used, beside = own.memory, original.memory
    if not used or not beside or bool(used.gpu) != bool(beside.gpu):
        return {}
    both = next((count for count in _COUNTS if getattr(used, count) and getattr(beside, count)), None)
    if both is None:
        return {}
    for without_cache in (True, False):
        held = [_held(memory, both, without_cache=without_cache) for memory in (used, beside)]
        if held[0] and held[1]:
            return {"memory": _exactly(held[0] / held[1])}
    return {}


def _rate_ratios(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    ratios = {name: ratio_of_rates(_series(own, name), _series(original, name)) for name in RATES}
    return {name: ratio for name, ratio in ratios.items() if ratio}


def _time_ratios(own: Measurement, original: Measurement) -> dict[str, Ratio]:
    """The ratios of each kind of request, over the prompts that both were timed with."""
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
    """The number of prompts per unit of the currency, with full batches; None without a price per hour."""
    cost = values_of(run).get("cost")
    return 1 / cost.value if cost else None


def remarks(runs: Sequence[Run]) -> list[str]:
    """Caveats about the timings of these runs: other processes on the machine, and different days."""
    remarks_, dates = [], {}
    for run in runs:
        measured = run.measurement or UNMEASURED
        loads = {"generated": measured.machine, "timed": measured.latency and measured.latency.machine}
        for what, load in loads.items():
            if load and load.disturbed:
                remarks_.append(
                    f"{run.name}: other processes used {load.busy_with_others:.1f} of {load.processors} CPUs "
                    f"while it was {what}, so its times are not reliable"
                )
        if measured.chunks:
            dates[run.name] = str(measured.created)
    if len({date[:10] for date in dates.values()}) > 1:
        remarks_.append("Not measured on the same day: " + ", ".join(f"{name} {date}" for name, date in dates.items()))
    return remarks_


def turns_in_common(own: Measurement, original: Measurement) -> list[tuple[Turn, Turn]]:
    """The turns in which both runs were measured."""
    beside = {turn.turn: turn for turn in original.turns}
    return [(turn, beside[turn.turn]) for turn in own.turns if turn.turn in beside]


def _scaled(ratio: Ratio, factor: float) -> Ratio:
    low, high = (None if end is None else end * factor for end in (ratio.low, ratio.high))
    return Ratio(ratio.value * factor, low, high, ratio.n, ratio.confidence)


def _inverse(ratio: Ratio, *, times: float) -> Ratio:
    low, high = (None if end is None else times / end for end in (ratio.high, ratio.low))
    return Ratio(times / ratio.value, low, high, ratio.n, ratio.confidence)


def _exactly(value: float) -> Ratio:
    return Ratio(value, None, None, 1, 0.95)


_COUNTS = ("gpu", "own", "pss", "rss")
"""The counts of `MemoryUse`, the one to report first: the driver's, and on a CPU what is the engine's own."""


def _memory(measured: Measurement) -> float | None:
    """The memory that an engine took, without the KV cache's reserve, which is a setting, if that is known."""
    memory = measured.memory
    count = memory and next((count for count in _COUNTS if getattr(memory, count)), None)
    if not memory or not count:
        return None
    return _held(memory, count, without_cache=True) or _held(memory, count, without_cache=False)


def _held(memory: MemoryUse, count: str, *, without_cache: bool) -> float | None:
    held: int = getattr(memory, count)
    if not without_cache:
        return float(held)
    return float(held - memory.kv_cache) if memory.kv_cache and memory.kv_cache < held else None


def _series(measured: Measurement, rate: str) -> list[tuple[float, float]]:
    """The work and time of each chunk; for older measurements without chunks, of the whole run."""
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
