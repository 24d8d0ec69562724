"""Languages and scripts: which one a text is in, and whether another text leaves it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import regex

from fidelity.text.blocks import fences, without_fences
from fidelity.text.chunks import split_sentences
from fidelity.text.normalization import with_short_rows
from fidelity.text.scripts import foreign_scripts

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = frozenset(
    (
        *("ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "gu", "he", "hi", "hr"),
        *("hu", "hy", "id", "it", "ja", "ka", "kn", "ko", "lt", "lv", "ml", "mr", "nl", "no", "pa", "pl", "pt", "ro"),
        *("ru", "sk", "sl", "sr", "sv", "sw", "ta", "te", "th", "tr", "uk", "ur", "vi", "zh"),
    )
)
"""Those of the 139 that py3langid knows which short texts aren't mistaken for: no Ladin, no Extremaduran."""
LETTERS = 10
"""Letters that both texts must have, or their UTF-8 as many bytes, for their languages to be compared."""
RATIO = 20.0
"""How much likelier each of two texts must be in its own language than in the other's."""
STRETCH = 25
"""Letters of the stretch at a text's end that is looked at by itself, if its last sentence is shorter."""
STRETCHES = 200
"""Letters of the others."""
STRETCH_RATIO = 1000.0
FOREIGN_SHARE = 0.3
"""Of the letters: so many in another language are a break where the end isn't."""

Likelihoods = Mapping[str, float]


def leaves_language(baseline: str, candidate: str, *, prompt: str = "") -> bool:
    """Whether the candidate is in another language, ends in one, or has a script that baseline and prompt lack.

    - Another language: each text is 20 times likelier in its own than in the other's, to py3langid 0.4 (after Lui and
      Baldwin 2012). Both need ten letters.
    - A switch or a foreign tail: the last sentences, or 30% of the letters, are 1,000 times likelier in a language
      that no part of the baseline is in.
    - A new script: see `foreign_scripts`.

    Code, quotations of code and URLs are left out.
    """
    if baseline == candidate:
        return False
    prose, other = _prose(baseline), _prose(candidate)
    if foreign_scripts(prose, other, prompt):
        return True
    likelihoods, likelihoods_of_other = language_likelihoods(prose), language_likelihoods(other)
    if not likelihoods or not likelihoods_of_other:
        return False
    own, others = _first(likelihoods), _first(likelihoods_of_other)
    if own != others:
        ratios = likelihoods[own] / likelihoods[others], likelihoods_of_other[others] / likelihoods_of_other[own]
        if min(ratios) >= RATIO:
            return True
    return _drifts_off(prose, other, own)


def _drifts_off(baseline: str, candidate: str, own: str) -> bool:
    """Whether the candidate's end, or 30% of it, is in a language that no part of the baseline is in."""
    stretches = list(_stretches(candidate))
    foreign = {place: code for place, stretch in enumerate(stretches) if (code := _foreign(stretch, own))}
    if not foreign:
        return False
    sides = [language_likelihoods(stretch) for stretch in _stretches(baseline)]
    known = {_first(likelihoods) for likelihoods in sides if likelihoods}
    if own not in known:  # formulas and the like, which are in no language
        return False
    new = [place for place, code in foreign.items() if code not in known]
    share = sum(_letters(stretches[place]) for place in new) / max(_letters(candidate), 1)
    return 0 in new or share >= FOREIGN_SHARE


def _foreign(stretch: str, own: str) -> str | None:
    likelihoods = language_likelihoods(stretch)
    if not likelihoods:
        return None
    code = _first(likelihoods)
    return code if code != own and likelihoods[code] >= STRETCH_RATIO * likelihoods[own] else None


def _stretches(prose: str) -> Iterator[str]:
    """The prose in whole sentences, the last ones first: 25 letters at the end, 200 elsewhere."""
    sentences: list[str] = []
    letters, least = 0, STRETCH
    for sentence in reversed(split_sentences(prose)):
        sentences.append(sentence)
        letters += _letters(sentence)
        if letters >= least:
            yield "".join(reversed(sentences))
            sentences, letters, least = [], 0, STRETCHES
    if sentences:
        yield "".join(reversed(sentences))


def _prose(text: str) -> str:
    prose: str = _code_or_url().sub(" ", "\n".join(without_fences(text, fences(text))))
    return prose


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def language_likelihoods(prose: str, *, letters: int = LETTERS) -> Likelihoods | None:
    """The probability of each language to py3langid, never 0; None for too few letters, or UTF-8 of as many bytes."""
    if sum(len(c.encode("utf-8", "replace")) for c in prose[: 20 * LETTERS] if c.isalpha()) < letters:
        return None
    ranked: Sequence[tuple[str, float]] = _identifier().rank(with_short_rows(prose))
    return {code: max(float(probability), 1e-12) for code, probability in ranked if code in LANGUAGES}


def _first(likelihoods: Likelihoods) -> str:
    return max(likelihoods, key=lambda code: likelihoods[code])


@cache
def _code_or_url() -> "regex.Pattern[str]":
    return regex.compile(r"`[^`\n]*`|https?://\S+")


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
