"""Harmless changes to real answers: other words, order, contractions, punctuation, numbers' form, layout, sentences."""

import random
import re
from collections.abc import Callable

SYNONYMS = {
    "development": [
        ("use", "employ"),
        ("important", "essential"),
        ("however", "nevertheless"),
        ("help", "assist"),
        ("ensure", "guarantee"),
        ("create", "build"),
        ("various", "different kinds of"),
        ("provide", "offer"),
        ("several", "a number of"),
        ("allows", "lets"),
        ("method", "approach"),
        ("also", "additionally"),
        ("because", "since"),
        ("such as", "like"),
        ("show", "demonstrate"),
        ("begin", "start"),
        ("problem", "issue"),
        ("example", "illustration"),
        ("need to", "have to"),
        ("often", "frequently"),
        ("main", "primary"),
        ("goal", "aim"),
        ("choose", "select"),
        ("large", "big"),
        ("difficult", "hard"),
        ("quickly", "rapidly"),
        ("therefore", "thus"),
        ("result", "outcome"),
        ("obtain", "get"),
        ("modify", "change"),
        ("improve", "enhance"),
        ("in order to", "to"),
        ("make sure", "see to it"),
        ("find", "locate"),
        ("specific", "particular"),
        ("common", "widespread"),
        ("increase", "raise"),
        ("reduce", "lower"),
        ("buy", "purchase"),
        ("first", "initially"),
        ("finally", "lastly"),
        ("about", "around"),
        ("understand", "grasp"),
        ("key", "crucial"),
        ("task", "job"),
        ("effective", "efficient"),
        ("potential", "possible"),
        ("determine", "work out"),
    ],
    "held out": [
        ("utilize", "use"),
        ("significant", "considerable"),
        ("although", "even though"),
        ("require", "call for"),
        ("multiple", "many"),
        ("additional", "extra"),
        ("achieve", "reach"),
        ("consider", "think about"),
        ("way", "manner"),
        ("typically", "usually"),
        ("necessary", "needed"),
        ("process", "procedure"),
        ("step", "stage"),
        ("simple", "plain"),
        ("appropriate", "suitable"),
        ("within", "inside"),
        ("once", "as soon as"),
        ("includes", "comprises"),
        ("overall", "all in all"),
        ("implement", "carry out"),
        ("explain", "describe"),
        ("maintain", "keep up"),
        ("support", "back"),
        ("complex", "complicated"),
        ("related", "connected"),
        ("given", "provided"),
        ("gather", "collect"),
        ("particularly", "especially"),
        ("handle", "deal with"),
        ("identify", "recognize"),
        ("area", "field"),
        ("idea", "notion"),
        ("relevant", "pertinent"),
        ("benefits", "advantages"),
        ("according to", "as per"),
        ("before", "prior to"),
        ("while", "whereas"),
        ("attempt", "try"),
        ("entire", "whole"),
        ("remember", "keep in mind"),
        ("enough", "sufficient"),
        ("desired", "wanted"),
        ("establish", "set up"),
        ("regularly", "on a regular basis"),
        ("discuss", "talk about"),
    ],
}
CONTRACTIONS = [
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("cannot", "can't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("it is", "it's"),
    ("you will", "you'll"),
    ("you are", "you're"),
    ("we have", "we've"),
    ("will not", "won't"),
    ("should not", "shouldn't"),
    ("did not", "didn't"),
    ("that is", "that's"),
    ("let us", "let's"),
    ("I am", "I'm"),
]
PHRASES = {
    "development": [
        (r"\bYou can (\w+)", r"It is possible to \1"),
        (r"\bIt is important to\b", "Make sure to"),
        (r"\bIn conclusion,", "To sum up,"),
        (r"\bFor example,", "For instance,"),
        (r"\bdo not have\b", "have no"),
        (r"\bis able to\b", "can"),
        (r"\bIn addition,", "Moreover,"),
        (r"\bHere is\b", "Below you find"),
        (r"\bHere's\b", "Below is"),
        (r"\bnot only (.{3,40}?) but also\b", r"\1 and also"),
        (r"\bwill be able to\b", "can"),
        (r"\bmore than (\d+)\b", r"over \1"),
        (r"\bas well as\b", "and"),
        (r"\bDon't forget to\b", "Remember to"),
    ],
    "held out": [
        (r"\bYou should\b", "You ought to"),
        (r"\bThis is because\b", "The reason is that"),
        (r"\bAs a result,", "Consequently,"),
        (r"\bcan be used to\b", "serves to"),
        (r"\bis not possible\b", "is impossible"),
        (r"\bat least (\d+)\b", r"\1 or more"),
        (r"\bI hope this helps\b", "Hopefully this is of use"),
        (r"\bneeds to be\b", "has to be"),
        (r"\bOn the other hand,", "Then again,"),
        (r"\bKeep in mind that\b", "Note that"),
        (r"\bwhether or not\b", "whether"),
        (r"\bIf you don't\b", "Unless you"),
        (r"\bbut\b", "yet"),
        (r"\bup to (\d+)\b", r"at most \1"),
        (r"\bThere are\b", "You will find"),
    ],
}
FILLERS = {
    "development": [
        "I hope this helps.",
        "Let me know if anything is unclear.",
        "Here is a short answer.",
        "Good luck with your work!",
    ],
    "held out": [
        "Feel free to ask further questions.",
        "Please adapt this to your own situation.",
        "Below is what I would suggest.",
        "All the best!",
    ],
}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def paraphrase(text: str, rng: random.Random, split: str, *, whole: bool = False) -> str:
    """The text after three to six harmless changes, code meaning the same; with `whole`, no sentence is omitted."""
    changes = [change for change in CHANGES if not (whole and change is _omitted)]
    for change in rng.sample(changes, rng.randint(3, 6)):
        text = change(text, rng, split)
    return text


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to what isn't in fences, tables or JSON."""
    code = r"^[ \t]*```.*?^[ \t]*```[^\n]*$|^\|[^\n]*\|[ \t]*$|`[^`\n]*`|https?://\S+|\{\"[^\n]*\}"
    pieces = re.split(rf"({code})", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(piece if i % 2 else change(piece) for i, piece in enumerate(pieces))


def _replaced(text: str, rng: random.Random, pairs: list[tuple[str, str]], share: float, *, both: bool = False) -> str:
    chosen = [pair for pair in pairs if rng.random() < share]

    def change(piece: str) -> str:
        for old, new in chosen:
            if both and rng.random() < 0.5:
                old, new = new, old
            piece = re.sub(rf"(?<![\w`./'’@-]){re.escape(old)}(?![\w`/'’-])", new, piece)
            start, capital = (
                rf"((?:^|[.:] |\n)(?:[-*] |\d+\. )?){re.escape(old.capitalize())}(?= )",
                new[0].upper() + new[1:],
            )
            piece = re.sub(start, lambda m, capital=capital: m[1] + capital, piece)
        return piece

    return outside_code(text, change)


def _synonyms(text: str, rng: random.Random, split: str) -> str:
    return _replaced(text, rng, SYNONYMS[split], 0.5)


def _contractions(text: str, rng: random.Random, split: str) -> str:
    return _replaced(text, rng, CONTRACTIONS, 0.8, both=True)


def _phrases(text: str, rng: random.Random, split: str) -> str:
    def change(piece: str) -> str:
        for old, new in PHRASES[split]:
            piece = re.sub(old, new, piece)
        return piece

    return outside_code(text, change)


def _punctuation(text: str, rng: random.Random, split: str) -> str:
    swaps = [
        (", and ", " and "),
        (" - ", " – "),
        ("; ", ". "),
        ('"', "”"),
        ("'s", "’s"),
        ("!", "."),
        (":\n", ".\n"),
        ("e.g.", "for example"),
    ]
    chosen = [swap for swap in swaps if rng.random() < 0.5]

    def change(piece: str) -> str:
        for old, new in chosen:
            piece = piece.replace(old, new)
        return piece

    return outside_code(text, change)


def _numbers(text: str, rng: random.Random, split: str) -> str:
    def change(piece: str) -> str:
        piece = re.sub(r"(?<![\d.,\w/-])(\d{1,3}),(\d{3})(?![\d,.])", r"\1\2", piece)
        piece = re.sub(r"(?<![\d.])(\d+)%", r"\1 percent" if rng.random() < 0.5 else r"\1 %", piece)
        piece = re.sub(r"(?<=\w )(\d) (?=[a-z]{4})", lambda m: f"{WORDS[int(m[1])]} " if int(m[1]) > 1 else m[0], piece)
        piece = re.sub(r"(?<=\w )(two|three|four|five|six) (?=[a-z])", lambda m: f"{WORDS.index(m[1])} ", piece)
        return re.sub(r"(?<![\d.])(\d+) (GB|MB|kg|km|ms|GHz)\b", r"\1\2", piece)

    return outside_code(text, change)


def _layout(text: str, rng: random.Random, split: str) -> str:
    ways: list[tuple[str, str]] = [
        (r"(?m)^- ", "* "),
        (r"(?m)^(\d+)\. ", r"\1) "),
        (r"(?m)^\d+\. ", "- "),
        (r"\*\*(.+?)\*\*", r"\1"),
        (r"(?m)^#+ (.*)$", r"**\1**"),
        (r"(?m)^([A-Z][^\n:]{3,30}):(?= \w)", r"**\1**:"),
        (r"(?<![|`])\n\n(?![|`])", "\n"),
        (r"(?m)^(\s*)- ", r"\1  - "),
    ]
    chosen = rng.sample(ways, 2)

    def change(piece: str) -> str:
        for old, new in chosen:
            piece = re.sub(old, new, piece)
        if rng.random() < 0.3:
            piece = "\n".join(_wrapped(line) for line in piece.split("\n"))
        return piece

    return outside_code(text, change)


def _wrapped(line: str) -> str:
    return (
        re.sub(r"(.{60,80}?) (?=\w)", r"\1\n", line)
        if len(line) > 120 and not re.match(r"\s*([-*#>|]|\d+[.)])", line)
        else line
    )


def _order(text: str, rng: random.Random, split: str) -> str:
    def change(piece: str) -> str:
        piece = re.sub(
            r"(?m)(?<![^\s])If ([a-z][^,.\n:;]{8,60}), ([a-z][^,.\n:;]{8,80})\.(?!\w)",
            lambda m: f"{m[2][0].upper()}{m[2][1:]} if {m[1]}.",
            piece,
        )
        piece = re.sub(
            r"(?<=\. )(?:The|This|It) ([^,.\n:;]{10,70}) because ([^,.\n:;]{10,70})\.",
            lambda m: f"Because {m[2]}, {m[0].split()[0].lower()} {m[1]}.",
            piece,
        )
        items = re.findall(r"(?m)^[-*] [^\n]*\n(?=[-*] )", piece)
        if len(items) > 1 and rng.random() < 0.5:
            a, b = rng.sample(items, 2)
            if a != b:
                piece = piece.replace(a, "\0").replace(b, a).replace("\0", b)
        return re.sub(r"(?<=[a-z]{3}), and (?=(?:it|you|this|they|we) )", ". Also, ", piece, count=2)

    return outside_code(text, change)


def _added(text: str, rng: random.Random, split: str) -> str:
    filler = rng.choice(FILLERS[split])
    return f"{filler}\n\n{text}" if rng.random() < 0.4 else f"{text}\n\n{filler}"


def _omitted(text: str, rng: random.Random, split: str) -> str:
    paragraphs = text.split("\n\n")
    candidates = [i for i, p in enumerate(paragraphs) if re.fullmatch(r"[A-Z][^\n|`{}]{20,400}[.!]", p)]
    if len(paragraphs) < 4 or not candidates:
        return text
    del paragraphs[rng.choice(candidates)]
    return "\n\n".join(paragraphs)


def _code_comments(text: str, rng: random.Random, split: str) -> str:
    text = re.sub(r"(?m)^(\s*(?:#|//)) (\w[^\n\"'`]{10,})$", r"\1 Note: \2", text)
    return re.sub(r"(?m)(\w\)?;?)[ \t]{2,}(?:#|//) [A-Z][^\n\"'`]*$", r"\1", text)


def _code_names(text: str, rng: random.Random, split: str) -> str:
    """Variables that Python code assigns are renamed, in their fence."""

    def change(match: re.Match[str]) -> str:
        code = match.group()
        names = [n for n in re.findall(r"(?m)^\s*([a-z_]{3,}) = ", code) if len(re.findall(rf"\b{n}\b", code)) > 1]
        names = [
            n
            for n in names
            if not re.search(rf"\.{n}\b|[(,]\s*{n}\s*=[^=]|[\"'`#][^\n]*\b{n}\b|\b(?:import|def|class) +{n}\b", code)
        ]
        if names:
            name = rng.choice(names)
            code = re.sub(rf"\b{name}\b", f"{name}_value", code)
        return code

    return re.sub(r"^```python\n.*?^```", change, text, flags=re.MULTILINE | re.DOTALL)


CHANGES: list[Callable[[str, random.Random, str], str]] = [
    *(
        _synonyms,
        _contractions,
        _phrases,
        _punctuation,
        _numbers,
        _layout,
        _order,
        _added,
        _omitted,
        _code_comments,
        _code_names,
    )
]
