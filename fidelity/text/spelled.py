"""Numbers spelled out in words: text2num's in seven languages, and small readers for Hindi and Han numerals."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import regex
from text_to_num import Token, alpha2digit, find_numbers

from fidelity.text.measures import SCALES

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl")
"""Those that text2num reads."""
LEAST = 4
"""Smaller numbers in words are as often articles and pronouns ("one of them"), unless they are in a row."""
HINDI = "शून्य एक दो तीन चार पाँच|पांच छह|छः|छै सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस बीस"
"""From zero to twenty; larger ones have a word each."""
HAN_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
HAN_UNITS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000, "萬": 10_000, "亿": 10**8, "億": 10**8}
HAN_PERCENT = "百分之"
"""What comes before the number of a percentage: 百分之五 is 5%."""
HAN_COUNTERS = "个個人名位天日年月周週歳岁倍次回度円元块塊米克斤吨升页頁本冊册台辆輛件項项种種章节節时時分秒小公毫%"
"""What follows a Han numeral that counts; 四川 (Sichuan) and 千万 (by all means) have none."""


class SpelledNumber(NamedTuple):
    """A number in words, with its digits (`25`, `21st`) and its position."""

    digits: str
    start: int
    end: int


class _Word(Token):  # type: ignore[misc]  # it has no types
    """A token as text2num reads it."""

    def __init__(self, match: "regex.Match[str]") -> None:
        self.start, self.end = match.span()
        self._text: str = match.group().casefold()

    def text(self) -> str:
        return self._text


def spelled_numbers(text: str, language: str | None, *, least: int = LEAST) -> list[SpelledNumber]:
    """The numbers in words from `least` on, or in rows, in order; none in a language that isn't read.

    A word that multiplies the digits before it ("5 million") is none.
    """
    if language in LANGUAGES:
        return list(_of_text2num(text, str(language), least - 1.0))
    pattern = {"hi": _hindi, "zh": _han, "ja": _han}.get(language or "")
    if pattern is None:
        return []
    numbers: list[SpelledNumber] = []
    for match in pattern().finditer(text):
        numeral, _, decimals = match.group().removeprefix(HAN_PERCENT).replace("點", "点").partition("点")
        digits, percent = _digits(numeral), match.group().startswith(HAN_PERCENT)
        if percent:
            numbers.append(SpelledNumber(f"{digits}{decimals and '.'}{_digits(decimals)}%", *match.span()))
        elif digits and int(digits) >= least:
            numbers.append(SpelledNumber(digits, *match.span()))
    return numbers


def in_digits(text: str, numbers: Sequence[SpelledNumber]) -> tuple[str, list[tuple[int, int]]]:
    """The text with digits for numbers in words, and pairs of places in it and in the original, from which on they go.

    Inside of digits only the two ends have a place.
    """
    pieces: list[str] = []
    places = [(0, 0)]
    position = length = 0
    for digits, start, end in numbers:
        pieces += [text[position:start], digits]
        length += start - position
        places += [(length, start), (length + len(digits), end)]
        length, position = length + len(digits), end
    return "".join([*pieces, text[position:]]), places


def _of_text2num(text: str, language: str, threshold: float) -> Iterator[SpelledNumber]:
    if not (text.isprintable() or text.replace("\n", "").isprintable()):
        return
    if alpha2digit(text, language, threshold) == text:
        return
    words = [_Word(match) for match in _words().finditer(text)]
    for number in find_numbers(words, language, threshold):
        start, end = words[number.start].start, words[number.end - 1].end
        spelled = text[start:end]
        before = text[max(0, start - 8) : start].casefold()
        scales_digits = spelled.casefold() in SCALES and _after_digits().search(before)
        percent = before.endswith(("pour ", "por ", "per ")) and spelled.casefold() in ("cent", "ciento", "cento")
        if not (scales_digits or percent or any(map(str.isdecimal, spelled))):
            yield SpelledNumber(number.text, start, end)


def _digits(numeral: str) -> str:
    """The value of a Hindi word or of a Han numeral, as digits; empty where it isn't well formed."""
    if numeral in _hindi_values():
        return str(_hindi_values()[numeral])
    if numeral[:1].isdecimal():
        return numeral
    total = section = digit = 0
    if not any(c in HAN_UNITS for c in numeral):
        return "".join(str(HAN_DIGITS[c]) for c in numeral)
    for character in numeral:
        if character in HAN_DIGITS:
            digit = HAN_DIGITS[character]
        elif (unit := HAN_UNITS[character]) < 10_000:
            section, digit = section + (digit or 1) * unit, 0
        else:
            total, section, digit = total + (section + digit) * unit, 0, 0
    return str(total + section + digit)


@cache
def _hindi_values() -> dict[str, int]:
    return {word: value for value, words in enumerate(HINDI.split()) for word in words.split("|")}


@cache
def _hindi() -> "regex.Pattern[str]":
    return regex.compile(rf"(?<![\p{{L}}\p{{M}}])(?:{HINDI.replace(' ', '|')})(?![\p{{L}}\p{{M}}])")


@cache
def _han() -> "regex.Pattern[str]":
    numeral = f"[{''.join(HAN_DIGITS)}{''.join(HAN_UNITS)}]"
    return regex.compile(
        rf"{HAN_PERCENT}(?:{numeral}++(?:[点點][{''.join(HAN_DIGITS)}]++)?|\p{{Nd}}++(?:\.\p{{Nd}}++)?)|"
        rf"(?<![\p{{Nd}}{''.join(HAN_UNITS)}])(?!十分|万一|千万)[{''.join(HAN_DIGITS)}十百千]{numeral}*+(?=[{HAN_COUNTERS}\p{{Katakana}}つ])"
    )


@cache
def _after_digits() -> "regex.Pattern[str]":
    return regex.compile(r"\p{N}[\p{Zs}.,]*$")


@cache
def _words() -> "regex.Pattern[str]":
    return regex.compile(r"[\p{L}\p{M}\p{N}'’]+|\s+|[^\p{L}\p{M}\p{N}\s]")
