"""The price table that all formats share: each run's price and its drift."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from fidelity.comparison.results import ComparisonSet
from fidelity.price.measures import PriceValue, measure_of, queries_per_unit, remarks, values_of
from fidelity.price.pareto import Point, drift_and_price
from fidelity.report.content import short
from fidelity.report.published import published
from fidelity.report.verdicts import number
from fidelity.stats import Ratio
from fidelity.store.measurements import UNMEASURED
from fidelity.store.runs import Run

IN_SHORT = ("bytes", "memory", "tokens_per_s", "effective_speedup", "first_token", "cost")
"""The measures of the terminal's table. Other formats show all."""
READING = (
    "Price: the baseline's values, and each candidate's ratio to them (× 0.5 is half as much), with the 95% interval "
    "if there is one."
)
DOMINATED = "Dominated: another run has no more drift and is no worse in any measure."
COST = "Cost: queries per unit of the currency, with full batches; the ratio is that of the cost per query."
EFFECTIVE = (
    "Effective speed-up: the ratio of tokens/s divided by how many more tokens the answers take; a copy that writes "
    "twice as fast and twice as much saves no time."
)
MEASURED = ("created", "size", "memory", "profile", "machine", "serving")
"""The fields of a measurement that the JSON report includes in addition to the values."""
SIZES = (" B", " kB", " MB", " GB", " TB")


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A run's row: its name, its drift, and a cell of one or two lines for each measure."""

    name: str
    drift: str
    cells: tuple[str, ...]
    dominated_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The price table as text."""

    column: str | None
    """The drift column; None if there is no excess."""
    headings: tuple[str, ...]
    """The headings of the cells."""
    rows: tuple[PriceRow, ...]
    """The rows, the baseline first."""
    notes: tuple[str, ...]
    """Notes on the table."""


def price_table(result: ComparisonSet, *, in_short: bool = False) -> PriceTable | None:
    """All measures that are known for a candidate and its baseline; None if there are none.

    The short form has only the measures of IN_SHORT, and only ratios in a candidate's cells.
    """
    analysis = drift_and_price(result)
    measures = [name for name in analysis.measures if not in_short or name in IN_SHORT]
    if not measures:
        return None
    rows = []
    for point in analysis.points:
        values = values_of(point.run)
        cells = [_cell(point, values.get(name), name, in_short=in_short) for name in measures]
        drift = "" if point.is_baseline else number(point.drift, sign=True)
        rows.append(PriceRow(point.run.name, drift, tuple(cells), point.dominated_by))
    runs = [point.run for point in analysis.points]
    sentences = [
        READING,
        *([DOMINATED] if any(row.dominated_by for row in rows) else []),
        *([COST] if "cost" in measures else []),
        *([EFFECTIVE] if "effective_speedup" in measures else []),
        *_memory_note(runs),
        *remarks(runs),
    ]
    return PriceTable(
        analysis.column, tuple(measure_of(name).title for name in measures), tuple(rows), tuple(sentences)
    )


def _cell(point: Point, value: PriceValue | None, name: str, *, in_short: bool) -> str:
    if point.is_baseline:
        return in_unit(value, name) if in_short else in_full(value, name)
    ratio = times(point.ratios.get(name))
    return ratio if in_short else "\n".join([in_unit(value, name), ratio.replace("\n", ", ")])


SERVED = {
    "request_rate": "Request rate",
    "requests_per_s": "Requests/s",
    "tokens_per_s": "Tokens/s",
    "first_token_ms": "First token, ms",
    "first_token_p99_ms": "(p99)",
    "next_token_ms": "Next token, ms",
    "next_token_p99_ms": "(p99)",
    "failed": "Failed",
}
"""The columns of the table of request rates."""


def serving_rows(result: ComparisonSet) -> list[tuple[str, ...]]:
    """Every run's results of `vllm bench serve`, one row per request rate: its name, then a cell for each of SERVED."""
    runs = [result.baseline, *(candidate.run for candidate in result.candidates)]
    return [
        (run.name, *("" if (value := getattr(served, key)) is None else f"{value:.4g}" for key in SERVED))
        for run in runs
        for served in (run.measurement or UNMEASURED).serving or ()
    ]


