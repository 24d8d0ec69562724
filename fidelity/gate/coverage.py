"""Coverage: a line passes only if enough of all prompts could be scored, and it names what could not be."""

from dataclasses import replace

from fidelity.gate.evidence import Evidence, Measured
from fidelity.gate.lines import Judged
from fidelity.records import PromptValues


def with_coverage(judged: Judged, measured: Measured, evidence: Evidence, *, least: float, total: int) -> Judged:
    """Return the line with its coverage. A line that would pass on too few prompts becomes inconclusive.

    A line that exceeds its limit on the scored prompts still fails, however few they are.

    Args:
        judged: The line.
        measured: Its column.
        evidence: The evidence of the verdict; its prompts include failed ones.
        least: The share of prompts that the line must cover to pass.
        total: The number of prompts that it applies to: all of them, or those with an expected answer.
    """
    line, counted = judged.line, _judged_on(judged, measured)
    n, worst = len(counted), int(counted.n_worst.sum())
    coverage = n / max(total, 1)
    reason = line.reason
    if worst:
        reason += (
            f" {worst} of {len(evidence.prompt_ids) * evidence.repeats} answers could not be scored and count as worst."
        )
    obstacles = [*_unscorable(measured, total), *([_too_few(n, total, least)] if coverage < least else [])]
    if line.outcome == "pass" and obstacles:
        line = replace(line, outcome="inconclusive")
        reason = f"{reason.removesuffix('.')}; but it can't pass: {'; '.join(obstacles)}."
    return replace(judged, line=replace(line, reason=reason, coverage=coverage, n_worst=worst))


def _judged_on(judged: Judged, measured: Measured) -> PromptValues:
    """The candidate on the prompts that count: for shares those that are scored, otherwise those with an excess."""
    candidate = PromptValues.of(measured.candidate)
    if judged.line.is_share:
        return candidate.at(candidate.prompts.take(candidate.scored))
    return candidate.at(measured.excess().known.prompts)


def _unscorable(measured: Measured, total: int) -> list[str]:
    lost = measured.unscorable()
    return (
        [f"{lost} of {total} prompts could not be scored in the candidate, and the column has no worst value"]
        if lost
        else []
    )


def _too_few(n: int, total: int, least: float) -> str:
    return f"only {n} of {total} prompts could be scored, but min_coverage is {least:g}"
