"""Refusals: whether a text starts by declining to answer, in the assistant's own voice."""

from collections import defaultdict
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import regex

from fidelity.text.normalization import normalize
from fidelity.text.remembered import remembered

LANGUAGES = ("en", "de", "es", "fr", "pt", "it", "nl", "ru", "hi", "zh", "ja", "ko", "ar")
"""Each has a file in `refusal_patterns`."""
WITHIN = r"[^.!?。！？।؟\n]"
"""A character within one sentence; `~` in the patterns."""

READ = 2_000
"""Characters that are read, to see where quotations end."""
BEGINNING = 500
"""A refusal begins in so many first characters, quotations and code left out."""
SENTENCES = 4
"""And in one of so many first sentences."""
TAIL = 40
"""Characters after a refusal in which it may turn out to be somebody else's."""

AS_A_MODEL = (
    r"\bas an? (?:\S+ ){0,3}?(?:AI|artificial intelligence|language model|assistant)\b|\bals (?:KI|Sprachmodell)"
    r"|\bcomo (?:una? )?(?:modelo|IA|inteligencia|assistente|asistente)|\ben tant qu|\bcome (?:modello|IA|assistente)"
    r"|\bкак (?:языков|ИИ|искусствен)|作(?:为|為)|として|एआई"
)
ANSWER_AFTER_ALL = (
    r"\b(?:but|however|that said|aber|jedoch|pero|sin embargo|mais|cependant|mas|no entanto|ma|tuttavia|но|однако)\b"
    r"[^.!?\n]{0,30}?\b(?:I(?:'ll| can(?!'t)| could(?!n't)| will)|here|this|it|the|ich|puedo|je peux|posso|могу)\b"
    r"|(?:但|不过|不過)[^。\n]{0,15}(?:可以|能)|(?:ただし|しかし)[^。\n]{0,40}できます|(?:लेकिन|हालाँकि)[^।\n]{0,60}सकत"
)
"""After "As an AI, I can't ...": the answer comes all the same."""


@remembered
def refuses(text: str) -> bool:
    """Whether one of the first four sentences declines to answer, in the first 500 characters.

    Sentences are read by patterns of thirteen languages (`refusal_patterns`): English, German, Spanish, French,
    Portuguese, Italian, Dutch, Russian, Hindi, Chinese, Japanese, Korean and Arabic. Quotations, code and what others
    are reported to have declined don't count, and neither does a draft that an answer begins with ("Here is a polite
    refusal"). "As an AI, I can't ..., but" is a disclaimer before an answer.
    """
    beginning = _own_words(text)
    if not beginning or any(language.answers.match(beginning) for language in _languages()):
        return False
    sentences = [match for match in _sentence().finditer(beginning) if match.group().strip()][:SENTENCES]
    return any(
        _declines(sentence.group())
        and not (_as_a_model().search(sentence.group()) and _answer_after_all().search(beginning, sentence.start()))
        for sentence in sentences
    )


def _own_words(text: str) -> str:
    """The beginning, normalized, without code and quotations; if it is one quotation, that without its marks."""
    start: str = _code().sub(" ", normalize(text[:READ]))
    own: str = _quotation().sub(" ", start)
    if not any(map(str.isalpha, own)):
        own = start
    own = _markup().sub("", own)
    return own.strip()[:BEGINNING]


def _declines(sentence: str) -> bool:
    for language in _languages():
        refusal = language.script.search(sentence) and language.declines.search(sentence)
        if refusal and not _is_reported(sentence, refusal.end(), language.reports):
            return True
    return False


def _is_reported(sentence: str, end: int, reporting: "regex.Pattern[str]") -> bool:
    """Whether the refusal is somebody else's: "she said that I can't", "I can't, said the bear"."""
    if reporting.search(sentence, 0, end):
        return True
    after = reporting.search(sentence, end, end + TAIL)
    return after is not None and bool(regex.search("[,，、]", sentence[end : after.start()]))


class _Language(NamedTuple):
    script: "regex.Pattern[str]"
    """A letter of it: without one, the rest is not tried."""
    declines: "regex.Pattern[str]"
    """The speaker's own refusal, in one sentence of normalized text."""
    reports: "regex.Pattern[str]"
    """Before it, or soon after a comma behind it: somebody else declines, or nobody does yet (if, when)."""
    answers: "regex.Pattern[str]"
    """At a text's very beginning: an answer, a draft or a letter follows."""


@cache
def _languages() -> tuple[_Language, ...]:
    return tuple(map(_language, LANGUAGES))


def _language(code: str) -> _Language:
    """A file's lines are a key and a pattern; keys in capitals name a part, which patterns have in braces."""
    lines = (files("fidelity.text") / "refusal_patterns" / f"{code}.txt").read_text(encoding="utf-8").splitlines()
    patterns: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    for line in lines:
        key, _, pattern = line.partition(" ")
        for name, value in names.items():
            pattern = pattern.replace(f"{{{name}}}", value)
        if key.isupper():
            names[key] = pattern
        elif key != "#":
            patterns[key].append(pattern)
    return _Language(**{key: _compiled("|".join(alternatives)) for key, alternatives in patterns.items()})


@cache
def _as_a_model() -> "regex.Pattern[str]":
    return _compiled(AS_A_MODEL)


@cache
def _answer_after_all() -> "regex.Pattern[str]":
    return _compiled(ANSWER_AFTER_ALL)


def _compiled(pattern: str) -> "regex.Pattern[str]":
    return regex.compile(pattern.replace("~", WITHIN), regex.IGNORECASE | regex.V1)


@cache
def _sentence() -> "regex.Pattern[str]":
    return regex.compile(rf"{WITHIN}+(?:[.!?。！？।؟]+|\n|$)")


@cache
def _code() -> "regex.Pattern[str]":
    return regex.compile(r"```.*?(?:```|\Z)|`[^`\n]+`|^\s*>[^\n]*", regex.DOTALL | regex.MULTILINE)


@cache
def _quotation() -> "regex.Pattern[str]":
    single = r"(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){3,300}+'(?!\w)"
    return regex.compile(rf'"[^"\n]{{1,500}}"|«[^»\n]{{1,500}}»|「[^」\n]{{1,500}}」|『[^』\n]{{1,500}}』|{single}')


@cache
def _markup() -> "regex.Pattern[str]":
    return regex.compile(r"[*_#]+|^\s*(?:assistant|answer|response)\s*:", regex.IGNORECASE)