def published_table(column: str | None) -> PriceTable:
    """Published results in the same form: prices, and 1 - score of the column, if available."""
    points = [point for point in published() if point.ratios or column in point.scores]
    cells: dict[str, list[str]] = {}
    if column and any(column in point.scores for point in points):
        cells[f"1 - {column}"] = [f"{1 - p.scores[column]:.2f}" if column in p.scores else "-" for p in points]
    for name in dict.fromkeys(name for point in points for name in point.ratios):
        cells[measure_of(name).title] = [f"× {p.ratios[name]:.2f}" if name in p.ratios else "-" for p in points]
    rows = [PriceRow(p.name, "", own, ()) for p, own in zip(points, zip(*cells.values(), strict=True), strict=True)]
    sources = ", ".join(dict.fromkeys(point.source for point in points))
    without_price = " Kurtic et al. report drift without prices; no floor is subtracted from 1 - score."
    sentence = f"Published ({sources}): each compared with its own unquantized model, without intervals."
    sentence += " Meta reports prices without drift." + (without_price if any(p.scores for p in points) else "")
    return PriceTable(None, tuple(cells), tuple(rows), (sentence,))


def _memory_note(runs: Sequence[Run]) -> Iterator[str]:
    """The note on memory, if it excludes the memory reserved for the KV cache."""
    held = [(run.measurement or UNMEASURED).memory for run in runs]
    reserves = {memory.kv_cache if memory else None for memory in held}
    if reserves and all(reserves):
        sizes = ", ".join(short(size, SIZES) for size in sorted(filter(None, reserves)))
        yield f"Memory: the engine's peak, without the memory that it reserves for the KV cache ({sizes})."


def in_unit(value: PriceValue | None, name: str) -> str:
    """A value with its unit: 269 MB, 251/s, 85.3 ms."""
    return "-" if value is None else _with_unit(value.value, name)


def in_full(value: PriceValue | None, name: str) -> str:
    """A value, with its interval and 95th percentile below it if available."""
    if value is None or value.low is None or value.high is None or value.p95 is None:
        return in_unit(value, name)
    low, high, p95 = (_with_unit(number_, name) for number_ in (value.low, value.high, value.p95))
    return f"{in_unit(value, name)}\n{low} to {high}, p95 {p95}"


def _with_unit(value: float, name: str) -> str:
    match measure_of(name).unit:
        case "bytes":
            return short(value, SIZES)
        case "per second":
            return f"{short(value, ('', 'K', 'M'))}/s"
        case "seconds":
            return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"
        case "per query":
            return f"{short(1 / value, ('', 'K', 'M', 'B'))} per unit"
        case "ratio":
            return f"× {value:.2f}"


def times(ratio: Ratio | None) -> str:
    """A ratio with its interval below it: `× 0.51` and `0.48–0.55`."""
    if ratio is None:
        return "-"
    interval = "" if ratio.low is None or ratio.high is None else f"\n{ratio.low:.2f}–{ratio.high:.2f}"
    return f"× {ratio.value:.2f}{interval}"


def profile_lines(run: Run) -> list[str]:
    """Where a run's time was spent, one line per phase, or why that is unknown.

    Loading time is that of the engine, which the run's controls share.
    """
    measured = run.measurement or UNMEASURED
    profile = measured.profile
    if not profile:
        return ["time profile unknown: the run was resumed, or generated elsewhere"]
    whole = sum(profile.values())
    lines = [f"{phase:>18} {seconds:8.1f} s {seconds / whole:6.1%}" for phase, seconds in profile.items()]
    return [f"time profile, measured {measured.created}:", *lines, f"{'total':>18} {whole:8.1f} s"]


def price_json(result: ComparisonSet) -> dict[str, object] | None:
    """Every run's values and ratios, unrounded, with its drift and what dominates it; None if nothing is known."""
    analysis = drift_and_price(result)
    if not analysis.measures:
        return None
    return {
        "column": analysis.column,
        "measures": list(analysis.measures),
        "runs": [_point_json(p) for p in analysis.points],
    }


def _point_json(point: Point) -> dict[str, object]:
    measured = (point.run.measurement or UNMEASURED).model_dump(mode="json", include=set(MEASURED))
    return {
        "name": point.run.name,
        "drift": point.drift,
        "dominated_by": list(point.dominated_by),
        "values": {name: asdict(value) for name, value in values_of(point.run).items()},
        "ratios": {name: asdict(ratio) for name, ratio in point.ratios.items()},
        "queries_per_unit": queries_per_unit(point.run),
        "measured": {key: measured[key] for key in MEASURED},
    }
