"""Relations of numbers: "at least 5", "< 5", "5 or more"."""

from functools import cache, lru_cache

import regex

SIGNS = {"least": ">=", "most": "<=", "more": ">", "less": "<"}
"""A relation's sign, by the name of its group in the patterns."""
CHARACTERS_BEFORE = 24
"""How far before a number its relation may begin."""


def relation_of(text: str, start: int, end: int) -> tuple[str, int]:
    """The relation before or after a number that ends at `end`, and where it ends itself."""
    if before := _relation_before(text[max(0, start - CHARACTERS_BEFORE - 1) : start]):
        return before, end
    after = _relations_after().match(text, end)
    return next(((sign, after.end()) for group, sign in SIGNS.items() if after and after[group]), ("", end))


@lru_cache(maxsize=4096)
def _relation_before(text: str) -> str:
    """The relation at the end of a text, of which a first character beyond the limit only ends a word."""
    before = _relations_before().search(text, max(0, len(text) - CHARACTERS_BEFORE))
    return next((sign for group, sign in SIGNS.items() if before and before[group]), "")


@cache
def _relations_before() -> "regex.Pattern[str]":
    least = (
        r"≥|>=|⩾|at least|no less than|not less than|no fewer than|minimum (?:of )?|mindestens|wenigstens|कम से कम"
        r"|au moins|al menos|por lo menos|como mínimo|almeno|come minimo|(?:pelo|ao) menos|no mínimo|minstens"
        r"|ten minste|tenminste"
    )
    most = (
        r"≤|<=|⩽|at most|up to|no more than|not more than|not exceeding|maximum (?:of )?|höchstens|maximal|bis zu"
        r"|au plus|au maximum|jusqu'à|como máximo|a lo sumo|hasta|al massimo|fino a|no máximo|até|hoogstens|maximaal"
        r"|अधिकतम|ज़्यादा से ज़्यादा"
    )
    more = (
        r"(?<![-=])>|more than|greater than|larger than|over|above|exceed(?:s|ing)?|mehr als|über|plus de|más de"
        r"|più di|oltre|mais de|meer dan"
    )
    less = (
        r"<(?![-/])|less than|fewer than|smaller than|under|below|weniger als|unter|moins de|menos de|meno di"
        r"|minder dan"
    )
    han = (
        r"至少|不少于|不低于|最少|少なくとも",
        r"最多|不超过|不多于|至多|不高于|最大で",
        r"超过|多于|大于|高于",
        r"少于|小于|低于|不到|不足",
    )
    words = "|".join(f"(?P<{name}>{group})" for name, group in zip(SIGNS, (least, most, more, less), strict=True))
    signs = "|".join(f"(?P<{name}>{group})" for name, group in zip(SIGNS, han, strict=True))
    return regex.compile(
        rf"(?:(?<!\p{{L}})(?:{words})(?:[ \u00a0*_]|of )*|(?:{signs})[ \u00a0*_]*)$", regex.I | regex.V1
    )


@cache
def _relations_after() -> "regex.Pattern[str]":
    least = (
        r"(?:or|and) (?:more|above|higher|greater|older|over|up)|oder mehr|ou plus|o más|o più|ou mais|of meer"
        r"|\+(?!\p{N})|以上"
    )
    most = (
        r"(?:or|and) (?:less|fewer|below|lower|younger|under)|oder weniger|ou moins|o menos|o meno|of minder|以下|以内"
    )
    more, less = r"से (?:अधिक|ज़्यादा|ज्यादा)", r"से कम|未満|以内"
    words = rf"(?P<least>{least})|(?P<most>{most})|(?P<more>{more})|(?P<less>{less})"
    return regex.compile(rf"[ \u00a0]?(?:{words})", regex.IGNORECASE | regex.V1)
