"""Loops: whether a generation repeats itself without end."""

import string
from functools import cache

import regex

from fidelity.text.remembered import remembered
from fidelity.text.words import words

TIMES = 3
COVERED = 50
LONGEST_PHRASE = 500
TAIL = 20_000
COUNTED_TIMES = 5
"""How often a phrase with changing numbers must repeat."""
COUNTED_WORDS = 2
"""Words with a letter that such a phrase must have: rows of numbers are data."""
CUT_OFF = 3
"""How many last words the token limit may have left incomplete: `don'` of `don't` are two."""
LONGEST_RULE = 200
"""Characters of `====`, `- - -` or `|---|---|` that may be a rule or a table."""
RULE = frozenset("-=_*~#+.|:<>/\\\u00b7\u2022" + "".join(map(chr, [*range(0x2010, 0x2016), *range(0x2500, 0x25A0)])))
"""What rules and tables are drawn with."""
LONGEST_RUN = 100
"""Characters of one phrase in one word, such as `hahaha`; and half as many of white space."""


@remembered
def ends_in_loop(text: str) -> bool:
    """Whether the text ends in a phrase that is there at least 3 times in a row, over at least 50 words in all.

    After `metrics/repetition.py` of Holtzman et al. 2020 ("The Curious Case of Neural Text Degeneration"), where a loop
    is a phrase of 3 words or more that is there twice at the end, or a shorter one more than 50 times. The 50 words
    here are for both, so a chorus is no loop. The text may be cut off anywhere, within a word too. Loops are also

    - a phrase with changing numbers ("Step 7: check the log."), 5 times or more, with 2 words or more;
    - 100 characters of one phrase in one word (`hahaha`), or 50 of white space and what nobody sees.

    A rule (`====`, `|---|---|`) is one from 200 characters on. Of 1,000 answers of GPT-4 (Arena-Hard) none is a loop.

    Words are those of `words`: in scripts without spaces, characters. Phrases of up to 500 words are seen, in the last
    20,000 characters. A loop that was left again is none.
    """
    tail = text[-TAIL:]
    if _blank_end().search(tail) or _runs_on(tail):
        return True
    rules = len(tail) - len(tail.rstrip("".join(RULE) + string.whitespace)) > LONGEST_RULE
    # What repeats also repeats with all numbers alike, so most texts are read once.
    counted = words(_number().sub("0", tail))
    return _repeats(counted, times=TIMES, rules=rules) and (
        _repeats(words(tail), times=TIMES, rules=rules)
        or _repeats(counted, times=COUNTED_TIMES, rules=rules, with_letters=COUNTED_WORDS)
    )


def _repeats(tail: list[str], *, times: int, rules: bool, with_letters: int = 0) -> bool:
    """Whether each of the last words, `times` phrases and at least 50 of them, is the word one phrase before it.

    What is left of an incomplete last word or two must be how the phrase goes on. Without `rules`, a phrase of nothing
    but what rules are drawn with is none.
    """
    for cut_off in range(min(CUT_OFF, len(tail) - 1) + 1):
        whole, rest = tail[: len(tail) - cut_off], "".join(tail[len(tail) - cut_off :])
        for length in range(1, min(LONGEST_PHRASE, len(whole) // times) + 1):
            if whole[-1] != whole[-1 - length]:
                continue
            end = whole[-max(times * length, COVERED) :]
            if len(end) < COVERED or end[length:] != end[:-length]:
                continue
            phrase = end[-length:]
            goes_on = "".join((phrase * (CUT_OFF + 1))[: cut_off + 1])
            lettered = {word for word in phrase if any(map(str.isalpha, word))}
            drawn = not rules and all(RULE.issuperset(word) for word in phrase)
            if goes_on.startswith(rest) and len(lettered) >= with_letters and not drawn:
                return True
    return False


def _runs_on(tail: str) -> bool:
    """Whether the last word is one phrase over and over, for 100 characters or more."""
    end = tail.rsplit(maxsplit=1)[-1][-LONGEST_RUN:] if tail.strip() else ""
    if len(end) < LONGEST_RUN or RULE.issuperset(end):
        return False
    return any(end[length:] == end[:-length] for length in range(1, LONGEST_RUN // TIMES + 1))


@cache
def _number() -> "regex.Pattern[str]":
    return regex.compile(r"\p{Nd}+")


@cache
def _blank_end() -> "regex.Pattern[str]":
    return regex.compile(rf"[\s\p{{Default_Ignorable_Code_Point}}]{{{LONGEST_RUN // 2}}}\Z")
