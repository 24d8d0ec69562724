"""Quantities in a text: numbers with relation and unit, dates, times, weekdays and URLs, each in a normal form."""

import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Literal, NamedTuple

import regex

from fidelity.text.measures import SCALES, month_numbers, unit_name, weekday_numbers
from fidelity.text.relations import relation_of
from fidelity.text.words import LETTER

MAX_DIGITS = 40
"""A number with more digits, or with an exponent of more than three, is compared as it is written."""

QuantityKind = Literal["number", "date", "time", "weekday", "url"]


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


def quantities(text: str) -> list[Quantity]:
    """The quantities of a text, in order.

    `1,000` = `1000` = `1_000`, `3.0` = `3`, `٣` = `3`, `½` = `0.5` = `1/2`, `5 million` = `5,000,000`, `5 km` = `5
    kilometers`, `5 pm` = `17:00`, `-3` = `−3` = `minus 3`, `March 5, 2024` = `5. März 2024` = `2024-03-05`. A unit that
    isn't known counts where it is attached to the number or looks like a symbol (`50 mcg`, `5 M`). A single comma
    before three digits groups thousands, any other separates decimals; a single point separates decimals (German
    `1.000` is 1). `03/04/2024` stays as it is written. Numbers in words, the numbers of list items at the start of a
    line, and digits inside words (`w4a16`) are none.
    """
    return [quantity for match in _pattern().finditer(text) for quantity in _read(match, text)]


def _read(match: "regex.Match[str]", text: str) -> Iterator[Quantity]:
    start, end = match.span()
    if match["url"]:
        url = _url(match["url"])
        yield Quantity("url", url, "", "", start, start + len(url))
    elif match["date"]:
        yield Quantity("date", _date(match), "", "", start, end)
    elif match["weekday"]:
        yield Quantity("weekday", f"weekday {weekday_numbers()[match['weekday']]}", "", "", start, end)
    elif match["hour"]:
        yield Quantity("time", _clock(match), "", "", start, end)
    elif match["digits"] or match["vulgar"] or match["below"]:
        yield from _numbers(match, text)


def _numbers(match: "regex.Match[str]", text: str) -> Iterator[Quantity]:
    start, (unit, scale, end) = match.start(), _unit(text, match.end(), match["currency"])
    sign = "-" if (match["sign"] or "").casefold().strip() in ("-", "\u2212", "minus", "negative") else ""
    values = [_scaled(value, scale) for value in _values(match)]
    relation, end = relation_of(text, start, end) if len(values) == 1 else ("", end)
    if relation and not unit:  # 5 or more days
        unit, _, end = _unit(text, end, None)
    for value in values:
        yield Quantity("number", value if value == "0" else sign + value, unit, relation, start, end)


def _scaled(value: Fraction | str, scale: int) -> str:
    if isinstance(value, Fraction):
        return str(value * 10**scale)
    return f"{value}e{scale}" if scale else value


def _values(match: "regex.Match[str]") -> Iterator[Fraction | str]:
    """What the digits mean: one number, or several where a comma without a space lists them."""
    digits, _, exponent = _ascii_digits(match["digits"] or "0").translate(_WITHIN_NUMBERS).casefold().partition("e")
    if match["below"]:
        above, below = (int(_ascii_digits(match[name])) for name in ("above", "below"))
        yield Fraction(above, below) + int(digits) if below and len(digits) < 9 else match.group()
    elif match["raised"]:
        power = unicodedata.normalize("NFKC", match["raised"]).replace("\u2212", "-").lstrip("^").strip("{}()")
        yield f"{digits}^{power}"
    elif len(digits) > MAX_DIGITS or len(exponent) > 4:
        yield digits + exponent
    else:
        vulgar = Fraction(str(unicodedata.numeric(match["vulgar"]))).limit_denominator(10) if match["vulgar"] else 0
        for number in _separated(digits):
            plain = number.count(".") < 2
            yield Fraction(number) * Fraction(10) ** int(exponent or 0) + vulgar if plain else number


def _separated(digits: str) -> Iterator[str]:
    """The number, or numbers, that digits with separators are, with a decimal point at most; versions as written."""
    groups = digits.replace(",", ".").split(".")
    separators = set(digits) & {".", ","}
    thousands = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    if len(separators) == 2:  # 1,000.5 or 1.000,5: the last one separates decimals
        yield f"{''.join(groups[:-1])}.{groups[-1]}"
    elif len(groups) == 2 and not (separators == {","} and thousands):
        yield ".".join(groups)
    elif len(groups) == 1 or thousands:
        yield "".join(groups)
    elif separators == {","}:  # a list without spaces
        yield from (number for group in groups for number in _separated(group))
    else:  # a version or an address, such as 192.168.0.1
        yield digits


def _unit(text: str, end: int, currency: str | None) -> tuple[str, int, int]:
    """The unit after a number, the power of ten of a word such as "million" before it, and where they end."""
    scale = 0
    if (match := _after().match(text, end)) and (scale := _scale(match, currency)):
        end = match.end("first")
        match = _after().match(text, end)
    if currency:
        return unit_name(currency.strip()) or currency.strip(), scale, end
    if match is None:
        return "", scale, end
    name, end = _longest_name(match, end, text)
    per = _per().match(text, end) if name else None
    if per and (unit_name(per["unit"]) or per["slash"]):
        return f"{name}/{unit_name(per['unit']) or per['unit']}", scale, per.end()
    return name, scale, end


def _scale(match: "regex.Match[str]", currency: str | None) -> int:
    word: str = match["first"]
    if word in ("k", "K") and not match["gap"]:
        return 3
    if word.casefold() in ("m", "b") and currency:
        return 6 if word.casefold() == "m" else 9
    return SCALES.get(word.casefold(), 0)


