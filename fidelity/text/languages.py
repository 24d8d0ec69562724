"""Languages: which one a text is written in, where that can be said for sure."""

from functools import cache
from typing import TYPE_CHECKING

from fidelity.text.blocks import fences, without_fences

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LETTERS = 100
"""Bytes that a text's letters must have in UTF-8 to be judged: 100 Latin letters, 34 Chinese or Thai ones."""
CONFIDENCE = 0.9


def main_language(text: str) -> str | None:
    """The ISO 639 code of the language of most of a text, fenced code left out; None where it can't be said for sure.

    py3langid 0.4 (after Lui and Baldwin 2012) knows 139 languages. A text is judged if its letters have 100 bytes and
    the probability of the first language is 0.9 or more.
    """
    prose = "\n".join(without_fences(text, fences(text)))
    if sum(len(c.encode("utf-8", "replace")) for c in prose if c.isalpha()) < LETTERS:
        return None
    code, confidence = _identifier().classify(prose)
    return str(code) if confidence >= CONFIDENCE else None


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
