"""One comparison with two ways of batching, side by side."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fidelity.comparison.results import ComparisonSet
from fidelity.report.content import shown_in_table, summaries_of

TITLE = "Mean excess over the floor by batching: what users see, what the format changes, and their difference"


def print_modes(results: Mapping[str, ComparisonSet], console: Console) -> None:
    """The excess of every candidate's columns in each mode, and their difference: kernels and batch noise.

    Args:
        results: The comparison by its way of batching, two of them.
        console: Where to print.
    """
    excess = {batching: _excess_of(result) for batching, result in results.items()}
    one, other = excess.values()
    table = Table(box=None, show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("column")
    for heading in (*results, "kernels and batch"):
        table.add_column(heading, justify="right")
    for candidate, column in sorted(one.keys() & other.keys()):
        values = one[candidate, column], other[candidate, column]
        cells = (f"{value:+.3f}" for value in (*values, values[0] - values[1]))
        table.add_row(Text(candidate), Text(column), *cells)
    console.print()
    console.print(Text(TITLE))
    console.print(table)


def _excess_of(result: ComparisonSet) -> dict[tuple[str, str], float]:
    return {
        (candidate.run.name, name): summary.excess
        for candidate in result.candidates
        for name, summary in summaries_of(result, candidate).items()
        if summary.excess is not None and shown_in_table(name)
    }
