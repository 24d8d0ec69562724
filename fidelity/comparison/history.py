"""Trends: a gate's numbers over the stored comparisons of a baseline."""

from collections.abc import Iterable
from dataclasses import dataclass

from fidelity.comparison.evidence import verdicts
from fidelity.comparison.stored import load_comparison
from fidelity.errors import ConfigError, FidelityError
from fidelity.gate import Gate, Verdict
from fidelity.store.comparisons import Comparison
from fidelity.store.store import Store


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One compared candidate, judged with the current gate."""

    created: str
    """When the comparison was made, ISO 8601 in UTC."""
    baseline: str
    """The baseline run's id. A regenerated baseline has another id."""
    candidate: str
    comparison: str
    """The comparison's directory in the store."""
    prompts: int
    verdict: Verdict | None
    """None if this gate can't judge it; `why_not` has the reason."""
    why_not: str = ""


def history(
    store: Store, gate: Gate, *, baseline: str | None = None, newest: int | None = None, together: bool = False
) -> list[HistoryEntry]:
    """Judge all comparisons of a baseline with one gate, oldest first.

    Args:
        store: The store with the comparisons.
        gate: The gate.
        baseline: A run's name or id. Default: the baseline of the newest comparison.
        newest: Only this many of the newest comparisons. Default: all.
        together: Whether the verdicts hold simultaneously, because one of the candidates will be chosen.

    Raises:
        ConfigError: There is no comparison with such a baseline.
    """
    comparisons = [c for c in store.comparisons() if c.manifest.controls is not None]
    comparisons.sort(key=lambda c: (c.manifest.created, c.path.name))
    if baseline is None and comparisons:
        baseline = comparisons[-1].manifest.baseline
    chosen = [c for c in comparisons if baseline in (c.manifest.baseline, _name(c))]
    if not chosen:
        if not comparisons:
            what = "no comparison yet" if store.root.exists() else "no such store"
            raise ConfigError(f"{store.root}: {what}; run fidelity compare, or name another store with --store DIR")
        known = ", ".join(sorted({_name(c) for c in comparisons}))
        raise ConfigError(f"{store.root}: no comparison with the baseline {baseline!r}; baselines here: {known}")
    candidates = len({c.manifest.candidate.rpartition("-")[0] for c in chosen}) if together else 1
    return [_entry(comparison, gate, candidates) for comparison in chosen[-(newest or len(chosen)) :]]


def line_titles(entries: Iterable[HistoryEntry]) -> list[str]:
    """The titles of all lines of the verdicts, without preconditions, in the gate's order."""
    lines = (line for entry in entries if entry.verdict for line in entry.verdict.lines)
    return list(dict.fromkeys(line.title for line in lines if line.kind != "precondition"))


def _entry(comparison: Comparison, gate: Gate, candidates: int) -> HistoryEntry:
    manifest = comparison.manifest
    verdict, why_not, candidate = None, "", manifest.candidate
    try:
        result = load_comparison(comparison.path)
        ((candidate, verdict),) = verdicts(result, gate, candidates=candidates).items()
    except FidelityError as error:
        why_not = str(error)
    return HistoryEntry(
        created=manifest.created,
        baseline=manifest.baseline,
        candidate=candidate,
        comparison=comparison.path.name,
        prompts=len(dict.fromkeys(comparison.prompt_ids)),
        verdict=verdict,
        why_not=why_not,
    )


def _name(comparison: Comparison) -> str:
    """Whether a run's id (its name and the start of its digest) has this name."""
    return comparison.manifest.baseline.rpartition("-")[0]
