"""Quantities in a text: numbers with relation and unit, dates, times, weekdays and URLs, each in a normal form."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

import regex

from fidelity.text.digits import ascii_digits, values
from fidelity.text.measures import SCALES, month_numbers, unit_name, weekday_numbers
from fidelity.text.notation import any_quantity, may_have_quantity, unit_per, words_after
from fidelity.text.relations import relation_of
from fidelity.text.spelled import LEAST, in_digits, spelled_numbers

if TYPE_CHECKING:
    from regex import Match

QuantityKind = Literal["number", "date", "time", "weekday", "url"]


LEAST_OF_A_UNIT = 2
"""The smallest number in words that counts before a unit; one is an article too."""


class Quantity(NamedTuple):
    """A number, or what is written in numbers. Two that mean the same have the same `normal` form."""

    kind: QuantityKind
    value: str
    """A fraction in lowest terms (`5/2` for 2.5), an ISO date, a 24-hour time, a URL, or the digits as written."""
    unit: str
    """CLDR's name of the unit, or the word that is attached to the number; empty without one."""
    relation: str
    """`<`, `<=`, `>`, `>=`, or empty: "at least 5", "5 or more" and "≥ 5" have the same."""
    start: int
    """Where it begins in the text, sign and currency included, relation excluded."""
    end: int
    """Where the unit ends, or the digits where there is none."""

    @property
    def normal(self) -> str:
        """All that counts: `>=5 kilometer`."""
        return f"{self.relation}{self.value} {self.unit}".strip()


def quantities(text: str, language: str | None = None, *, least_spelled: int = LEAST) -> list[Quantity]:
    """The quantities of a text, in order.

    `1,000` = `1000` = `1_000`, `3.0` = `3`, `٣` = `3`, `½` = `0.5` = `1/2`, `5 million` = `5,000,000`, `3 × 10⁸` =
    `3e8`, `5 km` = `5 kilometers`, `5 pm` = `17:00`, `-3` = `−3` = `minus 3`, `March 5, 2024` = `5. März 2024` =
    `2024-03-05`. A unit that isn't known counts where it is attached to the number or looks like a symbol (`50 mcg`,
    `5 M`). The numbers of list items at the start of a line, and digits inside words (`w4a16`), are none.

    Args:
        text: What is read.
        language: ISO 639 code, where it is known. In English, German, French, Spanish, Italian, Portuguese, Dutch,
            Hindi, Chinese and Japanese, numbers in words count; German `1.000` is 1000 and `17 Uhr` is
            17:00; `03/04/2024` is a date unless the language is English. Else a single comma before three digits
            groups thousands, any other separates decimals, a single point always does, and dates with slashes stay
            as they are written.
        least_spelled: The smallest number in words that counts.
    """
    spelled = [
        number
        for number in spelled_numbers(text, language, least=min(least_spelled, LEAST_OF_A_UNIT))
        if _leading(number.digits) >= least_spelled
        or number.digits.endswith("%")
        or (number.digits.isdigit() and _is_of_a_unit(text, number.end))
    ]
    if not spelled:
        return list(_quantities(text, language))
    digital, places = in_digits(text, spelled)
    starts = [place for place, _ in places]

    def original(place: int) -> int:
        own, other = places[bisect_right(starts, place) - 1]
        return other + place - own

    return [q._replace(start=original(q.start), end=original(q.end)) for q in _quantities(digital, language)]


def _leading(digits: str) -> int:
    """The number that digits begin with, as 2 does "2nd"."""
    return int(digits[: next((i for i, c in enumerate(digits) if not c.isdecimal()), len(digits))] or 0)


def _is_of_a_unit(text: str, end: int) -> bool:
    """Whether a number in words counts units: "two years", unlike "two of them"."""
    match = words_after().match(text, end)
    return bool(match and match["gap"] and unit_name(match["first"]))


def _quantities(text: str, language: str | None) -> Iterator[Quantity]:
    if may_have_quantity().search(text):
        for match in any_quantity(language, plain=text.isascii()).finditer(text):
            yield from _read(match, text, language)


def _read(match: "Match[str]", text: str, language: str | None) -> Iterator[Quantity]:
    groups, (start, end) = match.groupdict(), match.span()
    if groups["url"]:
        url = _url(groups["url"])
        yield Quantity("url", url, "", "", start, start + len(url))
    elif groups["date"]:
        yield Quantity("date", _date(groups), "", "", start, end)
    elif groups["weekday"]:
        yield Quantity("weekday", f"weekday {weekday_numbers()[groups['weekday']]}", "", "", start, end)
    elif groups["hour"]:
        yield Quantity("time", _clock(groups), "", "", start, end)
    elif groups["ratio"]:
        yield Quantity("number", ascii_digits(groups["ratio"]), "", "", start, end)
    elif groups["digits"] or groups.get("vulgar") or groups["below"]:
        yield from _numbers(match, text, language)


