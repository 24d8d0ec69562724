"""A run's answers: its outcomes, with a reasoning model's thinking separated from the answer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fidelity.config import Reasoning
from fidelity.records import Generation, Response
from fidelity.store.runs import Run
from fidelity.text.thinking import ReasoningFormat, detect_format, split


@dataclass(frozen=True, slots=True)
class Answers:
    """A run's outcomes in the order of the store. Each generation's `text` is only the answer."""

    run: Run
    reasoning_format: ReasoningFormat
    """How thinking is separated from the answer."""

    def __getitem__(self, row: int) -> Response:
        return without_thinking(self.run.stored_outcomes[row], self.reasoning_format)

    def __iter__(self) -> Iterator[Response]:
        return (without_thinking(outcome, self.reasoning_format) for outcome in self.run.stored_outcomes)


def answers_of(run: Run, reasoning: Reasoning, *, like: Answers | None = None) -> Answers:
    """Return a run's answers. If its engine didn't separate the thinking, the format is detected from the whole run.

    Args:
        run: The run.
        reasoning: The format that the user configured.
        like: The answers of another run, whose reasoning format applies here too if both have the same chat template.
            A candidate that never ends its thinking doesn't show by itself that it thinks.
    """
    outcomes = run.stored_outcomes
    if any(isinstance(one, Generation) and one.reasoning is not None for one in outcomes):
        return Answers(run, ReasoningFormat(None))
    if like and like.reasoning_format.form and _template(run) and _template(run) == _template(like.run):
        return Answers(run, like.reasoning_format)
    texts = (outcome.text for outcome in outcomes if isinstance(outcome, Generation))
    detected = detect_format(texts, parser=reasoning.parser, tags=reasoning.tags, opened=_opened(run, reasoning))
    return Answers(run, detected)


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
