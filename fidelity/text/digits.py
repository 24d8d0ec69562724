"""Digits: what the digits of any script mean, with their separators, fractions, powers and exponents."""

import unicodedata
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache

import regex

MAX_DIGITS = 40
"""A number with more digits, or with an exponent of more than three, is compared as it is written."""
POINT_GROUPS = frozenset({"de", "es", "it", "pt", "nl"})
"""Languages in which a point before three digits groups thousands, as CLDR has it."""
COMMA_DECIMAL = frozenset({"de", "fr", "it", "pt", "nl"})
"""Languages in which a comma before three digits separates decimals; in Spanish it may be either and groups."""


def values(groups: Mapping[str, str | None], written: str, language: str | None) -> Iterator[Fraction | str]:
    """What digits mean: one number, or several where a comma without a space lists them.

    A number without a value that can be compared (a version, a power of anything but ten) is given as it is written.
    """
    digits, _, exponent = ascii_digits(groups["digits"] or "0").translate(_WITHIN).casefold().partition("e")
    if groups["below"]:
        above, below = int(ascii_digits(groups["above"] or "")), int(ascii_digits(groups["below"]))
        yield Fraction(above, below) + int(digits) if below and len(digits) < 9 else written
    elif groups["raised"]:
        yield _power(digits, groups["raised"], language, times_ten=bool(groups["times"]))
    elif len(digits) > MAX_DIGITS or len(exponent) > 4:
        yield digits + exponent
    else:
        vulgar = groups.get("vulgar")
        more = Fraction(str(unicodedata.numeric(vulgar))).limit_denominator(10) if vulgar else 0
        for number in _separated(digits, language):
            plain = number.count(".") < 2
            yield Fraction(number) * Fraction(10) ** int(exponent or 0) + more if plain else number


def ascii_digits(text: str) -> str:
    """Digits of any script as 0 to 9, and the Arabic separators as a point and a comma."""
    if text.isascii():
        return text
    text = text.replace("\u066b", ".").replace("\u066c", ",")
    return "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)


def _power(digits: str, raised: str, language: str | None, *, times_ten: bool) -> Fraction | str:
    exponent = unicodedata.normalize("NFKC", raised).replace("\u2212", "-").lstrip("^*").strip("{}()")
    (base, *others) = _separated(digits, language)
    if len(exponent) < 4 and not others and base.count(".") < 2 and (times_ten or base == "10"):
        return (Fraction(base) if times_ten else 1) * Fraction(10) ** int(exponent)
    return f"{digits}{'x10' if times_ten else ''}^{exponent}"


def _separated(digits: str, language: str | None) -> Iterator[str]:
    """The number, or numbers, that digits with separators are, with a decimal point at most; versions as written."""
    groups = digits.replace(",", ".").split(".")
    separators = set(digits) & {".", ","}
    thousands = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    grouping = {"," if language not in COMMA_DECIMAL else "", "." if language in POINT_GROUPS else ""}
    if len(separators) == 2:  # 1,000.5 or 1.000,5: the last one separates decimals
        yield f"{''.join(groups[:-1])}.{groups[-1]}"
    elif len(groups) == 2 and not (separators <= grouping and thousands and groups[0].lstrip("0")):
        yield ".".join(groups)
    elif len(groups) == 1 or thousands or (separators == {","} and _indian().fullmatch(digits)):
        yield "".join(groups)
    elif separators == {","}:  # a list without spaces
        yield from (number for group in groups for number in _separated(group, language))
    else:  # a version or an address, such as 192.168.0.1
        yield digits


_WITHIN = dict.fromkeys(map(ord, "_'’ \u00a0\u202f\u2009"))


@cache
def _indian() -> "regex.Pattern[str]":
    """Lakhs and crores: `1,00,000`."""
    return regex.compile(r"\d{1,2}(?:,\d\d)+,\d{3}")
