"""Negations: whether one sentence negates what the other one asserts."""

from collections.abc import Sequence
from functools import cache

import regex

from fidelity.text.frames import Frame, UnitConflict
from fidelity.text.terms import Term

LANGUAGES = ("en", "de", "hi", "fr", "es", "it", "pt", "nl", "zh", "ja", "ru")
MIN_SIMILARITY = 0.4
"""Of a frame: below it a negation may belong to a thought that the other side doesn't have."""
TIGHT = 0.8
"""From here on, a second negation in addition to a common one is a change too."""

NEGATORS = {
    "en": "not no never none nobody nothing nowhere neither nor without cannot",
    "de": "nicht kein keine keinen keinem keiner keines nie niemals nichts niemand niemanden keineswegs keinesfalls "
    "weder ohne nirgends",
    "hi": "नहीं नही मत बिना न ना",
    "fr": "pas jamais aucun aucune rien sans ni nul nulle",
    "es": "no nunca jamás sin nada nadie ninguno ninguna ningún ni tampoco",
    "it": "non mai senza niente nulla nessuno nessuna nessun né",
    "pt": "não nunca jamais sem nada ninguém nenhum nenhuma nem tampouco",
    "nl": "niet geen nooit niets niemand zonder nergens noch",
    "zh": "不 没 無 无 未 别 勿 莫",
    "ja": "",
    "ru": "не нет ни нельзя без никогда никто никого ничего нигде",
}
CONCORD = {
    "es": "nunca jamás nada nadie ninguno ninguna ningún ni tampoco",
    "it": "mai niente nulla nessuno nessuna nessun né",
    "pt": "nunca jamais nada ninguém nenhum nenhuma nem tampouco",
    "ru": "ни никогда никто никого ничего нигде",
}
"""Negators that only repeat one before them: "nunca lo deje" and "no lo deje nunca"."""
ENDINGS = {"ja": r"ない|なかった|なく|なけれ|ません|ずに|禁止|不可"}
"""Where a language denies by an ending, which begins at a character of its own."""
IMPLICIT = {
    "en": r"avoid\w*|refrain\w*|prevent\w*|fail\w*|lack\w*|unlike|refus\w*|den(?:y|ies|ied)|prohibit\w*|forbid\w*"
    r"|forbade|stop\w*|cease\w*|hardly|barely|scarcely|rarely|seldom|few|little|absen\w+|exclu\w+|omit\w*"
    r"|miss(?:ing|es)?|neglect\w*|ignor\w+|skip\w*|free|instead|rather|except|unless|otherwise|forget\w*|remember|false"
    r"|wrong|zero|until|only",
    "de": r"vermeid\w*|verhinder\w*|fehl\w*|mangel\w*|verbiet\w*|verboten\w*|untersag\w*|statt|außer|kaum|selten"
    r"|falsch\w*|ausschließ\w*|sonst",
    "fr": r"évit\w*|empêch\w*|manqu\w*|interdi\w*|sauf|rarement|faux|fausse",
    "es": r"evit\w*|falt\w*|prohib\w*|impid\w*|salvo|excepto|raramente|falso\w*",
    "it": r"evit\w*|manc\w*|viet\w*|impedi\w*|tranne|raramente|fals\w*",
    "pt": r"evit\w*|falt\w*|proib\w*|impe\w*|exceto|raramente|fals\w*",
    "nl": r"vermijd\w*|voorkom\w*|ontbre\w*|verbied\w*|verboden|behalve|zelden",
    "hi": r"बच\w*|रोक\w*|मना",
    "zh": r"禁|避|免|防|拒|非|否|缺",
    "ja": r"禁|避|防|拒|非|否|欠|無|不",
    "ru": r"избега\w*|запре\w*|отсутств\w*|недоста\w*|кроме|невозможн\w*",
}
"""Words that can do what a negation does: "do not use it" and "avoid using it"."""
AFFIXES = r"(?:un|in|im|il|ir|dis|non|mis|des|ent|on|अ|अन)-?(?P<stem>\w{3,})|(?P<stem>\w{3,})(?:less|los)"
"""What makes a word its own opposite, where the other side has the word: "not possible" and "impossible"."""

WITHOUT_EFFECT = {
    "en": r"\b(?:not (?:only|just|merely|simply|to mention|least|surprisingly|(?:more|less) than|so much)"
    r"|no (?:choice|option|alternative) but"
    r"|no (?:doubt|matter|wonder|problem|(?:more|less|fewer|later) than|one but)|nothing (?:but|more than)"
    r"|not exceeding|(?:whether )?or not|if not|why not|never ?mind|needless)\b|\bno(?=[. ]*\d)",
    "de": r"\bnicht (?:nur|bloß|allein|zuletzt|(?:mehr|weniger) als)\b"
    r"|\bohne zweifel\b|\bob oder nicht\b|\bnichts als\b",
    "fr": r"\bpas seulement\b|\bsans doute\b|\brien que\b",
    "es": r"\bno (?:solo|sólo|solamente)\b|\bsin duda\b|\bnada más que\b|\bsin embargo\b",
    "it": r"\bnon (?:solo|soltanto)\b|\bsenza dubbio\b",
    "pt": r"\bnão (?:só|somente|apenas)\b|\bsem dúvida\b",
    "nl": r"\bniet alleen\b|\bzonder twijfel\b",
    "hi": r"न केवल|न सिर्फ़|न सिर्फ",
    "zh": r"不[仅但只断过同错管论足少]|差不多|无论|无疑|没错|对不起|不好意思|特别|[个区类级性差分]别",
    "ja": r"な(?:ければ|くては?)(?:なら|いけ)(?:ない|ません)|しかない|かもしれ(?:ない|ません)|だけでなく"
    r"|違い(?:ない|ありません)|すみません|少なく",
    "ru": r"не только|без сомнения|несмотря|не менее|не более",
}
"""Phrases with a negator that deny nothing."""


