"""How numbers, units, dates, times and URLs are written: the patterns that `quantities` reads with."""

import re
from functools import cache

import regex

from fidelity.text.measures import month_numbers, weekday_numbers
from fidelity.text.words import LETTER

MINUS = {
    "de": "minus",
    "fr": "moins|minus",
    "es": "menos",
    "it": "meno",
    "pt": "menos",
    "nl": "min|minus",
    "hi": "माइनस",
}
"""The words for a sign; English's is read in every language."""
DAY_PARTS = {
    "de": ("morgens|früh|vormittags", "nachmittags|abends"),
    "es": ("de la (?:mañana|madrugada)", "de la (?:tarde|noche)"),
    "fr": ("du matin", "du soir|de l['’]après-midi"),
    "it": ("del mattino|di mattina", "di sera|del pomeriggio|di pomeriggio"),
    "pt": ("da (?:manhã|madrugada)", "da (?:tarde|noite)"),
}
"""What follows an hour of twelve: in the first half of the day, and in the second."""
SPACED = frozenset({"fr"})
"""Languages that group thousands by a space, and seldom have two numbers side by side."""


@cache
def any_quantity(language: str | None, *, plain: bool) -> "regex.Pattern[str]":
    """A quantity in a language.

    `plain`: of ASCII alone, which is read four times as fast.
    """
    letter = "[A-Za-z0-9_]" if plain else LETTER
    digit, space = ("[0-9]", " ") if plain else (r"\p{Nd}", r"[ \u00A0\u202F\u2009]")
    return regex.compile(
        r"(?P<url>(?:https?://|www\.)[^\s<>\"\[\]`]+)"
        rf"|(?<!{letter})(?:(?P<date>{_dates(letter, digit, space, language, plain=plain)})"
        rf"|(?P<weekday>{_alternatives(weekday_numbers(), plain=plain)})(?!{letter})"
        rf"|(?m:^)[ \t]*{digit}{{1,3}}[.)](?=\s)"
        rf"|{_clock(letter, digit, space, language)}"
        rf"|(?P<ratio>{digit}{{1,4}}(?::{digit}{{1,4}})+)(?!{digit})"
        rf"|{_number(digit, space, language, plain=plain)})",
        regex.V1,
    )


@cache
def may_have_quantity() -> "re.Pattern[str]":
    """What every quantity has: a digit, a fraction, a weekday's name or the beginning of a URL."""
    return re.compile(rf"[\d¼-¾⅐-⅞]|https?://|www\.|{'|'.join(weekday_numbers())}")


@cache
def words_after() -> "regex.Pattern[str]":
    """Up to three words after a number."""
    word = rf"(?:[%‰°$€£¥₹¢′″µμΩ]|{LETTER}|[°µμ][CFKmgls]){LETTER}*+[²³]?"
    han = r"公里|千米|公斤|千克|毫克|小时|小時|時間|分钟|分鐘|美元|美金|欧元|歐元|英镑|日元|日円|人民币|百分点|\p{Han}"
    return regex.compile(
        rf"(?P<gap>[-\u00a0\u202f\u2009 ]?)(?:(?P<first>{word}|{han})(?:(?P<dot>\.)(?=[ \u00a0]))?+"
        rf"(?:[ \u00a0](?:(?:d['’]|de )(?=\p{{L}}))?(?P<second>{word})(?:[ \u00a0](?P<third>{word}))?)?)",
        regex.V1,
    )


@cache
def unit_per() -> "regex.Pattern[str]":
    """What a quantity is per: `/day`, `per day`."""
    return regex.compile(
        rf"(?:(?P<slash>/)|[ \u00a0](?:per|pro|par|por|al?|each|every)[ \u00a0])(?P<unit>{LETTER}+[²³]?)", regex.V1
    )


def _alternatives(names: "dict[str, int]", *, plain: bool) -> str:
    return "|".join(sorted((name for name in names if not plain or name.isascii()), key=len, reverse=True))


