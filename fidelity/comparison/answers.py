"""What a run answered: its outcomes, with the thinking of a reasoning model kept apart from the answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fidelity.config import Reasoning
from fidelity.records import Generation, Response
from fidelity.store.runs import Run
from fidelity.text.thinking import ReasoningFormat, detect_format, split


class Answers(NamedTuple):
    """A run's outcomes in the order of the store; each generation's `text` is the answer alone."""

    outcomes: Sequence[Response]
    reasoning_format: ReasoningFormat
    """What told thinking from answer."""


def answers_of(run: Run, reasoning: Reasoning, *, like: tuple[Run, ReasoningFormat] | None = None) -> Answers:
    """A run as it is compared: what its engine didn't keep apart is split here, as the whole run shows how.

    Args:
        run: The run.
        reasoning: What the user says of it.
        like: Another run with its habit, which is this one's too if both had the same chat template: a copy that
            never ends its thinking doesn't show by itself that it thinks.
    """
    outcomes = run.outcomes()
    generations = [outcome for outcome in outcomes if isinstance(outcome, Generation)]
    if any(generation.reasoning is not None for generation in generations):
        return Answers(outcomes, ReasoningFormat(None))
    if like and like[1].form and _template(run) and _template(run) == _template(like[0]):
        reasoning_format = like[1]
    else:
        texts = [generation.text for generation in generations]
        reasoning_format = detect_format(
            texts, parser=reasoning.parser, tags=reasoning.tags, opened=_opened(run, reasoning)
        )
    return Answers([without_thinking(outcome, reasoning_format) for outcome in outcomes], reasoning_format)


def without_thinking(outcome: Response, reasoning_format: ReasoningFormat) -> Response:
    """An outcome of a run with this habit, its thinking apart from its answer."""
    if not isinstance(outcome, Generation) or reasoning_format.form is None:
        return outcome
    thinking, answer = split(outcome.text, reasoning_format)
    return replace(outcome, text=answer, reasoning=thinking)


def _template(run: Run) -> str | None:
    return run.manifest.engine.chat_template


def _opened(run: Run, reasoning: Reasoning) -> bool | None:
    """Whether the prompts of the run ended in an opening tag, where the engine has told how they end."""
    end = run.manifest.engine.prompt_end
    return None if end is None else end.rstrip().endswith(reasoning.tags[0])
