"""Facts: whether the numbers, dates, units and URLs of the baseline are still there. Embeddings are blind to them."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import ClassVar, Literal

import regex

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.words import LETTER


class Facts(Metric):
    """`facts_kept`: share of the baseline's numbers, dates, times and URLs that are in the candidate, each as often.

    In [0, 1], 1 = all kept; what the candidate adds doesn't count, so it isn't symmetric. None where the baseline has
    none. Compared by value: `1,000` = `1000` = `1_000`, `3.0` = `3`, `٣` = `3`, `5 km` = `5km` = `5 kilometers`,
    `March 5, 2024` = `5. März 2024` = `2024-03-05`. A number carries its sign, its currency and its unit, so `5 km` is
    not kept by `5 miles`. A single comma before three digits groups thousands, any other separates decimals; a single
    point separates decimals (German `1.000` reads as 1, in both texts). `03/04/2024` stays as it is written. Numbers
    in words, the numbers of list items (`1.` at the start of a line) and digits inside words (`w4a16`) aren't facts.
    """

    kind: Literal["facts"] = "facts"

    packages: ClassVar[tuple[str, ...]] = ("regex",)

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        retention = [_retention(Counter(facts(p.baseline.text)), Counter(facts(p.candidate.text))) for p in pairs]
        return [Column.of("facts_kept", retention)]


def facts(text: str) -> Iterator[str]:
    """The facts of a text in normal form, in their order: `-3`, `5 km`, `$1000`, `2024-03-05`, `12:30`, a URL."""
    for match in _pattern().finditer(text):
        groups = {name: group or "" for name, group in match.groupdict().items()}
        if groups["url"]:
            yield _url(groups["url"])
        elif groups["date"]:
            yield _date(groups)
        elif groups["clock"]:
            yield _clock(groups)
        elif groups["digits"]:
            yield from _quantities(groups)


def _retention(baseline: Counter[str], candidate: Counter[str]) -> float | Side:
    return (baseline & candidate).total() / baseline.total() if baseline else "pair"


def _url(url: str) -> str:
    """The URL without the sentence's punctuation after it, its host in lower case."""
    url = url.rstrip(".,;:!?)'*_`/")
    host: str = regex.match(r"(?:\w+://)?[^/?#]*", url)[0]
    return host.lower() + url[len(host) :]


def _clock(parts: dict[str, str]) -> str:
    hour, _, rest = _ascii_digits(parts["clock"]).partition(":")
    return f"{int(hour)}:{rest}{parts['half'].strip().casefold().replace('.', '')}"


def _date(parts: dict[str, str]) -> str:
    """Year-month-day as in ISO 8601, without what isn't given; with slashes, day and month could be either and stay."""
    numbers = {name: _ascii_digits(parts[name]).lstrip("0") for name in ("year", "month", "day")}
    if parts["slashed"]:
        return "/".join(_ascii_digits(number).lstrip("0") for number in parts["slashed"].split("/"))
    month = numbers["month"] or str(_MONTHS[parts["name"].casefold()[:3]])
    return f"{numbers['year']}-{month.zfill(2)}-{numbers['day'].zfill(2) if numbers['day'] else ''}".strip("-")


def _quantities(parts: dict[str, str]) -> Iterator[str]:
    word, slash, per = parts["word"].partition("/")
    unit = _units().get(word, "")
    unit = f"{unit}{slash}{per}" if unit else "" if parts["gap"] else word.casefold()
    sign = "-" if parts["sign"] in ("-", "\u2212") else ""
    for number in _numbers(_ascii_digits(parts["digits"])):
        yield f"{sign if number != '0' else ''}{parts['currency']}{number} {unit}".rstrip()


def _numbers(digits: str) -> Iterator[str]:
    """The value, or values, that digits with separators stand for, without the zeros that don't matter."""
    digits, _, exponent = digits.translate(_WITHIN_NUMBERS).casefold().partition("e")
    groups = digits.replace(",", ".").split(".")
    separators = set(digits) & {".", ","}
    thousands = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    if len(separators) == 2:  # 1,000.5 or 1.000,5: the last one separates decimals
        whole, decimals = "".join(groups[:-1]), groups[-1]
    elif len(groups) == 2 and not (separators == {","} and thousands):
        whole, decimals = groups
    elif len(groups) == 1 or thousands:
        whole, decimals = "".join(groups), ""
    elif separators == {","}:  # a list without spaces
        for group in groups:
            yield from _numbers(group)
        return
    else:  # a version or an address, such as 192.168.0.1
        yield digits
        return
    decimals = decimals.rstrip("0")
    yield (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "") + (f"e{exponent}" if exponent else "")


def _ascii_digits(text: str) -> str:
    """Digits of any script as 0 to 9, and the Arabic separators as ours."""
    if text.isascii():
        return text
    text = text.replace("\u066b", ".").replace("\u066c", ",")
    return "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)


