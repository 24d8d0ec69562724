"""Names of units, months and weekdays: CLDR's, by way of Babel, in eight languages."""

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

LOCALES = ("en", "de", "hi", "fr", "es", "it", "pt", "nl")
"""Where two languages give a name to different units, the first one's meaning counts."""

AMBIGUOUS = frozenset(
    (
        *("a", "ab", "ago", "al", "am", "an", "as", "at", "bu", "ch", "el", "en", "es", "fun", "G", "in", "item"),
        *("items", "ken", "night", "nights", "part", "parts", "pi", "pm", "po", "rod", "st", "sun", "to", "us"),
    )
)
"""Names and symbols that are everyday words, or units of one country."""

MORE_UNITS = """
inch ″
microgram mcg ug
kilometer 公里 千米
meter 米
kilogram 公斤 千克
milligram 毫克
hour 小时 小時 時間
minute 分钟 分鐘
day 天 日
year 年
gram g gm gms
hour h hrs Std
minute mins Min
second secs s
millisecond ms
day d
percent pct ٪ % pour-cent
byte B bytes
bit bits
kilobyte KB
kibibyte KiB
mebibyte MiB
gibibyte GiB
tebibyte TiB
liter l litre litres
meter m metre metres
kilometer kilometre kilometres
centimeter centimetre centimetres
millimeter millimetre millimetres
milliliter millilitre millilitres
tonne metric-ton
pound lbs
gallon gal
kilometer/hour kph kmh
mile/hour mph
liter L
milliliter mL
tablespoon tbsp
teaspoon tsp
pixel px
$ USD dollar dollars Dollar US$ 美元 美金
€ EUR euro euros Euro 欧元 歐元
£ GBP 英镑
¥ JPY yen 円 日元 日円
₹ INR rupee rupees Rs रुपये रुपए
cent cents Cent ¢
"""
"""Spellings that CLDR leaves out: the unit's name, then how else it is written."""

PERCENTAGE_POINT = """
percentage points|percentage point|Prozentpunkt|Prozentpunkte|Prozentpunkten|points de pourcentage|point de pourcentage
puntos porcentuales|punto porcentual|punti percentuali|punto percentuale|pontos percentuais|ponto percentual
procentpunt|procentpunten|процентных пункта|процентных пунктов|प्रतिशत अंक|百分点|個百分點|个百分点|ポイント
"""
"""Names of the difference between two percentages, which is not a percentage itself."""

FACTORS = {
    "length": {"kilometer": 10**6, "meter": 1000, "decimeter": 100, "centimeter": 10, "millimeter": 1},
    "mass": {"metric-ton": 10**9, "tonne": 10**9, "kilogram": 10**6, "gram": 1000, "milligram": 1},
    "volume": {"liter": 1000, "deciliter": 100, "centiliter": 10, "milliliter": 1},
    "time": {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1},
    "months": {"year": 12, "month": 1},
}
"""How many of its dimension's smallest unit a unit is."""

PREFIXES = ("y", "z", "a", "f", "p", "n", "µ", "u", "m", "c", "d", "h", "k", "K", "M", "G", "T", "P", "E")
SYMBOLS = "m g s A K mol N Pa J W C V F Ω S Wb T H Hz lm lx Bq Gy Sv kat l L bit b B bps eV cal bar Wh Ah VA M IU U"
"""Every prefix with every symbol is a unit, also those that CLDR doesn't list, such as `ng`, `mPa` and `mAh`."""

