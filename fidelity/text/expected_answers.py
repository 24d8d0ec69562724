"""Whether an answer is right: extraction from the output as lm-eval does it, then comparison with the expected answer.

Where an output contains two candidates for the answer, such as a marked one and a later one, both are judged. If only
one of them is right, the output is "unclear": it depends on the extraction. docs/expected.md lists the rules per kind.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import islice
from json import JSONDecoder
from typing import Any

import regex

from fidelity.outside.documents import read_json
from fidelity.records import (
    LETTERS,
    ExpectedAnswer,
    Judgment,
)
from fidelity.records.expected import (
    ExpectedChoices,
    ExpectedJson,
    ExpectedNumber,
    ExpectedRegex,
    ExpectedText,
    ExpectedUnitTest,
)
from fidelity.text.digits import ascii_digits
from fidelity.text.normalization import normalize

MOST_CHARACTERS = 200_000
"""Of an output; what comes later isn't read."""
SECONDS = 1.0
"""The time that a user's pattern may take on one output."""
EXPONENT = r"(?:(?<=[0-9])[eE][-+]?[0-9]{1,3}(?![0-9A-Za-z]))?"
NUMBER = rf"-?\$?[0-9][0-9.,]*{EXPONENT}"
MARKED_NUMBERS = (
    regex.compile(rf"####\s*({NUMBER})"),
    regex.compile(rf"\\boxed\{{\s*({NUMBER})"),
    regex.compile(rf"(?i)answer is:?\s*\**({NUMBER})"),
)
"""The strict filters of lm-eval's gsm8k (first match), minerva_math (last), and gsm8k_cot (first)."""
ANY_NUMBER = regex.compile(rf"(-?[$0-9.,]{{2,}}{EXPONENT})|(-?[0-9]+{EXPONENT})")
"""The filter `flexible-extract` of gsm8k, of which the last match is read, with an exponent."""
LONGEST_NUMBER = 200
MARKED_CHOICE = regex.compile(rf"(?i:answer is):?\s*\**\(?([{LETTERS}])\b")
"""As in mmlu_pro; the first match."""
BRACKETED_CHOICE = regex.compile(rf"\(([{LETTERS}])\)")
"""As in gpqa's `flexible-extract`; the last match."""
BARE_CHOICE = regex.compile(rf"\A[\s*]*([{LETTERS}])(?:\**[.):]|[\s*]*\Z)|:[\s*]*([{LETTERS}])\b")
"""Also in Markdown's bold type."""
FENCE = regex.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", regex.DOTALL)
PUNCTUATION = regex.compile(r"[!-/:-@\[-`{-~\p{P}]")
"""Python's `string.punctuation`, and the punctuation of other scripts."""
SINGLE_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Letters, digits and signs of a full width, as Chinese and Japanese texts have them."""
MINUS = str.maketrans("\u2212", "-")
GROUPED = regex.compile(r"(?<=[0-9])[\u00a0\u2009\u202f'\u2019](?=[0-9]{3}(?![0-9]))")
"""Separators of thousands that no other rule reads. A plain space can separate two numbers."""
DECIMAL_COMMA = regex.compile(r"-?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),(?:[0-9]{1,2}|[0-9]{4,})(?:[eE].*)?")
"""A comma that no three digits follow separates no thousands."""
MOST_STARTS = 1_000
"""Brackets at which JSON is looked for in an output."""


def judge(
    expected: ExpectedAnswer, output: str, *, run_test: Callable[[str, str], bool] | None = None
) -> Judgment | None:
    """Judge an output without its thinking.

    Args:
        expected: The expected answer.
        output: The text.
        run_test: Whether a unit test passes, given the code of an answer and the test; None if tests don't run.

    Returns:
        None for a unit test without `run_test`. An output from which nothing can be extracted is wrong.
    """
    output = output[:MOST_CHARACTERS]
    try:
        match expected:
            case ExpectedText(answer=answer):
                right = {_plain(one) for one in ((answer,) if isinstance(answer, str) else answer)}
                return _agreed(_plain(text) in right for text in (output, _first_line(output)))
            case ExpectedNumber(answer=answer, tolerance=tolerance):
                numbers = (abs(number - Decimal(str(answer))) for number in _numbers(output))
                return _agreed(distance <= Decimal(str(tolerance)) for distance in numbers)
            case ExpectedRegex():
                return _agreed(_matches(expected, output))
            case ExpectedChoices():
                return _agreed(letter == expected.answer for letter in _letters(expected, output))
            case ExpectedJson(answer=answer):
                return _agreed(_equal(document, answer) for document in _documents(output))
            case ExpectedUnitTest(test=test):
                return None if run_test is None else _agreed(run_test(code, test) for code in _programs(output))
    except TimeoutError:
        return "unclear"


def _agreed(verdicts: Iterable[bool]) -> Judgment:
    """All extractions are judged; without one the output is wrong."""
    distinct = set(verdicts)
    return "unclear" if len(distinct) > 1 else "right" if True in distinct else "wrong"


def _plain(text: str) -> str:
    """As lm-eval's `exact_match` with `ignore_case` and `ignore_punctuation`; a text of punctuation alone stays."""
    folded = normalize(text).translate(SINGLE_WIDTH).casefold()
    return " ".join((PUNCTUATION.sub("", folded).strip() or folded).split())


