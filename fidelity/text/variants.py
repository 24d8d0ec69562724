"""Variants of a statement that do the same: `-r -f` and `-rf`, a prompt, `import os, sys` in any order, `== None`."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from fidelity.text.lexemes import WORDS, Lexeme, Statement

_FLAGS = re.compile(r"-[A-Za-z]{1,6}")


def in_one_form(statements: Sequence[Statement], language: str) -> list[Statement]:
    """The statements of a piece of code with one spelling for each variant; every lexeme keeps its place."""
    if language in WORDS:
        return [Statement(tuple(_single_flags(_without_prompt(statement.lexemes)))) for statement in statements]
    if language in ("python", "py", "python3"):
        return [Statement(tuple(_sorted_imports(_none_is_none(statement.lexemes)))) for statement in statements]
    if language in ("javascript", "js", "jsx", "typescript", "ts", "tsx"):
        return [Statement(tuple(_bare_parameters(statement.lexemes))) for statement in statements]
    return list(statements)


def _without_prompt(lexemes: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """Without the prompt before a command, and without the mark before a line's end."""
    command = lexemes[1:] if len(lexemes) > 1 and lexemes[0].text == "$" else lexemes
    return [lexeme for lexeme in command if lexeme.text != "\\"]


def _single_flags(lexemes: Sequence[Lexeme]) -> Iterator[Lexeme]:
    """A shell's flags of one letter, each by itself and in alphabetical order."""
    for are_flags, run in groupby(lexemes, key=lambda lexeme: bool(_FLAGS.fullmatch(lexeme.text))):
        if are_flags:
            single = (lexeme._replace(text=f"-{letter}") for lexeme in run for letter in lexeme.text[1:])
            yield from sorted(single, key=lambda lexeme: lexeme.text)
        else:
            yield from run


def _bare_parameters(lexemes: Sequence[Lexeme]) -> list[Lexeme]:
    """`x => y` for `(x) => y`."""
    texts = [lexeme.text for lexeme in lexemes]
    brackets = {
        place
        for i in range(3, len(texts))
        if (texts[i] == "=>" or texts[i : i + 2] == ["=", ">"])
        and (texts[i - 1], texts[i - 3], lexemes[i - 2].kind) == (")", "(", "name")
        for place in (i - 1, i - 3)
    }
    return [lexeme for i, lexeme in enumerate(lexemes) if i not in brackets]


def _none_is_none(lexemes: Sequence[Lexeme]) -> list[Lexeme]:
    """`is` for `==`, and `is not` for `!=`, before `None`."""
    changed: list[Lexeme] = []
    for lexeme, following in zip(lexemes, [*lexemes[1:], None], strict=True):
        if following and following.text == "None" and lexeme.text in ("==", "!="):
            changed.append(lexeme._replace(kind="keyword", text="is"))
            if lexeme.text == "!=":
                changed.append(lexeme._replace(kind="keyword", text="not"))
        else:
            changed.append(lexeme)
    return changed


def _sorted_imports(lexemes: Sequence[Lexeme]) -> list[Lexeme]:
    """The names that one statement imports, in alphabetical order."""
    texts = [lexeme.text for lexeme in lexemes]
    if not texts or texts[0] not in ("import", "from") or "import" not in texts or "as" in texts:
        return list(lexemes)
    start = texts.index("import") + 1
    names = [lexeme for lexeme in lexemes[start:] if lexeme.text not in "(,)"]
    if any(lexeme.text == "." for lexeme in names):
        return list(lexemes)
    return [*lexemes[:start], *sorted(names, key=lambda lexeme: lexeme.text)]
