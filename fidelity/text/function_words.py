"""Which of the languages with word lists a text is in, by its function words; also of short texts."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache

import regex

from fidelity.text.languages import language_likelihoods
from fidelity.text.remembered import remembered

FUNCTION_WORDS = {
    "en": "the of and to a in is that it for on with as are be this by or an from at you your can will have has not "
    "if which was were they their we our but what when how all there he she his her i do does did should would "
    "could may",
    "de": "der die das und in zu den ist nicht von mit sich des auf für im dem ein eine einen einer als auch es an "
    "wird werden sind oder bei wie aus sie ich er wir kann hat haben zur zum nach durch wenn dass man kein "
    "keine",
    "fr": "le la les de des du et à en un une est que qui dans pour pas sur au avec ce il elle par plus ne se sont "
    "ou vous nous je son sa ses cette être avoir aux comme mais",
    "es": "el la los las de del y a en un una es que por para con no se su sus al lo como más o pero este esta son "
    "ser está puede si sobre entre hay",
    "it": "il lo la i gli le di del della dei e a in un una è che per con non si da sono al come più o ma questo "
    "questa anche essere nel nella ha",
    "pt": "o a os as de do da dos das e em um uma é que por para com não se seu sua no na ao como mais ou mas este "
    "esta são ser está pode você",
    "nl": "de het een en van in is dat op te met voor zijn niet aan er om ook als bij of naar door deze dit worden "
    "wordt kan ik je hij we maar",
    "ru": "и в не на что с по это как а но к у из за от для о так же то его он она они мы вы бы если или при является "
    "быть может можно нельзя все вам",
    "hi": "के की का में है और को से हैं पर एक यह कि भी ने लिए नहीं तो हो कर था थी इस ही या जो आप",
}
LISTED = frozenset({*FUNCTION_WORDS, "zh", "ja"})
FEW = 20
"""Words up to which py3langid is asked too."""
FEWEST = 4
"""A text of fewer words, without enough evidence, is read as English."""
MIN_SHARE = 0.12
"""Of a text's words; running text has a third and more, another language a few by chance."""
WEIGHT = 3.0
"""Of a function word, in nats, shared among the languages that have it."""
OUTSIDE = {"ru": 3}
"""Languages without a list that share most of a language's function words: Bulgarian, Serbian, Ukrainian."""
BY_SCRIPT = {"en": r"\p{Latin}", "ru": r"\p{Cyrillic}", "hi": r"\p{Devanagari}"}
"""The language of a few words without evidence."""
LEAST, LEAST_OF_FEWEST = -2.0, -0.25
"""A short text's evidence for its language, in nats: py3langid's log-probability and its function words."""


@remembered
def listed_language(text: str) -> str | None:
    """ISO 639 code of the language with a list that a text is in; None for another one, or without evidence.

    The language of a longer text is the one whose function words are most of it. In a text of up to 20 words they are
    weighed with py3langid's probabilities.
    """
    words = regex.findall(r"\p{L}[\p{L}\p{M}'’]*", text.casefold())
    if not words:
        return None
    if 2 * len(regex.findall(r"[\p{Han}\p{Hiragana}\p{Katakana}]", text)) > sum(map(len, words)):
        return "ja" if regex.search(r"[\p{Hiragana}\p{Katakana}]", text) else "zh"
    if len(words) <= FEW:
        return _of_few(words, text)
    counts = dict.fromkeys(FUNCTION_WORDS, 0)
    for word, times in Counter(words).items():
        for code in _languages_of().get(word, ()):
            counts[code] += times
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] / len(words) >= MIN_SHARE else None


def listed_languages(baseline: str, candidate: str) -> tuple[str | None, str | None]:
    """Of two texts. One without evidence of its own is in the other's language, or in what both are together.

    Texts of fewer than four words without any evidence are read in the first language of their script.
    """
    own, other = listed_language(baseline), listed_language(candidate)
    if (own != other or own is None) and _share_words(baseline, candidate):
        both = listed_language(f"{baseline} {candidate}")
        own, other = (both, both) if both and (both in (own, other) or own is None or other is None) else (own, other)
    return own or _of_short(baseline, other), other or _of_short(candidate, own)


def _share_words(baseline: str, candidate: str) -> bool:
    """Whether two texts are short, and one has half of the other's words."""
    words = [set(regex.findall(r"\p{L}[\p{L}\p{M}]*", text.casefold())) for text in (baseline, candidate)]
    fewer = min(map(len, words))
    return max(map(len, words)) <= FEW and 2 * len(words[0] & words[1]) >= fewer > 0


def _of_short(text: str, other: str | None) -> str | None:
    words = regex.findall(r"\p{L}+", text)
    if len(words) >= FEWEST:
        return None
    likelihoods = language_likelihoods(text) or {}
    if any(math.log(p) > LEAST_OF_FEWEST for code, p in likelihoods.items() if code not in LISTED):
        return None
    return other or next((c for c, script in BY_SCRIPT.items() if all(regex.match(script, w) for w in words)), None)


def _of_few(words: Sequence[str], text: str) -> str | None:
    likelihoods = language_likelihoods(text, letters=1)
    if likelihoods is None:
        return None
    evidence = {code: math.log(likelihood) for code, likelihood in likelihoods.items()}
    for word in words:
        codes = _languages_of().get(word, ())
        for code in codes:
            evidence[code] += WEIGHT / (len(codes) + OUTSIDE.get(code, 0))
    best = max(evidence, key=lambda code: evidence[code])
    least = LEAST if len(words) >= FEWEST else LEAST_OF_FEWEST
    return best if best in LISTED and evidence[best] >= least else None


@cache
def _languages_of() -> Mapping[str, Collection[str]]:
    """The languages that have a function word."""
    words = {word for code in FUNCTION_WORDS for word in function_words(code)}
    return {word: [code for code in FUNCTION_WORDS if word in function_words(code)] for word in words}


@cache
def function_words(code: str | None) -> Collection[str]:
    """A language's function words, case-folded; none for a language that isn't listed."""
    return frozenset(FUNCTION_WORDS.get(code or "", "").split())
