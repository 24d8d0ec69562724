"""Which of the languages with word lists a text is in, by its function words; also of short texts."""

from collections import Counter
from collections.abc import Collection
from functools import cache

import regex

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
FEWEST = 4
"""The language of a text with fewer words is unknown, unless its script determines it."""
MIN_SHARE = 0.12
"""Of a text's words; running text has a third and more, another language a few by chance."""


def listed_language(text: str) -> str | None:
    """ISO 639 code of the language whose function words are most of them; None where none has enough, or no words."""
    words = regex.findall(r"\p{L}[\p{L}\p{M}'’]*", text.casefold())
    if not words:
        return None
    if 2 * len(regex.findall(r"[\p{Han}\p{Hiragana}\p{Katakana}]", text)) > sum(map(len, words)):
        return "ja" if regex.search(r"[\p{Hiragana}\p{Katakana}]", text) else "zh"
    if len(words) < FEWEST:
        return None
    counts = Counter(words)
    shares = {code: sum(counts[word] for word in function_words(code)) / len(words) for code in FUNCTION_WORDS}
    best = max(shares, key=lambda code: shares[code])
    return best if shares[best] >= MIN_SHARE else None


def listed_languages(baseline: str, candidate: str) -> tuple[str | None, str | None]:
    """Of two texts; one of fewer than four words in Latin letters is read in the other's language, else as English."""
    own, other = listed_language(baseline), listed_language(candidate)
    return (own or _of_short(baseline, other)), (other or _of_short(candidate, own))


def _of_short(text: str, other: str | None) -> str | None:
    words = regex.findall(r"\p{L}+", text)
    return (other or "en") if len(words) < FEWEST and all(regex.match(r"\p{Latin}", word) for word in words) else None


@cache
def function_words(code: str | None) -> Collection[str]:
    """A language's function words, case-folded; none for a language that isn't listed."""
    return frozenset(FUNCTION_WORDS.get(code or "", "").split())