def _longest_name(match: "regex.Match[str]", end: int, text: str) -> tuple[str, int]:
    """The unit whose name has the most words; else the word that is attached, or one that is only used for numbers."""
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


def _clock(match: "regex.Match[str]") -> str:
    hour, rest = int(_ascii_digits(match["hour"])), _ascii_digits(match["minutes"] or ":00")
    if half := (match["half"] or "").casefold()[:1]:
        hour = hour % 12 + (12 if half == "p" else 0)
    return f"{hour}:{rest[1:]}"


def _date(match: "regex.Match[str]") -> str:
    """Year-month-day as in ISO 8601, without what isn't given; with slashes, day and month could be either and stay."""
    numbers = {name: _ascii_digits(match[name] or "").lstrip("0") for name in ("year", "month", "day")}
    if match["slashed"]:
        return "/".join(_ascii_digits(number).lstrip("0") for number in match["slashed"].split("/"))
    month = numbers["month"] or str(month_numbers()[match["name"]])
    return f"{numbers['year']}-{month.zfill(2)}-{numbers['day'].zfill(2) if numbers['day'] else ''}".strip("-")


def _ascii_digits(text: str) -> str:
    """Digits of any script as 0 to 9, and the Arabic separators as ours."""
    if text.isascii():
        return text
    text = text.replace("\u066b", ".").replace("\u066c", ",")
    return "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)


_WITHIN_NUMBERS = dict.fromkeys(map(ord, "_'’\u00a0\u202f\u2009"))


@cache
def _after() -> "regex.Pattern[str]":
    """Up to three words after a number."""
    word = rf"(?:[%‰°$€£¥₹¢′″µμΩ]|{LETTER}|[°µμ][CFKmgls]){LETTER}*+[²³]?"
    return regex.compile(
        rf"(?P<gap>[-\u00a0\u202f\u2009 ]?)(?:(?P<first>{word}|公里|千米|公斤|千克|毫克|小时|時間|分钟|\p{{Han}})"
        rf"(?:[ \u00a0](?P<second>{word})(?:[ \u00a0](?P<third>{word}))?)?)",
        regex.V1,
    )


@cache
def _per() -> "regex.Pattern[str]":
    return regex.compile(
        rf"(?:(?P<slash>/)|[ \u00a0](?:per|pro|par|por|al?|each|every)[ \u00a0])(?P<unit>{LETTER}+[²³]?)", regex.V1
    )


@cache
def _pattern() -> "regex.Pattern[str]":
    digit, space = r"\p{Nd}", r"[ \u00A0\u202F\u2009]"
    year, one_or_two = rf"(?P<year>{digit}{{4}})(?!{digit})", rf"{digit}{{1,2}}"
    month, day = rf"(?P<month>{one_or_two})", rf"(?P<day>{one_or_two})"
    nth = rf"{day}(?!{digit})(?:st|nd|rd|th|er|\.|º|ª)?"
    name = r"(?P<name>" + "|".join(sorted(month_numbers(), key=len, reverse=True)) + rf")(?!{LETTER})\.?"
    of = rf"{space}(?:(?:of|de|di|del){space})?"
    dates = (
        rf"(?P<year>{digit}{{4}})(?P<mark>[-/.]){month}(?P=mark){day}(?!{digit})",
        rf"{day}\.{space}?{month}\.{space}?{year}",
        rf"(?P<slashed>{one_or_two}/{one_or_two}/{digit}{{2,4}})(?!{digit})",
        rf"(?P<year>{digit}{{4}})年{month}月(?:{day}日)?",
        rf"{nth}{of}{name}(?:,?{of}{year})?",
        rf"{name}{space}{nth}(?:,?{space}{year})?",
        rf"{name},?{of}{year}",
    )
    weekday = "|".join(sorted(weekday_numbers(), key=len, reverse=True))
    half = rf"(?P<half>[AaPp])\.?[Mm](?:\.(?=\W|$)|(?!{LETTER}))"
    number = (
        rf"(?P<sign>(?<![)\]}}])[-+\u2212]|(?<![\p{{Nd}})\]}}]{space})(?i:minus|negative){space})?"
        rf"(?P<currency>(?:US)?[$€£¥₹]{space}?|(?:USD|EUR|GBP|JPY|INR|Rs\.?){space})?"
        rf"(?:(?:(?P<digits>{digit}+){space})?(?P<above>{digit}{{1,4}})[/⁄](?P<below>{digit}{{1,4}})(?![{digit}/⁄])"
        rf"|(?P<digits>{digit}+(?:[.,_'’\u066B\u066C]{digit}+|[\u00A0\u202F\u2009]{digit}{{3}}(?!{digit}))*+"
        rf"(?:[eE][-+]?{digit}+)?)(?:{space}?(?P<vulgar>[¼½¾⅐-⅞])|(?P<raised>[⁻⁺]?[⁰¹²³⁴-⁹]+|\^[{{(]?-?{digit}+[}})]?))?"
        rf"|(?P<vulgar>[¼½¾⅐-⅞]))"
    )
    return regex.compile(
        r"(?P<url>(?:https?://|www\.)[^\s<>\"\[\]`]+)"
        rf"|(?<!{LETTER})(?:(?P<date>{'|'.join(dates)})"
        rf"|(?P<weekday>{weekday})(?!{LETTER})"
        rf"|(?m:^)[ \t]*{digit}{{1,3}}[.)](?=\s)"
        rf"|(?P<hour>{one_or_two})(?:(?P<minutes>:{digit}{{2}}(?::{digit}{{2}})?)(?!{digit})(?:{space}?{half})?|{space}?{half})"
        rf"|{number})",
        regex.V1,
    )
