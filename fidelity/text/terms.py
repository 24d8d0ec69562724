"""A sentence as terms: words by their stem, numbers by their value, names, and what is written as code."""

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Literal, NamedTuple

import regex

from fidelity.text.quantities import Quantity, quantities
from fidelity.text.remembered import remembered
from fidelity.text.words import BY_CHARACTER, LETTER

TermKind = Literal["word", "number", "code", "mark"]


class Term(NamedTuple):
    """A word, a quantity, an identifier (path, address, word in a code span), or a mark that has a meaning."""

    kind: TermKind
    form: str
    """As it is written, without apostrophes' variants."""
    stem: str
    """What two terms that mean the same share: a stem, a quantity's normal form, or the form itself."""
    start: int
    end: int
    quantity: Quantity | None = None
    initial: bool = False
    """Whether it begins the sentence, or what is after a colon, a bracket or a quotation mark."""

    @property
    def capital(self) -> bool:
        """Whether it is written as a name is: with a capital or all in capitals."""
        return self.kind == "word" and self.form[:1].isupper()


@remembered
def terms(sentence: str, language: str = "en") -> tuple[Term, ...]:
    """The terms of a sentence, in order; punctuation is left out.

    `don't` is `do` and `not`, `cannot` is `can` and `not`. A code span's words are of kind `code`, as are identifiers
    (`snake_case`, `camelCase`, `a.b`, `a()`), paths and addresses. Chinese and Thai go by character.
    """
    ordered: list[Term] = []
    position = 0
    for quantity in quantities(sentence, language or None):
        if quantity.start < position:  # several numbers of one match
            quantity = quantity._replace(start=position)
        ordered += _words(sentence, position, quantity.start, language)
        kind: TermKind = "code" if quantity.kind == "url" else "number"
        ordered.append(
            Term(kind, sentence[quantity.start : quantity.end], quantity.normal, quantity.start, quantity.end, quantity)
        )
        position = max(position, _words_in(sentence, quantity))
    return (*ordered, *_words(sentence, position, len(sentence), language))


def _words_in(sentence: str, quantity: Quantity) -> int:
    """Where the words of a relation begin that is inside of a quantity ("5 or more"), else where the quantity ends."""
    inside = _RELATION.search(sentence, quantity.start, quantity.end) if quantity.relation else None
    return inside.start() if inside else quantity.end


_RELATION = regex.compile(r"(?<= )(?:or|and|oder|ou|o) \w+")


def capitals(sentence: str) -> Iterator[tuple[str, bool]]:
    """The words of a sentence, without what is after an apostrophe, and whether each begins it; no code, no numbers."""
    in_code = False
    for match in _pattern(plain=sentence.isascii()).finditer(sentence):
        form = match.group()
        if form == "`":
            in_code = not in_code
        elif match.lastgroup == "word" and not in_code and not form[0].isdigit():
            if form.islower():
                yield (form if form.isalpha() else form.replace("’", "'").partition("'")[0]), False
            else:
                word = form.replace("’", "'").partition("'")[0]
                yield word, word[0].isupper() and _begins(sentence, match.start())


def stem(word: str, language: str = "en") -> str:
    """The stem of a case-folded word by Snowball (nltk), in the languages that it has; else the word."""
    return _stem(word, language)