_WITHIN_NUMBERS = dict.fromkeys(map(ord, "_'’\u00a0\u202f\u2009"))
_MONTHS = {
    **{"jan": 1, "feb": 2, "mar": 3, "mär": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9},
    **{"oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12},
}
_MONTH = (
    r"(?P<name>Jan(?:uary|uar)?|Feb(?:ruary|ruar)?|Mar(?:ch)?|März|Apr(?:il)?|May|Mai|June?|Juni|July?|Juli|Aug(?:ust)?"
    r"|Sept?(?:ember)?|O[ck]t(?:ober)?|Nov(?:ember)?|De[cz](?:ember)?)\b\.?"
)

# The first of each line is the unit's normal form.
_UNITS = """
% percent Prozent
°C
°F
km kilometer kilometers kilometre kilometres Kilometer
m meter meters metre metres Meter
cm centimeter centimeters centimetre centimetres Zentimeter
mm millimeter millimeters millimetre millimetres Millimeter
µm μm micrometers micrometres
nm nanometer nanometers nanometre nanometres
mi mile miles Meilen
ft foot feet
inch inches Zoll
yd yard yards
kg kilogram kilograms Kilogramm
g gram grams Gramm
mg milligram milligrams Milligramm
tonne tonnes Tonnen
lb lbs pound pounds
oz ounce ounces
l L liter liters litre litres Liter
ml mL milliliter milliliters millilitre millilitres Milliliter
cup cups
tsp teaspoon teaspoons
tbsp tablespoon tablespoons
ms millisecond milliseconds
s sec second seconds Sekunde Sekunden
min minute minutes Minuten
h hr hrs hour hours Stunde Stunden
day days Tag Tage Tagen
week weeks Woche Wochen
month months Monat Monate Monaten
year years Jahr Jahre Jahren
Hz
kHz
MHz
GHz
byte bytes
KB kB
MB
GB
TB
bit bits
W watt watts Watt
kW
MW
kWh
V volt volts Volt
J joule joules
mph
$ USD dollar dollars Dollar
€ EUR euro euros Euro
£ GBP
¥ JPY yen
thousand Tausend
million millions Million Millionen
billion billions
trillion trillions
"""


@cache
def _units() -> dict[str, str]:
    return {name: line.split()[0] for line in _UNITS.split("\n") for name in line.split()}


@cache
def _pattern() -> "regex.Pattern[str]":
    digit, space = r"\p{Nd}", r"[ \u00A0\u202F\u2009]"
    year, one_or_two = rf"(?P<year>{digit}{{4}})(?!{digit})", rf"{digit}{{1,2}}"
    month, day = rf"(?P<month>{one_or_two})", rf"(?P<day>{one_or_two})"
    nth = rf"{day}(?!{digit})(?:st|nd|rd|th|\.)?"
    dates = (
        rf"(?P<year>{digit}{{4}})(?P<mark>[-/.]){month}(?P=mark){day}(?!{digit})",
        rf"{day}\.{space}?{month}\.{space}?{year}",
        rf"(?P<slashed>{one_or_two}/{one_or_two}/{digit}{{2,4}})(?!{digit})",
        rf"(?P<year>{digit}{{4}})年{month}月(?:{day}日)?",
        rf"{nth}{space}(?:of{space})?{_MONTH}(?:,?{space}{year})?",
        rf"{_MONTH}{space}{nth}(?:,?{space}{year})?",
        rf"{_MONTH},?{space}{year}",
    )
    number = (
        rf"(?P<sign>(?<![)\]}}])[-+\u2212])?(?P<currency>[$€£¥₹]{space}?)?"
        rf"(?P<digits>{digit}+(?:[.,_'’\u066B\u066C]{digit}+|[\u00A0\u202F\u2009]{digit}{{3}}(?!{digit}))*+"
        rf"(?:[eE][-+]?{digit}+)?)"
        rf"(?=(?P<gap>[-\u00A0\u202F\u2009 ]?)(?P<word>(?:%|[$€£¥](?!{space}?{digit})|°?{LETTER}*)(?:/{LETTER}+)?))"
    )
    return regex.compile(
        r"(?P<url>(?:https?://|www\.)[^\s<>\"\[\]`]+)"
        rf"|(?<!{LETTER})(?:(?P<date>{'|'.join(dates)})"
        rf"|(?m:^)[ \t]*{digit}{{1,3}}[.)](?=\s)"
        rf"|(?P<clock>{one_or_two}:{digit}{{2}}(?::{digit}{{2}})?)(?!{digit})(?P<half>{space}?[AaPp]\.?[Mm]\b\.?)?"
        rf"|{number})",
        regex.V1,
    )
