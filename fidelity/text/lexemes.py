"""Code as lexemes, read by Pygments in the languages it knows, and as statements: what can be held side by side."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

TokenClass = Literal[
    "directive", "comment", "mark", "symbol", "string", "number", "keyword", "name", "operator", "other"
]
LexemeKind = Literal["name", "number", "string", "keyword", "operator"]
WORDS = frozenset(
    {"", "bash", "sh", "shell", "zsh", "console", "shell-session", "powershell", "ps1", "bat", "cmd", "text"}
)
"""Languages whose lexemes are words between white space, as a shell's are; also what names no language."""
UNTOLD = frozenset({"", "text"})
_LIKE_C = re.compile(r"^\s*//|[;{]\s*$", re.MULTILINE)
BRACES = frozenset(
    {"javascript", "js", "jsx", "typescript", "ts", "tsx", "java", "c", "cpp", "c++", "cc", "csharp", "c#", "cs", "go"}
    | {
        "golang",
        "rust",
        "rs",
        "php",
        "kotlin",
        "swift",
        "scala",
        "css",
        "scss",
        "dart",
        "solidity",
        "glsl",
        "hlsl",
        "perl",
    }
)
"""Languages in which a brace begins or ends a block."""
ALIASES = {
    "vb": "vbnet",
    "vbs": "vbscript",
    "vba": "vbnet",
    "assembly": "nasm",
    "asm": "nasm",
    "svelte": "html",
    "jsx": "js",
}
"""Languages by names that Pygments doesn't have."""
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")


class Lexeme(NamedTuple):
    """A name, a literal, a keyword or an operator; comments and white space are none."""

    kind: LexemeKind
    text: str
    """As it counts: a string without its quotes, a number by its value."""
    start: int
    end: int


class Statement(NamedTuple):
    """Lexemes of one statement, or of one line where a language's statements aren't known."""

    lexemes: tuple[Lexeme, ...]

    @property
    def key(self) -> str:
        """What equal statements share."""
        return " ".join(lexeme.text for lexeme in self.lexemes)

    @property
    def span(self) -> tuple[int, int]:
        """Where it is in the code."""
        return self.lexemes[0].start, self.lexemes[-1].end


def statements(code: str, language: str) -> list[Statement]:
    """The statements of a piece of code, without comments, docstrings, and the marks that a formatter sets."""
    words = language in WORDS and not (language in UNTOLD and _LIKE_C.search(code))
    lexemes = list(_words(code) if words else _lexed(code, language))
    if language == "sql":
        lexemes = [x._replace(text=x.text.casefold()) if x.kind != "string" else x for x in lexemes]
    pieces = _split(lexemes, code, lines=language != "sql", braces=language in BRACES)
    essential = (tuple(_essential(piece)) for piece in pieces)
    return [Statement(lexemes) for lexemes in essential if lexemes and not _is_docstring(lexemes)]


def _split(lexemes: Sequence[Lexeme], code: str, *, lines: bool, braces: bool) -> Iterator[list[Lexeme]]:
    """At line ends and semicolons outside of brackets; at braces where they enclose blocks."""
    pending: list[Lexeme] = []
    depth = 0
    for lexeme in lexemes:
        between = code[pending[-1].end : lexeme.start] if pending else ""
        if lines and pending and not depth and "\n" in between and not between.lstrip(" \t").startswith("\\"):
            yield pending
            pending = []
        is_block = braces and lexeme.text in "{}" and lexeme.kind == "operator" and not depth
        if is_block or (lexeme.text == ";" and not depth):
            yield pending
            pending = []
            continue
        if lexeme.kind == "operator":
            depth = max(0, depth + (lexeme.text in OPENING) - (lexeme.text in CLOSING))
        pending.append(lexeme)
    yield pending


def _essential(lexemes: Sequence[Lexeme]) -> Iterator[Lexeme]:
    """Without the comma before a closing bracket."""
    for lexeme, following in zip_longest(lexemes, lexemes[1:]):
        if not (lexeme.text == "," and following is not None and following.text in CLOSING):
            yield lexeme


def _is_docstring(lexemes: Sequence[Lexeme]) -> bool:
    return all(lexeme.kind == "string" for lexeme in lexemes)