_SNOWBALL = {
    **{"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "pt": "portuguese"},
    **{"nl": "dutch", "ru": "russian", "sv": "swedish", "da": "danish", "no": "norwegian", "fi": "finnish"},
}
_CONTRACTED = {"won't": "will", "can't": "can", "shan't": "shall", "ain't": "be", "cannot": "can"}
_AFTER_APOSTROPHE = {"re": "are", "ll": "will", "ve": "have", "m": "am", "d": "would"}
_BEFORE_INITIAL = tuple(":.!?(\"'“”‘’«»>|-–—/•")
_PRONOUNS = frozenset({"it", "that", "there", "he", "she", "what", "who", "here", "where", "how", "this"})


def _words(sentence: str, start: int, end: int, language: str) -> Iterator[Term]:
    in_code = sentence.count("`", 0, start) % 2 == 1
    for match in _pattern(plain=sentence.isascii()).finditer(sentence, start, end):
        form, kind = match.group(), match.lastgroup
        if kind == "word" and not in_code and form.isalpha() and form.islower():
            yield Term("word", form, _stem(form, language), *match.span())
            continue
        form = form.replace("’", "'")
        if form == "`":
            in_code = not in_code
        elif kind == "code" or (in_code and kind == "word"):
            yield Term("code", form, form.rstrip("().,/"), *match.span())
        elif kind == "mark":
            yield Term("mark", form, form, *match.span())
        else:
            initial = form[0].isupper() and _begins(sentence, match.start())
            for piece in _parts(form.casefold()):
                written = form if piece == form.casefold() else _cased(piece, form)
                yield Term("word", written, _stem(piece, language), match.start(), match.end(), initial=initial)


def _begins(sentence: str, start: int) -> bool:
    before = sentence[max(0, start - 8) : start].rstrip(" *_")
    return not before or before.endswith(_BEFORE_INITIAL)


def _cased(piece: str, form: str) -> str:
    return piece.capitalize() if form[:1].isupper() and piece != "not" else piece


def _parts(word: str) -> list[str]:
    """A contraction's words."""
    if "'" not in word:
        return ["can", "not"] if word == "cannot" else [word]
    if word.endswith("n't"):
        return [_CONTRACTED.get(word, word[:-3]), "not"]
    head, _, tail = word.rpartition("'")
    if tail in _AFTER_APOSTROPHE:
        return [head, _AFTER_APOSTROPHE[tail]]
    if tail == "s":
        return [head, "us"] if head == "let" else [head, "is"] if head in _PRONOUNS else [head]
    return [head] if not tail else [word]


@lru_cache(maxsize=100_000)
def _stem(word: str, language: str) -> str:
    stemmer = _stemmer(language)
    return stemmer.stem(word) if stemmer and word.isalpha() else word


@cache
def _stemmer(language: str):  # type: ignore[no-untyped-def]
    from nltk.stem.snowball import SnowballStemmer

    return SnowballStemmer(_SNOWBALL[language]) if language in _SNOWBALL else None


@cache
def _pattern(*, plain: bool) -> "regex.Pattern[str]":
    """`plain`: for ASCII alone, where words are read four times as fast."""
    letter = "[A-Za-z0-9_]" if plain else LETTER
    name = r"(?:[A-Za-z_][\w$]*)"
    code = (
        r"[\w.+-]+@[\w-]+\.[\w.]+"  # an address
        r"|(?<![\w/])(?:~|\.{1,2})?/[\w.-]+(?:/[\w.-]+)*/?|[A-Za-z]:\\[\w.\\-]+"  # a path
        rf"|[A-Za-z_][\w$]+(?:\.[A-Za-z_]\w+)+(?:\(\))?|{name}\(\)"
        r"|[A-Za-z]+_\w*|_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|[A-Za-z]+\d\w*"
        r"|(?<=\s|^)--?[A-Za-z][\w-]*"  # a flag
    )
    common = r"(?P<word>[A-Za-z][a-z]*+)(?![\w$'’@.(+-]|[-]\w|:\\)"  # most words, before what takes longer
    word = rf"{letter}+(?:['’]{letter}+)*"
    word = word if plain else rf"(?={BY_CHARACTER})(?=\w)\X|{word}"
    mark = r"[%=<>≤≥≠+*^&|~#@]|→|(?<![\p{L}])[-/]|[-/](?!\p{L})|`"
    return regex.compile(rf"{common}|(?P<code>{code})|(?P<word>{word})|(?P<mark>{mark})", regex.V1)
