"""Right and wrong answers: each run's drops and gains, and the prompts on which they differ from the baseline."""

from collections.abc import Iterator, Sequence

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import navigation
from fidelity.dashboard.cache import path_of
from fidelity.dashboard.catalog import CatalogEntry, Shelf, attempt
from fidelity.dashboard.widgets import html, markup_table, note, quiet, subheader, text
from fidelity.report.expected import JUDGED_COLUMNS, RightAnswers, against_control, expected_headlines, right_answers
from fidelity.report.verdicts import number

MOST_PROMPTS = 50
"""The prompts in the table; the page Pairs and the JSON report have all."""


def draw(shelf: Shelf, entry: CatalogEntry) -> None:
    """Draw it; nothing if no prompt has an expected answer."""
    if not set(JUDGED_COLUMNS) <= set(entry.columns):
        return
    subheader("Expected answers", "drops", "gains")
    result, why = attempt(lambda: load_comparison(path_of(shelf, entry.id), only=JUDGED_COLUMNS, lows=False))
    if result is None:
        note(f"The expected answers can't be shown. {why}")
        return
    judged = right_answers(result.candidates[0])
    if judged is None:
        note("No answer could be judged.")
        return
    controls = [own for control in result.controls if (own := right_answers(control))]
    for line in expected_headlines(result):
        html(f"<p>{text(line)}</p>")
    markup_table(
        ("Run", "Right", "Of prompts", "Drops", "Gains", "Unclear", "McNemar p"),
        [
            ("baseline", sum(judged.baseline.values()), len(judged.baseline), "", "", "", ""),
            *((*_counts(own), number(against_control(judged, own).p_value)) for own in controls),
            (*_counts(judged), ""),
        ],
    )
    _changes(judged, controls)
    navigation.link("pairs", "See the drops", comparison=entry.id, metric="drop")


def _counts(judged: RightAnswers) -> tuple[str | int, ...]:
    right = sum(judged.other.values())
    return judged.name, right, len(judged.other), len(judged.drops), len(judged.gains), len(judged.unclear)


def _changes(judged: RightAnswers, controls: Sequence[RightAnswers]) -> None:
    """The prompts with a drop or a gain, drops first."""
    rows = [*_rows("drop", judged.drops, judged, controls), *_rows("gain", judged.gains, judged, controls)]
    if not rows:
        quiet("The candidate has the same prompts right as the baseline.")
        return
    markup_table(("Prompt", "Change", "Baseline", *(own.name for own in controls), judged.name), rows[:MOST_PROMPTS])
    if len(rows) > MOST_PROMPTS:
        quiet(f"And {len(rows) - MOST_PROMPTS:,} more.")


def _rows(
    what: str, prompts: Sequence[str], judged: RightAnswers, controls: Sequence[RightAnswers]
) -> Iterator[tuple[str, ...]]:
    for prompt in prompts:
        of_controls = (_word(own.other.get(prompt)) for own in controls)
        yield prompt, what, _word(judged.baseline[prompt]), *of_controls, _word(judged.other[prompt])


def _word(right: bool | None) -> str:
    return "unclear" if right is None else "right" if right else "wrong"
