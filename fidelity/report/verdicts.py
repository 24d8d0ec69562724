"""Verdicts in words and numbers, for Markdown, HTML and GitHub."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.floor import Summary
from fidelity.gate import Line, Outcome, Verdict

NO_GATE: Mapping[str, Verdict] = MappingProxyType({})
"""The outcome without a gate."""
NOT_JUDGED = "No gate was given, so nothing was judged."
URGENCY: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
"""The overall verdict, which reports show first."""
HEADINGS = ("Line", "Value", "Floor", "Excess", "Bound", "Limit", "n")


@dataclass(frozen=True, slots=True)
class OverallVerdict:
    """The outcome of all candidates together."""

    outcome: Outcome | None
    """None without a gate."""
    sentence: str


def whole(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> OverallVerdict:
    """Combine the verdicts: fail if any fails, else inconclusive if any is inconclusive or was not compared.

    A candidate without a verdict also makes the whole inconclusive, unless there are no verdicts at all.
    """
    named: dict[Outcome, list[str]] = {outcome: [] for outcome in URGENCY}
    for verdict in verdicts.values():
        named[verdict.outcome].append(verdict.candidate)
    others = [candidate.run.name for candidate in result.candidates if verdicts]
    named["inconclusive"] += [name for name in (*others, *result.not_compared) if name not in verdicts]
    outcome = next((outcome for outcome, names in named.items() if names), None)
    if outcome is None:
        return OverallVerdict(None, NOT_JUDGED)
    if len(verdicts) == 1 and sum(map(len, named.values())) == 1:
        return OverallVerdict(outcome, next(iter(verdicts.values())).reason)
    return OverallVerdict(outcome, "; ".join(f"{word}: {_some(names)}" for word, names in named.items() if names) + ".")


def line_cells(line: Line, summary: Summary | None, floor: Summary | None) -> tuple[str, ...]:
    """A gate line under HEADINGS. Its bound is the decisive side, or both if it is undecided."""
    share = line.is_share
    own, beside = (summary, floor) if line.kind == "margin" else (None, None)
    return (
        line.title,
        number(line.value, share=True) if share else number(own.value if own else None),
        number(beside.value if beside else None),
        "" if share else number(line.value, sign=True),
        "" if line.kind == "failed" else _bound(line),  # failed prompts are counted, not estimated
        number(line.limit, share=share),
        str(line.n) if line.n else "",
    )


def failed_cells(result: ComparisonSet, candidate: Scores) -> tuple[str, ...]:
    """Prompts without an answer, under the headings of `column_cells`, with the controls' as the floor."""
    floor = str(sum(len(control.failed_prompts) for control in result.controls)) if result.controls else ""
    prompts = len({*candidate.prompt_ids, *candidate.failures})
    return ("failed prompts", str(len(candidate.failed_prompts)), floor, "", str(prompts))


def column_cells(summary: Summary, floor: Summary | None) -> tuple[str, ...]:
    """A column that the gate doesn't judge: its name, value, floor, excess and number of prompts."""
    value = number(summary.value, digits=0 if summary.kind == "median" else 3)
    beside = number(floor.value if floor else None, digits=0 if summary.kind == "median" else 3)
    return (summary.name, value, beside, number(summary.excess, sign=True), str(summary.n))


def number(value: float | None, *, sign: bool = False, share: bool = False, digits: int = 3) -> str:
    """A formatted number; empty for None."""
    if value is None:
        return ""
    if share:
        return f"{100 * value:.1f}%"
    rounded = f"{value:{'+' if sign else ''}.{digits}f}"
    return rounded.replace("-", "+" if sign else "") if float(rounded) == 0 else rounded


def most_urgent_first(lines: Iterable[Line]) -> list[Line]:
    """Sort deciding lines before warning ones, and failed ones first."""
    return sorted(lines, key=lambda line: (not line.decides, URGENCY.index(line.outcome)))


def _bound(line: Line) -> str:
    share = line.is_share
    lower, upper = (_apart(bound, line.limit, share=share) for bound in (line.lower, line.upper))
    match line.outcome:
        case "pass":
            return f"≤ {upper}" if upper else ""
        case "fail":
            return f"≥ {lower}" if lower else ""
        case "inconclusive":
            return f"{lower} to {upper}" if lower and upper else ""


def _apart(bound: float | None, limit: float | None, *, share: bool) -> str:
    """Format a bound with enough digits to see on which side of the limit it is."""
    if bound is None:
        return ""
    scale, form = (100, "{:.{}f}%") if share else (1, "{:+.{}f}")
    digits = range(1 if share else 3, 10)
    beside = None if limit is None else scale * limit
    written = [(form.format(scale * bound, d), beside is not None and form.format(beside, d)) for d in digits]
    return next((text for text, other in written if text != other), written[0][0])


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:10])} and {len(names) - 10} more"
