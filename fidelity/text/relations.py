"""Relations of numbers: "at least 5", "< 5", "5 or more"."""

from functools import cache

import regex

SIGNS = {"least": ">=", "most": "<=", "more": ">", "less": "<"}
"""A relation's sign, by the name of its group in the patterns."""
CHARACTERS_BEFORE = 24
"""How far before a number its relation may begin."""


def relation_of(text: str, start: int, end: int) -> tuple[str, int]:
    """The relation before or after a number that ends at `end`, and where it ends itself."""
    before = _relations_before().search(text, max(0, start - CHARACTERS_BEFORE), start)
    after = None if before else _relations_after().match(text, end)
    for group, sign in SIGNS.items():
        if (before and before[group]) or (after and after[group]):
            return sign, after.end() if after else end
    return "", end


@cache
def _relations_before() -> "regex.Pattern[str]":
    least = r"≥|>=|⩾|at least|no less than|not less than|no fewer than|minimum (?:of )?|mindestens|wenigstens|कम से कम"
    most = r"≤|<=|⩽|at most|up to|no more than|not more than|not exceeding|maximum (?:of )?|höchstens|maximal|bis zu"
    more = r"(?<![-=])>|more than|greater than|larger than|over|above|exceed(?:s|ing)?|mehr als|über|plus de|más de"
    less = r"<(?![-/])|less than|fewer than|smaller than|under|below|weniger als|unter|moins de|menos de"
    groups = (rf"(?P<least>{least}|au moins|al menos)", rf"(?P<most>{most}|au plus|como máximo)")
    words = "|".join((*groups, rf"(?P<more>{more})", rf"(?P<less>{less})"))
    return regex.compile(rf"(?<!\p{{L}})(?:{words})(?:[ \u00a0*_]|of )*$", regex.IGNORECASE | regex.V1)


@cache
def _relations_after() -> "regex.Pattern[str]":
    least = r"(?:or|and) (?:more|above|higher|greater|older|over|up)|oder mehr|ou plus|o más|\+(?!\p{N})"
    most = r"(?:or|and) (?:less|fewer|below|lower|younger|under)|oder weniger|ou moins|o menos"
    more, less = r"से (?:अधिक|ज़्यादा|ज्यादा)", r"से कम"
    words = rf"(?P<least>{least})|(?P<most>{most})|(?P<more>{more})|(?P<less>{less})"
    return regex.compile(rf"[ \u00a0]?(?:{words})", regex.IGNORECASE | regex.V1)
