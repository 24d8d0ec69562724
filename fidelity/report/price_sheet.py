"""A price sheet in the terminal."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from fidelity.checkpoints import RANDOM_WEIGHTS_NOTE
from fidelity.price.served import PriceUnderLoad, concurrent_requests, limit_of, results
from fidelity.stats import Ratio
from fidelity.store.price_sheets import Mode, PriceSheet

RANDOM_WEIGHTS = f"{RANDOM_WEIGHTS_NOTE.capitalize()}."
HEADINGS: dict[Mode, tuple[str, str]] = {"sync": ("one request at a time", "s"), "async": ("at a limit", "/s")}


def tables(
    sheet: PriceSheet, *, price_per_hour: float | None = None, latency_limit: float | None = None
) -> Iterator[Table]:
    """Yield a table for each mode, then the memory; a row per use case, a column per run."""
    rows = results(sheet, price_per_hour=price_per_hour, latency_limit=latency_limit)
    for mode in HEADINGS:
        if of_mode := [row for row in rows if row.mode == mode]:
            yield _table(sheet, of_mode, mode, latency_limit)
    if fitting := concurrent_requests(sheet):
        yield _memory(sheet, fitting)


def _table(sheet: PriceSheet, rows: list[PriceUnderLoad], mode: Mode, latency_limit: float | None) -> Table:
    title = (
        "One request at a time: seconds of an answer"
        if mode == "sync"
        else "Throughput: requests per second with 95% of the answers within the limit"
    )
    table = Table("tokens of prompt / answer", title=title, title_justify="left")
    for run in sheet.servers:
        table.add_column(run, justify="right")
    for name, (prompt, answer) in sheet.use_cases.items():
        cells = {row.run: _cell(row) for row in rows if row.use_case == name}
        if cells:
            limit = limit_of(sheet, name, latency_limit)
            label = f"{name}\n{prompt}/{answer}" + (f", within {limit:.3g} s" if mode == "async" else "")
            table.add_row(Text(label), *(Text(cells.get(run, "-")) for run in sheet.servers))
    return table


def _cell(row: PriceUnderLoad) -> str:
    lines = [f"{row.value:.3g} {HEADINGS[row.mode][1]}"]
    if row.ratio:
        lines.append(interval(row.ratio))
    if row.cost:
        lines.append(f"{1 / row.cost:,.0f} queries for 1")
    return "\n".join(lines)


def interval(ratio: Ratio) -> str:
    """A ratio with its interval: `× 0.61 (0.59 to 0.63)`."""
    ends = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low is not None and ratio.high is not None else ""
    return f"× {ratio.value:.2f}{ends}"


def _memory(sheet: PriceSheet, fitting: dict[str, dict[str, int]]) -> Table:
    """By vLLM's own log, of each GPU: weights, KV cache, CUDA graphs; and the requests that fit at full length."""
    of_what = "each GPU" if any(server.gpus > 1 for server in sheet.servers.values()) else "the device"
    table = Table(f"memory of {of_what}", title="Memory, by vLLM's log", title_justify="left")
    for run in sheet.servers:
        table.add_column(run, justify="right")
    servers = sheet.servers.values()
    fields = {"weights": "weights_gib", "KV cache": "kv_cache_gib", "activations": "activations_gib"}
    for label, field in {**fields, "CUDA graphs": "graphs_gib"}.items():
        values = [getattr(server, field) for server in servers]
        if any(value is not None for value in values):
            table.add_row(label, *("-" if value is None else f"{value:.2f} GiB" for value in values))
    tokens = [server.kv_tokens for server in servers]
    table.add_row("tokens in the KV cache", *("-" if value is None else f"{value:,}" for value in tokens))
    for name in sheet.use_cases:
        cells = [f"{fitting[run][name]:,}" if run in fitting else "-" for run in sheet.servers]
        table.add_row(Text(f"requests of {name} at once"), *cells)
    return table
