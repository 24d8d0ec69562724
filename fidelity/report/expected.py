"""Right and wrong answers in words: drops and gains of each candidate, with the control's, and McNemar's test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.outside.strings import one_line
from fidelity.stats import sign_test

JUDGED_COLUMNS = ("right", "drop", "gain", "unclear")
"""The columns of the metric `expected` that the judgments are read from."""
MOST_LISTED = 10
"""Prompts that a sentence lists."""


@dataclass(frozen=True, slots=True)
class RightAnswers:
    """Which answers of the baseline and of another run are right, on the prompts where both are clear.

    A prompt with several repeats counts by more than half of them.
    """

    name: str
    """The other run."""
    baseline: Mapping[str, bool]
    other: Mapping[str, bool]
    unclear: tuple[str, ...]
    """Prompts where it depends on the extraction whether an answer is right. They aren't in the mappings."""

    @property
    def drops(self) -> tuple[str, ...]:
        """The prompts that only the baseline has right."""
        return tuple(prompt for prompt, right in self.baseline.items() if right and not self.other[prompt])

    @property
    def gains(self) -> tuple[str, ...]:
        """The prompts that only the other run has right."""
        return tuple(prompt for prompt, right in self.other.items() if right and not self.baseline[prompt])


@dataclass(frozen=True, slots=True)
class AgainstControl:
    """A candidate and a control on the prompts where both are clear: exact two-sided McNemar test."""

    control_only: int
    """The prompts that only the control has right."""
    candidate_only: int

    @property
    def p_value(self) -> float:
        """The probability of a split of the discordant prompts at least this uneven if either side were as likely."""
        return sign_test(self.control_only, self.control_only + self.candidate_only)


def right_answers(scores: Scores) -> RightAnswers | None:
    """What the metric `expected` has judged between two runs; None if it wasn't scored."""
    if any(name not in scores.columns for name in JUDGED_COLUMNS):
        return None
    columns = [scores.columns[name].column.values for name in JUDGED_COLUMNS]
    sides: dict[str, tuple[list[float], list[float]]] = {}
    unclear = dict[str, None]()
    for prompt, right, drop, gain, not_clear in zip(scores.prompt_ids, *columns, strict=True):
        if not_clear:
            unclear[prompt] = None
        if right is not None and drop is not None and gain is not None:
            baseline, other = sides.setdefault(prompt, ([], []))
            baseline.append(right + drop - gain)
            other.append(right)
    return RightAnswers(
        scores.run.name,
        {prompt: fmean(baseline) > 0.5 for prompt, (baseline, _) in sides.items()},
        {prompt: fmean(other) > 0.5 for prompt, (_, other) in sides.items()},
        tuple(unclear),
    )


def against_control(candidate: RightAnswers, control: RightAnswers) -> AgainstControl:
    """McNemar's table of a candidate and a control."""
    both = [prompt for prompt in candidate.other if prompt in control.other]
    return AgainstControl(
        sum(control.other[prompt] and not candidate.other[prompt] for prompt in both),
        sum(candidate.other[prompt] and not control.other[prompt] for prompt in both),
    )


def expected_headlines(result: ComparisonSet) -> list[str]:
    """A sentence for each candidate; none if no prompt has an expected answer."""
    controls = [judged for control in result.controls if (judged := right_answers(control))]
    return [_headline(judged, controls) for one in result.candidates if (judged := right_answers(one))]


def expected_details(result: ComparisonSet) -> Iterator[str]:
    """The dropped, gained and unclear prompts of each candidate."""
    for one in result.candidates:
        if judged := right_answers(one):
            for what, prompts in (("drops", judged.drops), ("gains", judged.gains), ("unclear", judged.unclear)):
                if prompts:
                    yield f"{judged.name}: {what}: {_listed(prompts)}"


def expected_json(result: ComparisonSet, candidate: Scores) -> dict[str, object] | None:
    """The same as plain data, with the judgment of each prompt."""
    judged = right_answers(candidate)
    if judged is None:
        return None
    controls = [own for control in result.controls if (own := right_answers(control))]
    return {
        **_counts(judged),
        "controls": [{**_counts(own), "mcnemar": _mcnemar(against_control(judged, own))} for own in controls],
        "by_prompt": {
            prompt: {
                "baseline": right,
                "candidate": judged.other[prompt],
                "controls": [own.other.get(prompt) for own in controls],
            }
            for prompt, right in judged.baseline.items()
        },
        "unclear": list(judged.unclear),
    }


def _counts(judged: RightAnswers) -> dict[str, object]:
    return {
        "name": judged.name,
        "prompts": len(judged.baseline),
        "baseline_right": sum(judged.baseline.values()),
        "right": sum(judged.other.values()),
        "drops": len(judged.drops),
        "gains": len(judged.gains),
    }


def _mcnemar(table: AgainstControl) -> dict[str, object]:
    return {
        "control_only": table.control_only,
        "candidate_only": table.candidate_only,
        "p_value": table.p_value,
    }


def _headline(judged: RightAnswers, controls: list[RightAnswers]) -> str:
    """`w4a16: 40 of 196 expected answers are right (baseline: 52, control: 51): 20 drops, 8 gains (...)`, and tests."""
    right, total = sum(judged.other.values()), len(judged.other)
    beside = "".join(f", {control.name}: {sum(control.other.values())}" for control in controls)
    changes = "; ".join(f"{control.name}: {len(control.drops)} and {len(control.gains)}" for control in controls)
    sentence = (
        f"{judged.name}: {right} of {total} expected answers are right (baseline: {sum(judged.baseline.values())}"
        f"{beside}): {len(judged.drops)} drops, {len(judged.gains)} gains"
    )
    sentence += f" ({changes})" if changes else ""
    tests = [(control.name, against_control(judged, control)) for control in controls]
    for name, table in tests:
        sentence += (
            f"; against {name} {table.control_only} lost, {table.candidate_only} won, exact McNemar p = "
            f"{_p(table.p_value)}"
        )
    return sentence + (f"; {len(judged.unclear)} unclear, not counted" if judged.unclear else "")


def _listed(prompts: tuple[str, ...]) -> str:
    shown = ", ".join(one_line(prompt) for prompt in prompts[:MOST_LISTED])
    return shown if len(prompts) <= MOST_LISTED else f"{shown} and {len(prompts) - MOST_LISTED} more"


def _p(value: float) -> str:
    return f"{value:.2g}"
