"""The summary before all tables: a row for each run, and a sentence for each candidate."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.floor import Summary
from fidelity.gate import Verdict
from fidelity.price.measures import ratios_of
from fidelity.report.conflicts import conflict_counts, counted_conflicts
from fidelity.report.content import UNKNOWN_FORMAT, asked, describe_run, floor_of, format_of, summaries_of
from fidelity.report.verdicts import NO_GATE, URGENCY
from fidelity.stats import Ratio

MEANING = ("sts", "bertscore", "nli")
"""Semantic columns, of which the first scored one is shown."""
NO_VERDICT = "no gate"
RAN_OTHERWISE = "*"
"""Marks a run that ran in another format than its checkpoint's."""
OTHER_FORMAT = f"{RAN_OTHERWISE} ran in another format than its checkpoint's (see below)"
HEADINGS = ("meaning", "same answers", "other tokens", "conflicts", "failed", "bytes", "speed")


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A control or a candidate in one line."""

    name: str
    cells: tuple[str, ...]
    """The cells under HEADINGS; "" if unknown."""
    verdict: str
    """PASS, FAIL or INCONCLUSIVE, "not compared", or "no gate"; "" for a control."""
    is_control: bool


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """The summary of a comparison."""

    baseline: str
    """The baseline in one line: name, format, size and number of prompts."""
    rows: tuple[AnswerRow, ...]
    """The controls first."""
    sentences: tuple[tuple[str, str], ...]
    """For each candidate, the most urgent first, a sentence in a long and a short form."""
    notes: tuple[str, ...]
    """The legend of the marks."""


def answer(result: ComparisonSet, verdicts: Mapping[str, Verdict] = NO_GATE) -> AnswerTable:
    """Summarize what was scored."""
    count = result.baseline.manifest.counts
    failed = f", {count.failures} failed" if count.failures else ""
    floor = floor_of(result)
    rows = [_row(result, control, floor, "", is_control=True) for control in result.controls]
    for candidate in result.candidates:
        verdict = verdicts.get(candidate.run.name)
        word = verdict.outcome.upper() if verdict else NO_VERDICT
        rows.append(_row(result, candidate, summaries_of(result, candidate), word, is_control=False))
    rows += [AnswerRow(name, ("",) * len(HEADINGS), "not compared", is_control=False) for name in result.not_compared]
    marked = any(row.name.endswith(RAN_OTHERWISE) for row in rows)
    return AnswerTable(
        baseline=f"Baseline {result.baseline.name}: {describe_run(result.baseline)}, {asked(result.baseline)}{failed}",
        rows=tuple(rows),
        sentences=tuple(_sentence(result, candidate) for candidate in _most_urgent_first(result, verdicts)),
        notes=(*_extra_prompts(result), *((OTHER_FORMAT,) if marked else ())),
    )


def _extra_prompts(result: ComparisonSet) -> Iterator[str]:
    for scores in (*result.controls, *result.candidates):
        if scores.extra_prompts:
            yield f"{scores.run.name}: +{len(scores.extra_prompts)} other prompts, which are not compared"


def _row(
    result: ComparisonSet, scores: Scores, summaries: Mapping[str, Summary], verdict: str, *, is_control: bool
) -> AnswerRow:
    conflicting, compared = conflict_counts(scores)
    price = {} if is_control else ratios_of(result.baseline, scores.run)
    engine = scores.run.manifest.engine
    otherwise = not is_control and engine.ran_as and engine.ran_as != scores.run.manifest.checkpoint.format
    name = f"{scores.run.name}{RAN_OTHERWISE if otherwise and scores.run.manifest.checkpoint.format else ''}"
    meaning = next((summaries[name] for name in MEANING if name in summaries), None)
    same = _same(scores)
    cells = (
        f"{meaning.value:.3f}" if meaning and meaning.value is not None else "",
        f"{same[0]}/{same[1]}" if same else "",
        _other_tokens(summaries),
        f"{conflicting}/{compared}" if compared else "",
        str(len(scores.failed_prompts)),
        _ratio(price.get("bytes")),
        _ratio(price.get("tokens_per_s")),
    )
    if is_control:
        name += " (floor by proof)" if scores.run.id == result.baseline.id else " (control)"
    return AnswerRow(name, cells, verdict, is_control)


def _same(scores: Scores) -> tuple[int, int] | None:
    """The number of answers that equal the baseline's exactly, and the total."""
    scored = scores.columns.get("identical")
    values = [value for value in scored.column.values if value is not None] if scored else []
    return (sum(value == 1 for value in values), len(values)) if values else None


def _other_tokens(summaries: Mapping[str, Summary]) -> str:
    """The share of the baseline's tokens where another token is most likely in the run."""
    agreement = summaries.get("top1_agreement")
    return f"{1 - agreement.value:.1%}" if agreement and agreement.value is not None else ""


def _ratio(ratio: Ratio | None) -> str:
    return f"×{ratio.value:.2f}" if ratio else ""


def _most_urgent_first(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> list[Scores]:
    def urgency(candidate: Scores) -> int:
        verdict = verdicts.get(candidate.run.name)
        return URGENCY.index(verdict.outcome) if verdict else 0

    return sorted(result.candidates, key=urgency)


def _sentence(result: ComparisonSet, candidate: Scores) -> tuple[str, str]:
    """`w8a8: 2 of 72 answers conflict: 2 numbers; 67 of 72 are worded differently (control: 20), 33 from near ties`."""
    name, form = candidate.run.name, format_of(candidate.run)
    title = name if form in (name, UNKNOWN_FORMAT) else f"{name} ({form})"
    conflicting, compared = conflict_counts(candidate)
    clauses = [f"{counted_conflicts(candidate)}{_beside_control(result, conflict_counts)}"] if compared else []
    briefly = [f"{conflicting} of {compared} answers conflict"] if compared else []
    if changed := _changed(candidate):
        wording = f"{changed[0]} of {changed[1]} are worded differently" if changed[0] else "all have the same words"
        clauses.append(f"{wording}{_beside_control(result, _changed)}{_near_ties(candidate)}")
        briefly.append(wording)
    if not clauses:
        lacking = "neither 'identical' nor 'conflicts' was scored" if candidate.prompt_ids else "no texts were compared"
        return f"{title}: {lacking}.", ""
    return f"{title}: {'; '.join(clauses)}.", f"{title}: {'; '.join(briefly)}."


def _beside_control(result: ComparisonSet, count: Callable[[Scores], tuple[int, int] | None]) -> str:
    """The same count in each control, for comparison."""
    counts = [str(counted[0]) for control in result.controls if (counted := count(control)) and counted[1]]
    return f" (control: {', '.join(counts)})" if counts else ""


def _changed(scores: Scores) -> tuple[int, int] | None:
    same = _same(scores)
    return (same[1] - same[0], same[1]) if same else None


def _near_ties(scores: Scores) -> str:
    counts = scores.comparison.manifest.divergence
    if not counts or not counts.near_ties + counts.minds_changed:
        return ""
    return f", {counts.near_ties} from near ties"