def _first_line(text: str) -> str:
    """What tasks of lm-eval read that stop generating at the end of the line."""
    return text.strip().partition("\n")[0]


def _numbers(text: str) -> Iterator[Decimal]:
    """The marked numbers (after `####`, in `boxed`, after `the answer is`) and the last number."""
    text = GROUPED.sub("", ascii_digits(text.translate(SINGLE_WIDTH).translate(MINUS)))
    for place, pattern in enumerate(MARKED_NUMBERS):
        numbers = [number for match in pattern.findall(text) if (number := _number(match)) is not None]
        if numbers:
            yield numbers[-1 if place == 1 else 0]
    every = [_number(match.group()) for match in ANY_NUMBER.finditer(text)]
    yield from [number for number in every if number is not None][-1:]


def _number(text: str) -> Decimal | None:
    """`$1,250.` is 1250, as lm-eval's `regexes_to_ignore` read it."""
    digits = text.replace("$", "").rstrip(".,")
    if DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    digits = digits.replace(",", "")
    try:
        return Decimal(digits) if len(digits) <= LONGEST_NUMBER else None
    except InvalidOperation:
        return None


def _matches(expected: ExpectedRegex, text: str) -> Iterator[bool]:
    """Whether there is a match; with an `answer`, whether the first and the last one have it."""
    pattern = regex.compile(expected.pattern)
    if expected.answer is None:
        yield pattern.search(text, timeout=SECONDS) is not None
        return
    matches = [text for match in pattern.finditer(text, timeout=SECONDS) if (text := _first_group(match).strip())]
    for match in (*matches[:1], *matches[-1:]):
        yield match == expected.answer.strip()


def _first_group(match: "regex.Match[str]") -> str:
    """The first group that has matched, of a pattern with groups; else the whole match."""
    groups: tuple[str | None, ...] = match.groups() if match.re.groups else (match.group(),)
    return next((group for group in groups if group is not None), "")


def _letters(expected: ExpectedChoices, text: str) -> Iterator[str]:
    """The marked letter and the last one in brackets; else a bare letter; else the only choice whose text occurs."""
    possible = LETTERS[: len(expected.choices)] if expected.choices else LETTERS
    text = text.translate(SINGLE_WIDTH)
    marked, bracketed = MARKED_CHOICE.findall(text)[:1], BRACKETED_CHOICE.findall(text)[-1:]
    letters = [letter for letter in (*marked, *bracketed) if letter in possible]
    if not letters:
        bare = [first or later for first, later in BARE_CHOICE.findall(text)]
        letters = [letter for letter in bare if letter in possible][:1]
    if not letters:
        plain = f" {_plain(text)} "
        named = [
            letter for letter, choice in zip(LETTERS, expected.choices, strict=False) if f" {_plain(choice)} " in plain
        ]
        letters = named if len(named) == 1 else []
    yield from letters


def _documents(text: str) -> Iterator[Any]:
    """The output as a whole; else its fenced blocks; else the first object or array in it."""
    for texts in ([text], FENCE.findall(text)):
        documents = [document for one in texts if (document := _document(one)) is not NOTHING]
        if documents:
            yield from documents
            return
    for start in islice(regex.finditer(r"[\[{]", text), MOST_STARTS):
        try:
            _, end = JSONDecoder().raw_decode(text, start.start())
            yield read_json(text[start.start() : end])
        except (ValueError, RecursionError):
            continue
        return


NOTHING = object()
"""No JSON; None is `null`."""


def _document(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return NOTHING


def _equal(one: Any, other: Any) -> bool:
    """JSON equality: 1 equals 1.0 and not true; the order of keys doesn't count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _programs(text: str) -> Iterator[str]:
    """The first and the last fenced block, as in mbpp_instruct; without a fence the whole output."""
    blocks = FENCE.findall(text)
    yield from dict.fromkeys((*blocks[:1], *blocks[-1:]) if blocks else (text,))