def _numbers(match: "Match[str]", text: str, language: str | None) -> Iterator[Quantity]:
    groups, start = match.groupdict(), match.start()
    unit, scale, end = _unit(text, match.end(), groups["currency"])
    negative = groups["sign"] and groups["sign"].strip() != "+"
    if not unit and not scale and _is_version(text, match):
        scaled = [ascii_digits(groups["digits"])]
    else:
        scaled = [_scaled(value, scale) for value in values(groups, match.group(), language)]
    relation, end = relation_of(text, start, end) if len(scaled) == 1 else ("", end)
    if relation and not unit:  # 5 or more days
        unit, _, end = _unit(text, end, None)
    for value in scaled:
        yield Quantity("number", f"-{value}" if negative and value != "0" else value, unit, relation, start, end)


def _is_version(text: str, match: "Match[str]") -> bool:
    """Whether the zero at a number's end counts, as after a name ("Python 3.10") or in "section 2.10"."""
    digits = match["digits"] or ""
    return digits.endswith("0") and "." in digits and bool(_NUMBERED.search(text, 0, match.start()))


_NUMBERED = regex.compile(r"(?:\b(?i:versions?|v|section|chapter|release)|(?<=[\p{L},] )\p{Lu}\p{L}+)\.?[ \u00A0]$")


def _scaled(value: Fraction | str, scale: int) -> str:
    if isinstance(value, Fraction):
        return str(value * 10**scale)
    return f"{value}e{scale}" if scale else value


def _unit(text: str, end: int, currency: str | None) -> tuple[str, int, int]:
    """The unit after a number, the power of ten of a word such as "million" before it, and where they end."""
    scale = 0
    if (match := words_after().match(text, end)) and (scale := _scale(match, currency)):
        end = match.end("dot" if match["dot"] else "first")  # 2 Mio. Euro
        match = words_after().match(text, end)
    if currency:
        return unit_name(currency.strip()) or currency.strip(), scale, end
    if match is None:
        return "", scale, end
    name, end = _longest_name(match, end, text)
    per = unit_per().match(text, end) if name else None
    if per and (unit_name(per["unit"]) or per["slash"]):
        return f"{name}/{unit_name(per['unit']) or per['unit']}", scale, per.end()
    return name, scale, end


def _scale(match: "Match[str]", currency: str | None) -> int:
    word: str = match["first"]
    if word in ("k", "K") and not match["gap"]:
        return 3
    if word.casefold() in ("m", "b") and currency:
        return 6 if word.casefold() == "m" else 9
    return SCALES.get(word.casefold(), 0)


def _longest_name(match: "Match[str]", end: int, text: str) -> tuple[str, int]:
    """The unit with the most words; else the attached word, or one that is only used for numbers."""
    word: str = match["first"]
    if word in ("st", "nd", "rd", "th"):
        return "th", match.end("first")
    for last in ("third", "second", "first"):
        if match[last] and (name := unit_name(text[match.start("first") : match.end(last)])):
            return name, match.end(last)
    if not match["gap"] and not word.startswith("_"):
        return word, match.end("first")
    return (word, match.end("first")) if word in ("M", "MM", "B", "T", "K", "mn", "Mio", "Mrd") else ("", end)


def _url(url: str) -> str:
    """The URL without the sentence's punctuation after it, its host in lower case."""
    url = url.rstrip(".,;:!?)'*_`/")
    host: str = regex.match(r"(?:\w+://)?[^/?#]*", url)[0]
    return host.lower() + url[len(host) :]


def _clock(groups: Mapping[str, str | None]) -> str:
    hour, minutes = int(ascii_digits(groups["hour"] or "")), ascii_digits(groups.get("minutes") or "00").lstrip(":")
    late = (groups["half"] or "").casefold()[:1] == "p" or groups.get("late")
    if groups["half"] or groups.get("early") or late:
        hour = hour % 12 + (12 if late else 0)
    return f"{hour}:{minutes.zfill(2)}"


def _date(groups: Mapping[str, str | None]) -> str:
    """Year-month-day as in ISO 8601, without what isn't given; with slashes, day and month could be either and stay."""
    year, month, day = (ascii_digits(groups[name] or "").lstrip("0") for name in ("year", "month", "day"))
    if groups["slashed"]:
        return "/".join(ascii_digits(number).lstrip("0") for number in groups["slashed"].split("/"))
    if groups["name"]:
        month = str(month_numbers()[groups["name"]])  # else it may be 00, which models write
    return f"{year}-{month.zfill(2)}-{day.zfill(2) if day else ''}".strip("-")
