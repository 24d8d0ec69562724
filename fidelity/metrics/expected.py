"""Expected answers: which answers are right, and which of them quantization drops or gains."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from fidelity.metrics.base import Metric
from fidelity.metrics.unit_tests import passes
from fidelity.records import Column, Generation, Judgment, Pair, Prompt, Side
from fidelity.text.expected_answers import judge


class Expected(Metric):
    """Right and wrong answers, by the prompts' `expected` or a benchmark's scores. Unlike drift, this is quality.

    - `drop`: 1 where the baseline's answer is right and the candidate's is wrong, else 0; lower is better.
    - `gain`: 1 where the baseline's answer is wrong and the candidate's is right, else 0; descriptive.
    - `right`: 1 where the candidate's answer is right; descriptive.
    - `unclear`: 1 where it depends on the extraction whether an answer of the two is right; descriptive. The other
      columns are None there.

    All are None for prompts without an expected answer. docs/expected.md has the rules of extraction.
    """

    kind: Literal["expected"] = "expected"
    unit_tests: bool = False
    """Whether Python code of the model's answers is run for prompts of the kind `unit_test`, in a subprocess with
    limits of time, memory and files. It isn't isolated from your files: do this in a container."""
    seconds: float = Field(default=10.0, gt=0, le=600)
    """The time that one unit test may take."""

    packages: ClassVar[tuple[str, ...]] = ("regex",)
    revision: ClassVar[int] = 2
    _digest: str = PrivateAttr(default="")

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        if any(self._judges(pair.prompt) or (pair.baseline.score and pair.candidate.score) for pair in pairs):
            return None
        if any(pair.prompt.expected for pair in pairs):
            return (
                "all expected answers are unit tests, which run only with metrics: [{kind: expected, unit_tests: true}]"
            )
        return "no prompt has an expected answer (see docs/expected.md)"

    def fit(self, pairs: Iterable[Pair]) -> Self:
        """This metric with the expected answers in its signature, so others are scored again."""
        known = {pair.prompt.id: pair.prompt.expected.model_dump() for pair in pairs if pair.prompt.expected}
        copy = self.model_copy()
        copy._digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]
        return copy

    def signature(self) -> str:
        return super().signature() + (f"|answers:{self._digest}" if self._digest else "")

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        run_test = cache(partial(passes, seconds=self.seconds)) if self.unit_tests else None
        judged = [(self.judge(p, p.baseline, run_test), self.judge(p, p.candidate, run_test)) for p in pairs]
        return [
            Column.of("drop", [_both(a, b, a == "right" and b == "wrong") for a, b in judged], better="lower"),
            Column.of("gain", [_both(a, b, a == "wrong" and b == "right") for a, b in judged], better="neither"),
            Column.of("right", [_both(a, b, b == "right") for a, b in judged], better="neither"),
            Column.of("unclear", [_unclear(a, b) for a, b in judged], better="neither"),
        ]

    def judge(
        self, pair: Pair, answer: Generation, run_test: Callable[[str, str], bool] | None = None
    ) -> Judgment | None:
        """Judge one side of a pair; None if it can't be judged."""
        if self._judges(pair.prompt) and pair.prompt.expected is not None:
            return judge(pair.prompt.expected, answer.text, run_test=run_test)
        return answer.score

    def _judges(self, prompt: Prompt) -> bool:
        return prompt.expected is not None and (self.unit_tests or prompt.expected.kind != "unit_test")


def _both(baseline: Judgment | None, candidate: Judgment | None, value: bool) -> float | Side:
    """An unclear answer is unscored for everybody: extraction failed, not the candidate."""
    if "unclear" in (baseline, candidate):
        return "pair"
    return _unjudged(baseline, candidate) or float(value)


def _unclear(baseline: Judgment | None, candidate: Judgment | None) -> float | Side:
    return _unjudged(baseline, candidate) or float("unclear" in (baseline, candidate))


def _unjudged(baseline: Judgment | None, candidate: Judgment | None) -> Side | None:
    """The side without a judgment: a benchmark can have judged only one of two answers."""
    if baseline is None:
        return "pair" if candidate is None else "baseline"
    return "candidate" if candidate is None else None