SCALES = {
    **{"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "lakh": 5, "crore": 7},
    **{"millions": 6, "billions": 9, "trillions": 12, "bn": 9, "tausend": 3, "millionen": 6, "milliarde": 9},
    **{"milliarden": 9, "mio": 6, "mrd": 9, "mille": 3, "milliard": 9, "milliards": 9, "mil": 3, "millón": 6},
    **{"millones": 6, "mila": 3, "milione": 6, "milioni": 6, "miliardo": 9, "miliardi": 9, "milhão": 6, "milhões": 6},
    **{"bilhão": 9, "bilhões": 9, "duizend": 3, "miljoen": 6, "miljard": 9, "लाख": 5, "करोड़": 7},
    **{"हज़ार": 3, "हजार": 3, "万": 4, "萬": 4, "亿": 8, "億": 8},
}
"""Words that multiply a number by a power of ten (case-folded). German and English billions differ; English counts."""


def unit_name(word: str) -> str | None:
    """The unit's own name, `kilometer` for `km`, `Kilometer`, `kilomètres`; None for what isn't a unit's name.

    Symbols are case-sensitive (`mg`, `Mg`), names aren't.
    """
    units, word = _units(), word.replace("\u03bc", "\u00b5")
    return units.get(word) or units.get(word.casefold())


def is_same_measure(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two values with units are the same in their dimension's smallest unit."""
    for units in FACTORS.values():
        if one[1] in units and other[1] in units:
            with suppress(ValueError):
                return Fraction(one[0]) * units[one[1]] == Fraction(other[0]) * units[other[1]]
    return False


@cache
def month_numbers() -> dict[str, int]:
    """Names of months, and English, German and Hindi abbreviations without their points, as written, to 1 to 12."""
    return {name: number for number, name in _calendar("months") if len(name) > 2} | {"Mär": 3, "Sept": 9, "Dez": 12}


@cache
def weekday_numbers() -> dict[str, int]:
    """Full names of weekdays, as written, to 0 (Monday) to 6."""
    return {name: number for number, name in _calendar("days")}


def _calendar(kind: str) -> Iterator[tuple[int, str]]:
    for locale in reversed(_locales()):
        for context in ("stand-alone", "format"):
            widths = getattr(locale, kind)[context]
            abbreviated = widths["abbreviated"] if kind == "months" and locale.language in LOCALES[:3] else {}
            for number, name in [*widths["wide"].items(), *abbreviated.items()]:
                yield number, name.strip(".॰")
                yield number, unicodedata.normalize("NFD", name).replace("\u093c", "")  # Hindi without nuktas


@cache
def _units() -> dict[str, str]:
    names = {
        prefix + symbol: prefix.replace("u", "µ").replace("K", "k") + symbol
        for symbol in SYMBOLS.split()
        for prefix in ("", *PREFIXES)
        if prefix + symbol not in AMBIGUOUS
    }
    for locale in reversed(_locales()):
        names |= {name: unit for unit, name in _cldr_names(locale) if name not in AMBIGUOUS}
    points = [name for line in PERCENTAGE_POINT.split("\n") for name in line.split("|") if name]
    names |= {spelling: "percentage-point" for name in points for spelling in (name, name.casefold())}
    for line in MORE_UNITS.split("\n"):
        names |= dict.fromkeys(line.split(), line.split()[0]) if line else {}
    return names


def _cldr_names(locale: "Locale") -> Iterator[tuple[str, str]]:
    """Unit and name, for long names (case-folded) and symbols of more than one letter, or of one in English."""
    for identifier, widths in locale._data["unit_patterns"].items():
        unit = identifier.partition("-")[2]
        if identifier.endswith(("-jp", "-person")) or unit in ("generic", "dot", "karat"):
            continue
        for width in ("long", "short"):
            for count, pattern in dict(widths).get(width, {}).items():
                name = pattern.replace("\u00a0", " ").replace("\u202f", " ").replace("{0}", "").strip(" .")
                if count in ("one", "two", "few", "many", "other") and name and (len(name) > 1 or not name.islower()):
                    name = name.replace("\u03bc", "\u00b5")
                    yield unit.replace("-per-", "/"), name.casefold() if width == "long" else name


@cache
def _locales() -> "tuple[Locale, ...]":
    from babel import Locale

    return tuple(Locale.parse(code) for code in LOCALES)
