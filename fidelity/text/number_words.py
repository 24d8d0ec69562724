"""Words for small numbers, shares, multiples and frequencies, by language, and Roman numerals."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Literal

MeasureKind = Literal["share", "multiple", "frequency", "times"]

SMALL = {
    "en": "zero,one once first,two twice second both,three third,four fourth,five fifth,six sixth,seven seventh,"
    "eight eighth,nine ninth,ten tenth,eleven,twelve dozen",
    "de": "null,ein eine eins,zwei,drei,vier,fünf,sechs,sieben,acht,neun,zehn,elf,zwölf",
    "fr": "zéro,un une,deux,trois,quatre,cinq,six,sept,huit,neuf,dix,onze,douze",
    "es": "cero,uno una un,dos,tres,cuatro,cinco,seis,siete,ocho,nueve,diez,once,doce",
    "it": "zero,uno una un,due,tre,quattro,cinque,sei,sette,otto,nove,dieci,undici,dodici",
    "pt": "zero,um uma,dois duas,três,quatro,cinco,seis,sete,oito,nove,dez,onze,doze",
    "nl": "nul,een één,twee,drie,vier,vijf,zes,zeven,acht,negen,tien,elf,twaalf",
    "ru": "ноль,один одна одну одно,два две двух,три трех трёх,четыре четырех,пять пяти,шесть шести,семь семи,"
    "восемь восьми,девять девяти,десять десяти,одиннадцать,двенадцать",
    "hi": "शून्य,एक,दो,तीन,चार,पाँच पांच,छह छः,सात,आठ,नौ,दस,ग्यारह,बारह",
    "zh": "零,一,二 两,三,四,五,六,七,八,九,十",
    "ja": "零,一,二,三,四,五,六,七,八,九,十",
}
"""The words for 0, 1, 2 and so on."""
TENS = {
    "en": "twenty,thirty,forty,fifty,sixty,seventy,eighty,ninety,hundred",
    "ru": "двадцать двадцати,тридцать тридцати,сорок сорока,пятьдесят,шестьдесят,семьдесят,восемьдесят,девяносто,сто",
}
"""From 20 on, where no package reads larger numbers in sentences."""
HUNDREDS = {"ru": "сто,двести,триста,четыреста,пятьсот,шестьсот,семьсот,восемьсот,девятьсот,тысяча"}
SHARES = (("1/2", "50"), ("1/3", "33"), ("1/4", "25"), ("1/5", "20"), ("1/10", "10"))
"""The fractions and percentages of the words for shares, in their order."""
HALVES = {
    **{"en": "half", "de": "hälfte halb halbe", "fr": "moitié demi", "es": "mitad medio", "it": "metà mezzo"},
    **{"pt": "metade meio", "nl": "helft half", "ru": "половина", "hi": "आधा", "zh": "半"},
}
MEASURES: dict[MeasureKind, dict[str, str]] = {
    "share": {
        "en": "half halves,third thirds,quarter quarters fourth fourths,fifth fifths,tenth tenths,whole",
        "de": "hälfte halb halbe,drittel,viertel,fünftel,zehntel",
        "fr": "moitié demi,tiers,quart quarts,cinquième,dixième",
        "es": "mitad,tercio tercios,cuarto cuartos,quinto,décimo",
        "it": "metà,terzo terzi,quarto quarti,quinto,decimo",
        "pt": "metade,terço terços,quarto quartos,quinto,décimo",
        "nl": "helft half halve,derde,kwart,vijfde,tiende",
        "ru": "половина половину,треть,четверть",
        "hi": "आधा आधे आधी,तिहाई,चौथाई",
    },
    "multiple": {
        "en": "halve halves halved halving,double doubles doubled doubling twofold,"
        "triple triples tripled tripling treble trebled threefold,quadruple quadruples quadrupled fourfold",
        "de": "halbiert halbieren,verdoppelt verdoppeln verdoppelte doppelte,verdreifacht verdreifachen verdreifachte "
        "dreifache,vervierfacht vierfache",
        "fr": "double doublé doubler doublent,triple triplé tripler triplent,quadruple quadruplé",
        "es": "duplica duplicó duplican doble,triplica triplicó triplican triple,cuadruplica cuádruple",
        "it": "dimezza dimezzato,raddoppia raddoppiato raddoppiano doppio,triplica triplicato triplicano triplo",
        "pt": "dobra dobrou duplica duplicou dobro,triplica triplicou triplo",
        "nl": "halveert gehalveerd,verdubbelt verdubbeld,verdrievoudigt verdrievoudigd",
    },
    "times": {
        "en": "once,twice,thrice",
        "de": "einmal,zweimal,dreimal,viermal,fünfmal",
        "nl": "eenmaal,tweemaal,driemaal,viermaal",
    },
    "frequency": {
        "en": "hourly,daily,nightly,weekly,biweekly fortnightly,monthly,quarterly,yearly annually annual",
        "de": "stündlich stündliche,täglich tägliche,wöchentlich wöchentliche,monatlich monatliche,jährlich jährliche",
        "fr": "quotidien quotidienne quotidiennement,hebdomadaire,mensuel mensuelle,annuel annuelle",
        "es": "diario diaria diariamente,semanal semanalmente,mensual mensualmente,anual anualmente",
        "it": "quotidiano quotidiana quotidianamente giornaliero,settimanale settimanalmente,mensile mensilmente,"
        "annuale annualmente",
        "pt": "diário diária diariamente,semanal semanalmente,mensal mensalmente,anual anualmente",
        "nl": "dagelijks dagelijkse,wekelijks wekelijkse,maandelijks maandelijkse,jaarlijks jaarlijkse",
        "ru": "ежедневно ежедневный,еженедельно еженедельный,ежемесячно ежемесячный,ежегодно ежегодный",
    },
}
"""Words of equal meaning, separated by spaces; words of one kind and language after a comma mean something else."""
ROMAN = ((50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
MAX_ROMAN = 89
"""Larger numbers are seldom written in Roman numerals, but for years."""


def number_words(value: str, language: str | None) -> frozenset[str]:
    """The words for a number, in English and in the text's language."""
    return _words(language).get(value, frozenset())


