"""Coverage: a line passes only if enough of all prompts could be scored, and it names what could not be."""

from collections.abc import Sequence
from dataclasses import replace

from fidelity.gate.evidence import Evidence, Measured
from fidelity.gate.lines import Judged


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
    line, prompts = judged.line, _judged_on(judged, measured)
    worst = measured.n_worst(prompts)
    coverage = len(prompts) / max(total, 1)
    reason = line.reason
    if worst:
        reason += (
            f" {worst} of {len(evidence.prompt_ids) * evidence.repeats} answers could not be scored and count as worst."
        )
    obstacles = [*_unscorable(measured, total), *([_too_few(len(prompts), total, least)] if coverage < least else [])]
    if line.outcome == "pass" and obstacles:
        line = replace(line, outcome="inconclusive")
        reason = f"{reason.removesuffix('.')}; but it can't pass: {'; '.join(obstacles)}."
    return replace(judged, line=replace(line, reason=reason, coverage=coverage, n_worst=worst))


def _judged_on(judged: Judged, measured: Measured) -> Sequence[str]:
    """The prompts that count: for shares those of the candidate, otherwise those with an excess."""
    if judged.line.is_share:
        return [prompt for prompt, value in measured.candidate.items() if value is not None]
    return [prompt for prompt, excess in measured.excess().items() if excess is not None]


def _unscorable(measured: Measured, total: int) -> list[str]:
    lost = measured.unscorable()
    return (
        [f"{lost} of {total} prompts could not be scored in the candidate, and the column has no worst value"]
        if lost
        else []
    )


def _too_few(n: int, total: int, least: float) -> str:
    return f"only {n} of {total} prompts could be scored, but min_coverage is {least:g}"
