"""Comparing code: the differences between two pieces of code after harmless renaming."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from fidelity.text.alignment import align
from fidelity.text.frames import UnitConflict
from fidelity.text.lexemes import BRACES, WORDS, Lexeme, Statement, statements
from fidelity.text.variants import in_one_form

THRESHOLD = 0.6
"""Statements less alike are other statements, unless their neighbors are the same."""
BINDING = frozenset(
    {
        "def",
        "function",
        "fn",
        "func",
        "fun",
        "class",
        "struct",
        "interface",
        "enum",
        "for",
        "let",
        "const",
        "var",
        "val",
    }
    | {"mut", "local", "my", "as", "lambda", "catch", "import", "type", "sub", "in"}
)
"""Keywords after which a name is the program's own."""
ASSIGNING = frozenset({"=", ":=", "<-", "+=", "-=", "*=", "/=", "in"})
MEMBER = frozenset({".", "->", "::", "?."})


class CodeComparison(NamedTuple):
    """The common statements of two pieces of code, and their conflicts."""

    findings: list[UnitConflict]
    """In the offsets of the two pieces."""
    aligned: int
    """Statements of the baseline that have a counterpart."""
    statements: int
    added: int
    """Statements of the candidate that have none."""
    of_candidate: int


def compare_code(baseline: str, candidate: str, language: str) -> CodeComparison:
    """Align the statements of two pieces of code, and the lexemes of those that differ.

    A name that is bound in both pieces (assigned, a parameter, a loop's variable, a function) may be another one, if it
    is so everywhere. Any other name, literal, keyword or operator that differs is a finding.
    """
    a, b = (in_one_form(statements(code, language), language) for code in (baseline, candidate))
    matches = align([s.key for s in a], [s.key for s in b], exact=True, threshold=THRESHOLD)
    joined = [
        ([x for i in m.baseline for x in a[i].lexemes], [x for j in m.candidate for x in b[j].lexemes]) for m in matches
    ]
    renamed = {} if language in WORDS else _renamed(a, b, joined, typed=language in BRACES)
    findings = [f for one, other in joined for f in _findings(one, other, renamed)]
    aligned, of_candidate = sum(len(m.baseline) for m in matches), sum(len(m.candidate) for m in matches)
    return CodeComparison(findings, aligned, len(a), len(b) - of_candidate, len(b))


def _findings(a: Sequence[Lexeme], b: Sequence[Lexeme], renamed: Mapping[str, str]) -> Iterator[UnitConflict]:
    texts = [renamed.get(x.text, x.text) if x.kind == "name" else x.text for x in a], [x.text for x in b]
    if texts[0] == texts[1]:
        return
    for op in Levenshtein.opcodes(*texts):
        if op.tag != "equal":
            yield UnitConflict("code", _span(a, op.src_start, op.src_end), _span(b, op.dest_start, op.dest_end))


def _span(lexemes: Sequence[Lexeme], start: int, stop: int) -> tuple[int, int]:
    if start < stop:
        return lexemes[start].start, lexemes[stop - 1].end
    place = lexemes[start].start if start < len(lexemes) else lexemes[-1].end
    return place, place


def _renamed(
    a: Sequence[Statement],
    b: Sequence[Statement],
    matches: Sequence[tuple[Sequence[Lexeme], Sequence[Lexeme]]],
    *,
    typed: bool,
) -> dict[str, str]:
    """Names of the baseline and what they are called in the candidate, everywhere and one to one."""
    bound = [_bound(side, typed=typed) for side in (a, b)]
    names = [{x.text for s in side for x in s.lexemes if x.kind == "name"} for side in (a, b)]
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for one, other in matches:
        for op in Levenshtein.opcodes([x.text for x in one], [x.text for x in other]):
            if op.tag == "replace" and op.src_end - op.src_start == op.dest_end - op.dest_start:
                for x, y in zip(one[op.src_start : op.src_end], other[op.dest_start : op.dest_end], strict=True):
                    if x.kind == y.kind == "name":
                        seen[x.text][y.text] += 1
    renamed = {
        old: new
        for old, (new, *others) in ((old, tuple(news)) for old, news in seen.items())
        if not others and old in bound[0] and new in bound[1] and old not in names[1] and new not in names[0]
    }
    targets = Counter(renamed.values())
    return {old: new for old, new in renamed.items() if targets[new] == 1}


def _bound(side: Sequence[Statement], *, typed: bool) -> set[str]:
    """The names that a piece of code gives itself; attributes only of `self` and `this`.

    `typed`: whether a name after a name, as in `int x`, is one of them.
    """
    names = set()
    for statement in side:
        lexemes = statement.lexemes
        declares = bool({x.text for x in lexemes} & {"def", "function", "fn", "func", "fun", "lambda", "=>", "sub"})
        depth = 0
        for i, lexeme in enumerate(lexemes):
            depth += (lexeme.text in "([{") - (lexeme.text in ")]}") if lexeme.kind == "operator" else 0
            if lexeme.kind != "name":
                continue
            before = lexemes[i - 1].text if i else ""
            after = lexemes[i + 1].text if i + 1 < len(lexemes) else ""
            if before in MEMBER and not (i > 1 and lexemes[i - 2].text in ("self", "this", "$this")):
                continue
            declared = typed and i > 0 and _is_type(lexemes[i - 1])
            if (
                before in BINDING
                or (after in ASSIGNING and not depth)
                or (declares and (depth or before in BINDING))
                or (declared and after not in ("(", *MEMBER))
                or (declared and after == "(" and lexemes[-1].text in (")", "const", "override"))
                or (not depth and after == "," and {"=", "in"} & {x.text for x in lexemes[i:]})
            ):
                names.add(lexeme.text)
    return names


def _is_type(lexeme: Lexeme) -> bool:
    """Whether what follows can be declared by it, as x is in `int x`, `list[int] x` and `char *x`."""
    if lexeme.kind == "keyword":
        return lexeme.text not in NO_TYPES
    return lexeme.kind == "name" or (lexeme.kind == "operator" and lexeme.text.endswith(("*", "&", ">", "]")))


NO_TYPES = frozenset(
    {"return", "not", "in", "and", "or", "is", "await", "new", "else", "yield", "del", "print", "from", "import", "if"}
    | {"while", "case", "throw", "raise", "elif", "assert", "goto", "delete", "typeof", "instanceof", "except", "with"}
    | {"package", "using", "namespace", "include", "use", "extends", "implements", "throws", "export", "default"}
)
