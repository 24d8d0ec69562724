"""The trade-off as every format tells it: what each run takes, and how that stands to its drift."""

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

IN_SHORT = ("bytes", "memory", "tokens_per_s", "first_token", "cost")
"""The measures of the table in the terminal; the other formats show all."""
READING = (
    "Price: what a run takes, and a candidate over the baseline (× 0.5 is half as much), with the 95 % interval where "
    "there is one."
)
DOMINATED = "Dominated: another run drifts no more and is no worse in any measure."
COST = "Cost: how many queries a unit of the currency pays for, all at once; the ratio is that of what a query costs."
MEASURED = ("created", "size", "memory", "profile", "machine", "serving")
"""What of a measurement is in the JSON report beside the values that come of it."""
SIZES = (" B", " kB", " MB", " GB", " TB")


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A run's row: its name, its drift, and a cell for each measure, perhaps of two lines."""

    name: str
    drift: str
    cells: tuple[str, ...]
    dominated_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The trade-off as text."""

    column: str | None
    """The drift's; None where there is no excess."""
    headings: tuple[str, ...]
    """Of the cells."""
    rows: tuple[PriceRow, ...]
    """The baseline's first."""
    notes: tuple[str, ...]
    """What has to be said beside it."""


def price_table(result: ComparisonSet, *, in_short: bool = False) -> PriceTable | None:
    """All measures that are known of a candidate and its baseline; None where nothing is.

    In short: the measures of IN_SHORT, with the ratio alone in a candidate's cell.
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
    "request_rate": "Rate asked",
    "requests_per_s": "Requests/s",
    "tokens_per_s": "Tokens/s",
    "first_token_ms": "First token, ms",
    "first_token_p99_ms": "(p99)",
    "next_token_ms": "Next token, ms",
    "next_token_p99_ms": "(p99)",
    "failed": "Failed",
}
"""What is shown of a sweep over rates of requests."""


def serving_rows(result: ComparisonSet) -> list[tuple[str, ...]]:
    """Every run's sweep with `vllm bench serve`, a row for each rate: its name, then a cell under each of SERVED."""
    runs = [result.baseline, *(candidate.run for candidate in result.candidates)]
    return [
        (run.name, *("" if (value := getattr(served, key)) is None else f"{value:.4g}" for key in SERVED))
        for run in runs
        for served in (run.measurement or UNMEASURED).serving or ()
    ]


def published_table(column: str | None) -> PriceTable:
    """What others have published, in the same form: prices, and 1 - score of the column, if they have it."""
    points = [point for point in published() if point.ratios or column in point.scores]
    cells: dict[str, list[str]] = {}
    if column and any(column in point.scores for point in points):
        cells[f"1 - {column}"] = [f"{1 - p.scores[column]:.2f}" if column in p.scores else "-" for p in points]
    for name in dict.fromkeys(name for point in points for name in point.ratios):
        cells[measure_of(name).title] = [f"× {p.ratios[name]:.2f}" if name in p.ratios else "-" for p in points]
    rows = [PriceRow(p.name, "", own, ()) for p, own in zip(points, zip(*cells.values(), strict=True), strict=True)]
    sources = ", ".join(dict.fromkeys(point.source for point in points))
    without_price = " Kurtic's are a drift without a price, and no floor is taken away from 1 - score."
    sentence = f"Published ({sources}): each against its own unquantized model, without intervals."
    sentence += " Meta's are a price without a drift." + (without_price if any(p.scores for p in points) else "")
    return PriceTable(None, tuple(cells), tuple(rows), (sentence,))


def _memory_note(runs: Sequence[Run]) -> Iterator[str]:
    """What memory means, where it is without the KV cache's reserve."""
    held = [(run.measurement or UNMEASURED).memory for run in runs]
    reserves = {memory.kv_cache if memory else None for memory in held}
    if reserves and all(reserves):
        sizes = ", ".join(short(size, SIZES) for size in sorted(filter(None, reserves)))
        yield f"Memory: the most that the engine held, without what it reserves for the KV cache ({sizes})."


def in_unit(value: PriceValue | None, name: str) -> str:
    """A value for reading: 269 MB, 251/s, 85.3 ms."""
    return "-" if value is None else _with_unit(value.value, name)


def in_full(value: PriceValue | None, name: str) -> str:
    """A value with its interval and its 95th percentile, as far as it has them, below it."""
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
            return f"{short(1 / value, ('', 'K', 'M', 'B'))} a unit"


def times(ratio: Ratio | None) -> str:
    """A ratio for reading, below it its interval: `x 0.51` and `0.48-0.55`."""
    if ratio is None:
        return "-"
    interval = "" if ratio.low is None or ratio.high is None else f"\n{ratio.low:.2f}–{ratio.high:.2f}"
    return f"× {ratio.value:.2f}{interval}"


def profile_lines(run: Run) -> list[str]:
    """Where a run's time went, a line for each phase; why that isn't known of a run that was resumed, or not run here.

    Loading is that of its engine, which its controls share.
    """
    measured = run.measurement or UNMEASURED
    profile = measured.profile
    if not profile:
        return ["where the time went is not known: the run was resumed, or generated elsewhere"]
    whole = sum(profile.values())
    lines = [f"{phase:>18} {seconds:8.1f} s {seconds / whole:6.1%}" for phase, seconds in profile.items()]
    return [f"where the time went, measured {measured.created}:", *lines, f"{'together':>18} {whole:8.1f} s"]


def price_json(result: ComparisonSet) -> dict[str, object] | None:
    """Every run's values and ratios, unrounded, with its drift and what dominates it; None where nothing is known."""
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