def _lexed(code: str, language: str) -> Iterator[Lexeme]:
    """Pygments' tokens; those of one string are one lexeme."""
    string: tuple[int, str] | None = None
    lexer = _lexer(language)
    for start, token, text in lexer.get_tokens_unprocessed(code) if lexer else ():
        kind = _class_of(token)
        if kind == "string":
            string = (string[0], string[1] + text) if string else (start, text)
            continue
        if string and kind != "symbol":
            yield _string(*string)
            string = None
        if text.strip():
            yield from _lexemes_of(kind, text, start)
    if string:
        yield _string(*string)


def _lexemes_of(kind: TokenClass, text: str, start: int) -> Iterator[Lexeme]:
    """What one of Pygments' tokens counts as; strings are put together before."""
    end = start + len(text)
    match kind:
        case "comment":
            return
        case "directive":
            yield Lexeme("keyword", text.strip(), start, end)
        case "number":
            yield Lexeme("number", _number(text), start, end)
        case "keyword" | "operator":
            yield Lexeme(kind, text, start, end)
        case "name" | "symbol" if text.startswith("@"):  # a decorator
            yield Lexeme("operator", "@", start, start + 1)
            yield Lexeme("name", text[1:], start + 1, end)
        case "name" | "symbol":
            yield Lexeme("name", text, start, end)
        case "mark":
            yield from (Lexeme("operator", c, start + i, start + i + 1) for i, c in enumerate(text) if not c.isspace())
        case _:
            yield from (w._replace(start=w.start + start, end=w.end + start) for w in _words(text))


@cache
def _class_of(token: "_TokenType") -> TokenClass:
    """What a type of Pygments' tokens is here."""
    from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, Punctuation, String

    classes: tuple[tuple[_TokenType, TokenClass], ...] = (
        *((Comment.Preproc, "directive"), (Comment, "comment"), (String.Interpol, "mark"), (String.Symbol, "symbol")),
        *((String, "string"), (Number, "number"), (Keyword, "keyword"), (Operator.Word, "keyword")),
        *(
            (Name.Namespace, "keyword"),
            (Name, "name"),
            (Literal, "name"),
            (Operator, "operator"),
            (Punctuation, "mark"),
        ),
    )
    return next((kind for parent, kind in classes if token in parent), "other")


def _string(start: int, text: str) -> Lexeme:
    prefix = re.match(r"[a-zA-Z@$]{0,2}(?=[\"'`])", text)
    content = text[prefix.end() :] if prefix else text
    content = content.strip("\"'`").replace("\\'", "'").replace('\\"', '"')
    return Lexeme("string", content or '""', start, start + len(text))


def _number(text: str) -> str:
    digits = text.replace("_", "").casefold()
    try:
        return f"{float(digits):g}" if digits.replace(".", "", 1).isdigit() and len(digits) < 15 else digits
    except ValueError:
        return digits


def _words(code: str) -> Iterator[Lexeme]:
    """Words, quoted strings and operators of a command line; comments are left out."""
    for match in _WORD.finditer(code):
        text = match.group()
        if match["comment"]:
            continue
        if match["quoted"]:
            yield Lexeme("string", text[1:-1] or '""', *match.span())
        elif match["operator"]:
            yield Lexeme("operator", text, *match.span())
        else:
            kind: LexemeKind = "number" if re.fullmatch(r"[\d.,]+", text) else "name"
            yield Lexeme(kind, text, *match.span())


_WORD = re.compile(
    r"""(?P<comment>(?:(?<=\s)|^)\#[^\n]*)|(?P<quoted>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
    r"""|(?P<operator>&&|\|\||>>|<<|[|;&<>(){}\[\]=,])|(?P<word>(?:[^\s|;&<>(){}\[\]="',]|["'](?=\S))+)""",
    re.MULTILINE,
)


@cache
def _lexer(language: str) -> "Lexer | None":
    """The lexer of a language; C++'s for a language that Pygments doesn't know, since its marks are common."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    for name in (ALIASES.get(language, language), "cpp"):
        try:
            return get_lexer_by_name(name, stripnl=False, ensurenl=False, startinline=True)
        except ClassNotFound:
            continue
    return None