def negation_surplus(frame: Frame, sentences: tuple[str, str]) -> tuple[list[int], list[int]]:
    """Negators of the baseline, or of the candidate, beyond those that the other side has."""
    if frame.language not in LANGUAGES or frame.likeness < MIN_SIMILARITY:
        return [], []
    rows, columns = (
        [
            *(i for i in _negators(terms, sentence, frame.language) if _changed(frame, side, i)),
            *_alone_in_phrase(frame, side, sentence),
        ]
        for side, (terms, sentence) in enumerate(zip((frame.a, frame.b), sentences, strict=True))
    )
    surplus = len(rows) - len(columns)
    return (rows[:surplus], []) if surplus > 0 else ([], columns[:-surplus] if surplus else [])


def negation_findings(frame: Frame, sentences: tuple[str, str]) -> list[UnitConflict]:
    """One finding where one side has negations without counterpart, and nothing on the other side does their work."""
    rows, columns = negation_surplus(frame, sentences)
    if not (rows or columns):
        return []
    denied, other = (frame.a, frame.b) if rows else (frame.b, frame.a)
    language, only = str(frame.language), frame.only_baseline | frame.only_candidate
    if any(term.stem in only and _denies(term.form.casefold(), denied, language) for term in other):
        return []
    if any(term.stem in only and _implicit(language).fullmatch(term.form.casefold()) for term in denied):
        return []  # two in one sentence: "isn't ... unless"
    counts = [len(_negators(t, s, language)) for t, s in zip((frame.a, frame.b), sentences, strict=True)]
    if min(counts) > 0 and frame.similarity < TIGHT:  # "no A and no B" is "no A or B"
        return []
    return [frame.finding("negation", rows, columns)]


def is_negator(word: str, language: str | None) -> bool:
    """Whether a case-folded word denies by itself."""
    return language in LANGUAGES and word in _words(language)


def _negators(terms: Sequence[Term], sentence: str, language: str) -> list[int]:
    """Where the negators are; `neither ... nor` and `no ... nor` count once."""
    words = _words(language)
    endings = {match.start() for match in _endings(language).finditer(sentence)} if language in ENDINGS else ()
    negators = [
        i
        for i, term in enumerate(terms)
        if term.kind == "word" and (term.form.casefold() in words or term.start in endings)
    ]
    if not negators:
        return []
    without = [match.span() for match in _without_effect(language).finditer(sentence.casefold())]
    negators = [i for i in negators if not any(a <= terms[i].start < b for a, b in without)]
    continuing = _CONTINUING | _concord(language)
    return [i for n, i in enumerate(negators) if n == 0 or terms[i].form.casefold() not in continuing]


def _alone_in_phrase(frame: Frame, side: int, sentence: str) -> list[int]:
    """Negators of phrases without effect that only this side has: "no more than two" and "more than two"."""
    terms = (frame.a, frame.b)[side]
    spans = [match.span() for match in _without_effect(str(frame.language)).finditer(sentence.casefold())]
    single = [hunk[side].start for hunk in frame.hunks if len(hunk[side]) == 1 and not hunk[1 - side]]
    return [
        i
        for i in single
        if is_negator(terms[i].form.casefold(), frame.language) and i + 1 < len(terms)
        for start, end in spans
        if start <= terms[i].start and terms[i + 1].end <= end
    ]


_CONTINUING = frozenset({"nor", "noch", "ni", "né", "nem"})


def _denies(word: str, denied: Sequence[Term], language: str) -> bool:
    """Whether a word does the work of a negation in the other sentence."""
    affixed = _affixes().fullmatch(word)
    rest = affixed["stem"][:4] if affixed else None
    return bool(_implicit(language).fullmatch(word)) or (
        rest is not None and any(term.form.casefold().startswith(rest) for term in denied)
    )


def _changed(frame: Frame, side: int, index: int) -> bool:
    return any(index in hunk[side] for hunk in frame.hunks)


@cache
def _words(language: str) -> frozenset[str]:
    return frozenset(NEGATORS[language].split())


@cache
def _concord(language: str) -> frozenset[str]:
    return frozenset(CONCORD.get(language, "").split())


@cache
def _endings(language: str) -> "regex.Pattern[str]":
    return regex.compile(ENDINGS[language])


@cache
def _implicit(language: str) -> "regex.Pattern[str]":
    return regex.compile(IMPLICIT[language], regex.V1)


@cache
def _affixes() -> "regex.Pattern[str]":
    return regex.compile(AFFIXES)


@cache
def _without_effect(language: str) -> "regex.Pattern[str]":
    return regex.compile(WITHOUT_EFFECT[language], regex.V1)
