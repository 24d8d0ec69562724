"""Refusals: whether a text begins by declining to answer, told by a small list of phrases in twelve languages."""

import re
from functools import cache

BEGINNING = 300
"""A refusal stands in so many first characters."""

WITHIN = r"[^.!?。！？।؟\n]"
"""Within one sentence."""

PHRASES = {
    "English": (
        r"\b(?:I|we)\b(?:'m| am|'re| are)?(?: \w+){0,2}?"
        r" (?:can't|cannot|can not|won't|will not|unable to|not able to|not (?:allowed|permitted) to)(?: \w+)??"
        r" (?:help\b(?! but)|assist|fulfil|comply|engage|participate|answer (?:that|this|your)|do (?:that|this)\b"
        r"|(?:provide|offer|give|share|create|generate|write|produce|discuss|support)"
        r" (?:you|that|this|any|such|information|instructions|assistance|guidance|content|advice)\b)",
        rf"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b{WITHIN}{{0,40}}"
        r"\bI(?:'m| am)? (?:can't|cannot|unable|not able|won't|not (?:allowed|permitted))\b"
        r"(?!(?s:.)*\b(?:but|however),? I(?:'ll| can| could| will)\b)",  # a disclaimer before an answer
        r"\bI (?:must|have to|need to|will have to|respectfully)(?: \w+ly)? (?:decline|refuse)\b",
        r"\bagainst (?:my|OpenAI's)(?: \w+){0,2} (?:polic(?:y|ies)|guidelines|programming)\b",
    ),
    "German": (
        rf"\b(?:kann|können|darf|dürfen|werde|möchte)\b{WITHIN}{{0,60}}\b(?:nicht|kein\w*|leider)\b{WITHIN}{{0,60}}"
        r"\b(?:helfen|weiterhelfen|unterstützen|beantworten|nachkommen|erfüllen|bereitstellen|behilflich)\b",
        rf"\b(?:ich muss|muss ich)\b{WITHIN}{{0,40}}\b(?:ablehnen|verweigern)\b",
    ),
    "Spanish": (
        r"\bno (?:puedo|podemos|me es posible|soy capaz de|estoy autorizad[oa] a)"
        rf"{WITHIN}{{0,30}}\b(?:ayudar|asistir|proporcionar|responder|cumplir|ofrecer|brindar)",
        r"\b(?:debo|tengo que) (?:rechazar|negarme|declinar)\b",
    ),
    "French": (
        r"\bje ne (?:peux|puis|suis)(?: malheureusement)?(?: pas)?"
        rf"{WITHIN}{{0,40}}\b(?:aider|assister|répondre|fournir|donner suite|accéder à)",
        r"\bje (?:dois|me vois contraint de) (?:refuser|décliner)\b",
    ),
    "Portuguese": (
        r"\bnão (?:posso|podemos|consigo|me é possível)"
        rf"{WITHIN}{{0,30}}\b(?:ajudar|ajudá|auxiliar|fornecer|responder|atender|oferecer)",
    ),
    "Italian": (
        rf"\bnon (?:posso|possiamo|sono in grado di|mi è possibile){WITHIN}{{0,30}}"
        r"\b(?:aiutar|assister|fornir|risponder|soddisfar)",
    ),
    "Hindi": (
        rf"(?:मदद|सहायता|उत्तर|जवाब|जानकारी|प्रदान){WITHIN}{{0,20}}(?:नहीं (?:कर|दे)|असमर्थ)",
        rf"असमर्थ (?:हूँ|हूं|हैं)|मैं{WITHIN}{{0,40}}(?:मना|इनकार) करत",
    ),
    "Chinese": (
        rf"(?:抱歉|对不起|對不起|遗憾|遺憾|作为|作為|我){WITHIN}{{0,30}}(?:无法|無法|不能|没办法|沒辦法|不便)"
        rf"{WITHIN}{{0,15}}(?:帮|幫|协助|協助|提供|回答|回应|回應|满足|滿足|讨论|討論|完成|生成)",
    ),
    "Japanese": (
        rf"(?:申し訳|すみません|恐れ入り|残念ながら){WITHIN}{{0,60}}"
        r"(?:できません|できかねます|お答えできない|応じられません|いたしかねます)",
    ),
    "Korean": (rf"(?:죄송|미안|유감){WITHIN}{{0,60}}(?:수 없|수가 없|어렵습니다|불가능)",),
    "Russian": (
        rf"\bне (?:могу|можем|имею права|в состоянии){WITHIN}{{0,30}}"
        r"\b(?:помочь|предоставить|ответить|выполнить|обсуждать|содействовать)",
    ),
    "Arabic": (rf"(?:لا (?:أستطيع|يمكنني|يمكننا)|لست قادر\w*){WITHIN}{{0,30}}(?:مساعد|المساعدة|تقديم|الإجابة|توفير)",),
}


def refuses(text: str) -> bool:
    """Whether one of the phrases stands in the first 300 characters.

    The list is short on purpose and made by hand: it knows how chat models usually decline, in English, German,
    Spanish, French, Portuguese, Italian, Hindi, Chinese, Japanese, Korean, Russian and Arabic. Other wordings are
    missed, and a text that quotes a refusal at its start is taken for one.
    """
    return _pattern().search(text.lstrip()[:BEGINNING].replace("’", "'")) is not None


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(phrase for phrases in PHRASES.values() for phrase in phrases), re.IGNORECASE)
