"""Expected answers of prompts: what makes an answer right."""

import json
from typing import Annotated, Literal, TypeAlias

import regex
from pydantic import Field, JsonValue, TypeAdapter, field_validator, model_validator

from fidelity.schema import Settings

LETTERS = "ABCDEFGHIJ"
"""The letters of choices."""
LONGEST = 10_000
"""Characters of an expected text, a pattern or a choice."""
LARGEST = 10**300
"""The largest expected number."""
Short = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Judgment = Literal["right", "wrong", "unclear"]
"""Of an answer; "unclear" if two ways to extract it from the output, or two filters of a benchmark, disagree."""


class ExpectedText(Settings):
    """A text, compared without case, punctuation and repeated spaces."""

    kind: Literal["text"] = "text"
    answer: Short | Annotated[tuple[Short, ...], Field(min_length=1, max_length=100)]
    """The right text, or several right texts."""


class ExpectedNumber(Settings):
    """A number, compared by value."""

    kind: Literal["number"] = "number"
    answer: Annotated[float | int, Field(allow_inf_nan=False)]
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """The largest distance from the right number."""

    @field_validator("answer", mode="before")
    @classmethod
    def _must_be_a_number(cls, answer: object) -> object:
        if isinstance(answer, bool):
            raise ValueError("true and false are not numbers")
        if isinstance(answer, int) and abs(answer) > LARGEST:
            raise ValueError("a number must be between -1e300 and 1e300")
        return answer


class ExpectedRegex(Settings):
    """A pattern, in the syntax of Python's `regex`."""

    kind: Literal["regex"] = "regex"
    pattern: Short
    answer: Short | None = None
    """The text that the pattern's first group, or its whole match, must have. Without it, any match is right."""

    @field_validator("pattern")
    @classmethod
    def _must_compile(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern


class ExpectedChoices(Settings):
    """A choice by its letter."""

    kind: Literal["choices"] = "choices"
    answer: Annotated[str, Field(pattern=f"^[{LETTERS}]$")]
    choices: tuple[Short, ...] = Field(default=(), max_length=len(LETTERS))
    """The texts of the choices A, B, ... An answer without a letter can name the choice by its text."""

    @model_validator(mode="after")
    def _must_have_answer(self) -> "ExpectedChoices":
        if self.choices and LETTERS.index(self.answer) >= len(self.choices):
            raise ValueError(f"the answer {self.answer} is not among the {len(self.choices)} choices")
        return self


class ExpectedJson(Settings):
    """A JSON value. The order of keys doesn't count, numbers are compared by value."""

    kind: Literal["json"] = "json"
    answer: JsonValue

    @field_validator("answer")
    @classmethod
    def _must_be_json(cls, answer: JsonValue) -> JsonValue:
        try:
            json.dumps(answer, allow_nan=False)
        except ValueError as error:
            raise ValueError(f"not a JSON value ({error})") from None
        return answer


class ExpectedUnitTest(Settings):
    """Python code that runs after the answer's code and raises an exception if that is wrong.

    It only runs with `metrics: [{kind: expected, unit_tests: true}]`.
    """

    kind: Literal["unit_test"] = "unit_test"
    test: Annotated[str, Field(min_length=1, max_length=100_000)]


ExpectedAnswer: TypeAlias = Annotated[
    ExpectedText | ExpectedNumber | ExpectedRegex | ExpectedChoices | ExpectedJson | ExpectedUnitTest,
    Field(discriminator="kind"),
]
EXPECTED: TypeAdapter[ExpectedAnswer] = TypeAdapter(ExpectedAnswer)
"""Reads an expected answer from plain values."""