def value_of_word(word: str, language: str | None) -> str | None:
    """The number that a case-folded word means."""
    return next((value for value, words in _words(language).items() if word in words), None)


def measure_word(word: str, language: str | None) -> tuple[MeasureKind, int] | None:
    """The kind of a case-folded word for a share, a multiple or a frequency, and which one of them it is."""
    return _measure_words(language or "en").get(word)


def roman_numeral(value: str) -> str | None:
    """A number from 2 to 89 in Roman numerals; 1 would be the pronoun."""
    if not (value.isascii() and value.isdigit() and 2 <= int(value[:4]) <= MAX_ROMAN):
        return None
    rest, numeral = int(value[:4]), ""
    for number, letters in ROMAN:
        numeral += letters * (rest // number)
        rest %= number
    return numeral


def superscript(value: str) -> str | None:
    """An exponent as it is written without a mark: 2 is `²`."""
    return value.translate(_SUPERSCRIPTS) if value.isascii() and value.isdigit() and len(value) < 3 else None


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@cache
def _words(language: str | None) -> Mapping[str, frozenset[str]]:
    words: dict[str, set[str]] = defaultdict(set)
    for code in dict.fromkeys(["en", language or "en"]):
        for number, spelled in enumerate(SMALL.get(code, "").split(",")):
            words[str(number)].update(spelled.split())
        halves = HALVES.get(code, "").split()
        words["1/2"].update(halves)
        words["50"].update(halves)
        for shares, spelled in zip(SHARES, MEASURES["share"].get(code, "").split(","), strict=False):
            for share in shares:
                words[share].update(spelled.split())
        for number, spelled in enumerate(TENS.get(code, "").split(","), start=2):
            words[str(10 * number)].update(spelled.split())
        for number, spelled in enumerate(HUNDREDS.get(code, "").split(","), start=1):
            words[str(100 * number)].update(spelled.split())
    return {value: frozenset(spelled) for value, spelled in words.items()}


@cache
def _measure_words(language: str) -> Mapping[str, tuple[MeasureKind, int]]:
    return {
        word: (kind, place)
        for kind, languages in MEASURES.items()
        for place, words in enumerate(languages.get(language, "").split(","))
        for word in words.split()
    }
