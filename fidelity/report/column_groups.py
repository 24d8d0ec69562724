"""Groups of columns for the tables."""

from collections.abc import Iterable, Mapping

from fidelity.comparison.results import ComparisonSet
from fidelity.store.manifests import ColumnSource

GROUPS: dict[str, tuple[str, ...]] = {
    "expected answers": ("expected",),
    "meaning": ("conflicts", "sts", "bertscore", "nli", "facts"),
    "words": ("identical", "rouge", "edit", "chrf", "length", "inflation", "diversity"),
    "tokens": ("prefix_agreement", "first_divergence", "tokens", "kl"),
    "structure": ("breaks", "json", "code", "markdown", "counts", "tools", "thinking"),
}
"""The kinds of metrics in each group."""
OTHER = "other"


def by_group(result: ComparisonSet, names: Iterable[str]) -> dict[str, list[str]]:
    """Columns by group, in the order of the groups.

    Args:
        result: The comparison. A column's signature names the kind of its metric.
        names: The columns.
    """
    everybody = (*result.candidates, *result.controls)
    signatures = {name: column.signature for one in everybody for name, column in one.columns.items()}
    return _grouped(signatures, names)


def grouped(columns: Mapping[str, ColumnSource], names: Iterable[str]) -> dict[str, list[str]]:
    """The same from a comparison's manifest."""
    return _grouped({name: column.signature for name, column in columns.items()}, names)


def _grouped(signatures: Mapping[str, str], names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {group: [] for group in (*GROUPS, OTHER)}
    of_kind = {kind: group for group, members in GROUPS.items() for kind in members}
    for name in names:
        groups[of_kind.get(signatures.get(name, "").partition("|")[0], OTHER)].append(name)
    return {group: members for group, members in groups.items() if members}
