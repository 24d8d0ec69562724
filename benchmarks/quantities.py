"""Who reads numbers best: `fidelity.text.quantities` and the packages that could replace it, on pairs of texts.

    pip install quantulum3 dateparser pint
    python benchmarks/quantities.py

Each line of `tests/fixtures/quantities.tsv` has two texts that mean the same or not. A reader is wrong where it reads
nothing in the first, where it takes the same for different, or different for the same. Each package is asked about the
subjects that it is made for, in the language of the text. What isn't installed is left out.
"""

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

Reader = Callable[[str, str], list[object]]
DATES, UNITS = ("date", "time"), ("unit",)


def main() -> None:
    warnings.simplefilter("ignore")
    lines = (ROOT / "tests" / "fixtures" / "quantities.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if not line.startswith("#")]
    for name, subjects, read in readers():
        asked = [pair for pair in pairs if not subjects or pair[1] in subjects]
        wrong = sum(is_wrong(read, *pair) for pair in asked)
        print(f"{name} ({', '.join(subjects) or 'all subjects'}): {wrong} of {len(asked)} wrong")


def is_wrong(read: Reader, language: str, _: str, sign: str, one: str, other: str) -> bool:
    try:
        left, right = read(one, language), read(other, language)
    except Exception:  # a reader that fails has read nothing
        return True
    return not left or (left == right) != (sign == "=")


def readers() -> Iterator[tuple[str, tuple[str, ...], Reader]]:
    """Each reader that is installed, with the subjects that it is asked about."""
    from babel.numbers import parse_decimal
    from text_to_num import alpha2digit

    from fidelity.text.quantities import quantities

    yield "fidelity", (), lambda text, language: [q.normal for q in quantities(text, language)]
    yield "Babel", ("thousands",), lambda text, language: [parse_decimal(_written(text), locale=language)]
    yield "text2num", ("words",), lambda text, language: [alpha2digit(text, language, -1)]
    try:
        from quantulum3 import parser

        yield "quantulum3", (), lambda text, _: [(q.value, q.unit.name) for q in parser.parse(text)]
        from dateparser.search import search_dates

        yield "dateparser", DATES, lambda text, language: [str(d) for _, d in search_dates(text, [language]) or []]
        import pint

        units = pint.UnitRegistry()
        yield "pint", UNITS, lambda text, _: [str(units.parse_expression(_quantity(text)).to_base_units())]
    except ImportError as error:
        print(f"not installed: {error.name}")


def _written(text: str) -> str:
    match = re.search(r"\d[\d.,  \u202f]*\d", text)
    return match.group() if match else ""


def _quantity(text: str) -> str:
    match = re.search(r"[-\u2212]?\d[\d.,]*\s*[^\s.,]+(?: per \w+)?", text)
    return match.group() if match else ""


if __name__ == "__main__":
    main()