def _dates(letter: str, digit: str, space: str, language: str | None, *, plain: bool) -> str:
    year, one_or_two = rf"(?P<year>{digit}{{4}})(?!{digit})", rf"{digit}{{1,2}}"
    month, day = rf"(?P<month>{one_or_two})", rf"(?P<day>{one_or_two})"
    nth = rf"{day}(?!{digit})(?:st|nd|rd|th|er|\.|º|ª)?"
    name = rf"(?P<name>{_alternatives(month_numbers(), plain=plain)})(?!{letter})\.?"
    of = rf"{space}(?:(?:of|de|di|del){space})?"
    dates = (
        rf"(?P<year>{digit}{{4}})(?P<mark>[-/.]){month}(?P=mark){day}(?!{digit})",
        rf"{day}\.{space}?{month}\.{space}?{year}",
        rf"{day}/{month}/{year}" if language in MINUS else "",
        rf"(?P<slashed>{one_or_two}/{one_or_two}/{digit}{{2,4}})(?!{digit})",
        "" if plain else rf"(?P<year>{digit}{{4}})年{month}月(?:{day}日)?",
        "" if plain else rf"{month}月{day}日",
        rf"{nth}{of}{name}(?:,?{of}{year})?",
        rf"{name}{space}{nth}(?:,?{space}{year})?",
        rf"{name},?{of}{year}",
    )
    return "|".join(filter(None, dates))


def _clock(letter: str, digit: str, space: str, language: str | None) -> str:
    minutes, hour = rf"{digit}{{2}}", rf"(?P<hour>{digit}{{1,2}})"
    half = rf"(?P<half>[AaPp])\.?[Mm](?:\.(?=\W|$)|(?!{letter}))"
    half_of_day = ""
    if language in DAY_PARTS:
        early, late = DAY_PARTS[language]
        half_of_day = rf"(?:{space}(?:(?P<early>{early})|(?P<late>{late}))(?!{letter}))"
    forms = [
        rf"(?P<minutes>:{minutes}(?::{minutes})?)(?!{digit})"
        rf"(?:{space}?{half}|{space}(?:Uhr|uur|hrs)\b(?:{half_of_day})?{half_of_day and '|'}{half_of_day})?",
        rf"{space}?{half}",
        *([half_of_day] if half_of_day else []),
    ]
    if language == "de":
        forms.append(
            rf"(?:\.(?P<minutes>{minutes}))?{space}Uhr\b(?:{space}(?P<minutes>{minutes})(?![{digit}.,]))?(?:{half_of_day})?"
        )
    elif language in ("fr", "pt"):
        forms.append(rf"{space}?h{space}?(?P<minutes>{minutes})(?!{digit})")
    elif language in ("zh", "ja"):
        forms.append(rf"[点點时時](?![间間])(?:(?P<minutes>{digit}{{1,2}})分)?")
    return rf"{hour}(?:{'|'.join(forms)})"


def _number(digit: str, space: str, language: str | None, *, plain: bool) -> str:
    words = f"minus|negative|{MINUS[language]}" if language in MINUS else "minus|negative"
    least = rf"(?<!(?<!\p{{L}})(?i:au|al|lo|pelo|ou|o|plus|más|mais|più){space})" if language in MINUS else ""
    sign = rf"(?P<sign>(?<![)\]}}])[-+\u2212]|(?<![\p{{Nd}})\]}}]{space}){least}(?i:{words}){space})?"
    currency = rf"(?P<currency>(?:US)?[$€£¥₹]{space}?|(?:USD|EUR|GBP|JPY|INR|Rs\.?){space})?"
    groups = r"" if plain else rf"|[\u00A0\u202F\u2009]{digit}{{3}}(?!{digit})"
    if language in SPACED:
        groups += rf"|(?<=(?<!{digit}){digit}{{1,3}}|{space}{digit}{{3}}) {digit}{{3}}(?!{digit})"
    marks = "[.,_']" if plain else r"[.,_'’\u066B\u066C]"
    written = rf"(?:(?<![\w.)\]])\.)?{digit}+(?:{marks}{digit}+{groups})*+(?:[eE][-+]?{digit}+)?"
    raised = rf"\^[{{(]?-?{digit}+[}})]?" + ("" if plain else r"|[⁻⁺]?[⁰¹²³⁴-⁹]+")
    power = rf"(?P<times>{space}?[×x*·⋅]{space}?10)?(?P<raised>{raised}|(?<=10)\*\*-?{digit}+)"
    vulgar = "" if plain else rf"{space}?(?P<vulgar>[¼½¾⅐-⅞])|"
    alone = "" if plain else r"|(?P<vulgar>[¼½¾⅐-⅞])"
    return (
        rf"{sign}{currency}"
        rf"(?:(?:(?P<digits>{digit}+){space})?(?P<above>{digit}{{1,4}})[/⁄](?P<below>{digit}{{1,4}})(?![{digit}/⁄])"
        rf"|(?P<digits>{written})(?:{vulgar}{power})?{alone})"
    )
