"""A run's answers: its outcomes, with a reasoning model's thinking separated from the answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fidelity.config import Reasoning
from fidelity.records import Generation, Response
from fidelity.store.runs import Run
from fidelity.text.thinking import ReasoningFormat, detect_format, split


class Answers(NamedTuple):
    """A run's outcomes in the order of the store. Each generation's `text` is only the answer."""

    outcomes: Sequence[Response]
    reasoning_format: ReasoningFormat
    """How thinking was separated from the answer."""


def answers_of(run: Run, reasoning: Reasoning, *, like: tuple[Run, ReasoningFormat] | None = None) -> Answers:
    """Return a run's answers. If its engine didn't separate the thinking, the format is detected from the whole run.

    Args:
        run: The run.
        reasoning: The format that the user configured.
        like: Another run whose reasoning format applies here too if both have the same chat template. A candidate
            that never ends its thinking doesn't show by itself that it thinks.
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
    """An outcome of a run with this reasoning format, with its thinking separated from its answer."""
    if not isinstance(outcome, Generation) or reasoning_format.form is None:
        return outcome
    thinking, answer = split(outcome.text, reasoning_format)
    return replace(outcome, text=answer, reasoning=thinking)


def _template(run: Run) -> str | None:
    return run.manifest.engine.chat_template


def _opened(run: Run, reasoning: Reasoning) -> bool | None:
    """Whether the run's prompts ended with an opening tag, if the engine reported how they end."""
    end = run.manifest.engine.prompt_end
    return None if end is None else end.rstrip().endswith(reasoning.tags[0])
