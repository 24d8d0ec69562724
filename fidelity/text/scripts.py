"""Scripts: whether a text has letters of a writing system that another one lacks."""

from collections import Counter
from functools import cache

import regex

SCRIPTS = (
    *("Han", "Hiragana", "Katakana", "Bopomofo", "Hangul", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari"),
    *("Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao"),
    *("Khmer", "Myanmar", "Tibetan", "Georgian", "Armenian", "Ethiopic", "Mongolian"),
)
"""All that answers come in, but Latin, which names and terms are written with in every language."""
LEAST = {"Han": 1, "Hiragana": 1, "Katakana": 1, "Hangul": 1}
"""Letters that make a script new; two of the others. Greek counts by the word, since formulas have its letters."""
TOGETHER = ({"Hiragana", "Katakana", "Han"}, {"Han", "Bopomofo"})
"""A text in one of these may use the others: kana brings Han along, but Han doesn't bring kana."""


def foreign_scripts(baseline: str, candidate: str, prompt: str = "") -> set[str]:
    """The scripts other than Latin of which the candidate has letters, and neither the baseline nor the prompt has any.

    A gloss doesn't count: what is in brackets or quotation marks. Greek counts from words of three letters on.
    """
    if candidate.isascii():
        return set()
    counts = _counts(_gloss().sub(" ", candidate))
    known = _counts(baseline).keys() | _counts(prompt).keys()
    if known & {"Hiragana", "Katakana"}:
        known |= TOGETHER[0]
    if "Bopomofo" in known:
        known |= TOGETHER[1]
    return {script for script, count in counts.items() if script not in known and count >= LEAST.get(script, 2)}


def _counts(text: str) -> Counter[str]:
    """Letters by script, without Latin's."""
    if text.isascii():
        return Counter()
    counts: Counter[str] = Counter()
    for word in _words().finditer(text):
        script = str(word.lastgroup)
        length = len(word.group())
        if script != "Greek" or length >= 3:
            counts[script] += length
    return counts


@cache
def _words() -> "regex.Pattern[str]":
    """A run of letters of one script. Marks belong to them, also those that several scripts share."""
    scripts = "|".join(rf"(?P<{script}>(?:(?=\p{{L}})\p{{Script={script}}}\p{{M}}*+)++)" for script in SCRIPTS)
    return regex.compile(rf"(?=[\p{{L}}--\p{{Script=Latin}}])(?:{scripts})", regex.V1)


@cache
def _gloss() -> "regex.Pattern[str]":
    pairs = [
        tuple(map(regex.escape, pair)) for pair in ("()", "[]", "（）", "【】", "「」", "『』", "«»", "“”", "„“", '""')
    ]
    return regex.compile("|".join(rf"{left}[^\n{left}{right}]{{1,200}}{right}" for left, right in pairs))
