"""Finding code in a text, fenced or bare, and its language, also without a label."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache

from rapidfuzz import fuzz

from fidelity.text.blocks import fences
from fidelity.text.counterparts import COMPARED, counterparts
from fidelity.text.documents import parse_json
from fidelity.text.segments import MOST_OF_A_LINE, looks_like_prose
from fidelity.text.syntax import ALIASES, GRAMMARS, CodeBlock, is_whole, parse_code

UNLABELED = frozenset({"", "code", "none", "output", "plain", "plaintext", "snippet", "text", "txt"})
"""Labels of fences that name no language."""
ALIKE = 50
"""How alike, in percent, an unlabeled block must be to its counterpart to be in its language."""
MOST_GUESSED = 32_000
"""Characters of a block to guess its language."""
SHARE = 0.3
"""Of the lines of a block with syntax errors that must look like the language."""
MOST_DROPPED = 3
"""Paragraphs behind bare code that may turn out to be none."""
WHOLE = 2
"""How many lines that look like a language a parse without errors is worth."""

MARKS = {
    "python": (
        r"def \w+\(.*|class \w+.*:|from [\w.]+ import [^;]+"
        r"|import [\w.]+(?: as \w+)?(?:, [\w.]+)*|(?:if|elif|for|while|with|except"
        r"|try|else|finally|async def)\b[^{]*:|print\([^;]*|return\b[^;]*|@\w[\w.]*(?:\(.*\))?|raise \w+.*"
        r"|self\.\w+ = .*"
    ),
    "javascript": (
        r"(?:export )?(?:const|let|var) [\w{}\[\], ]+ = .*|(?:export )?(?:default )?(?:async )?function\b.*"
        r"|.*=> ?[{(\w].*|console\.\w+\(.*|import .* from ['\"].*|document\.\w+.*|module\.exports.*"
        r"|.*\brequire\(['\"].*|.* === .*"
    ),
    "typescript": (
        r".*\w\??: (?:string|number|boolean|void|any|unknown|never|Promise<.*)(?:\[\])?\s*[,;=)|{].*"
        r"|(?:export )?(?:interface|type) \w+.*[{=].*|.*\): \w+(?:<.*>)? (?:=>|\{).*"
    ),
    "java": (
        r"(?:public|private|protected) (?:static |final |abstract )*[\w<>\[\], ]+\w+.*|.*System\.out\..*"
        r"|import (?:static )?\w+\.[\w.*]+;|package [\w.]+;|@Override|(?:final |abstract )?class \w+[^:]*\{.*"
    ),
    "c": (
        r"#\s*include\s*<\w+\.h>|#\s*(?:define|ifdef|ifndef)\b.*|(?:static |const |unsigned )*(?:int|void|char"
        r"|float|double|long|size_t|struct \w+) \**\w+\s*[(=;\[,].*|.*\b(?:printf|scanf|malloc|sizeof)\(.*"
    ),
    "c++": (
        r"#\s*include\s*<\w+>|.*\bstd::.*|.*\b(?:cout|cin|cerr)\b.*|template\s*<.*|using namespace .*|(?:class"
        r"|struct) \w+.*\{"
    ),
    "go": (r"package \w+|func (?:\(\w+ \*?\w+\) )?\w+\(.*|.* := .*|.*\bfmt\.\w+\(.*|import \("),
    "rust": (
        r"(?:pub )?fn \w+.*|let (?:mut )?\w+(?:: [\w<>&]+)? = .*;|.*\b(?:println|vec|format|panic)!.*"
        r"|use \w+(?:::\w+)+.*;|impl\b.*|#\[derive.*|match \w+.*\{"
    ),
    "bash": (
        r"#!.*sh\b.*|\$ \w+.*|(?:sudo|apt|apt-get|pip|pip3|npm|npx|yarn|cd|ls|mkdir|rm|cp|mv|chmod|chown"
        r"|export|git|docker|kubectl|curl|wget|cargo|composer|node|nix|nix-shell|streamlit|ffmpeg|poetry|uv"
        r"|pnpm|echo|cat|grep|sed|awk|source|brew|conda|python|python3|make|ssh|tar|find)\b(?! ?[=(:,.]).*"
        r"|then|fi|done|esac|if \[.*|for \w+ in .*; do.*"
    ),
    "sql": (
        r"SELECT\b.*|INSERT INTO\b.*|UPDATE \w+.*|DELETE FROM\b.*|(?:CREATE|ALTER|DROP) (?:TABLE|INDEX|VIEW"
        r"|DATABASE)\b.*|FROM \w+.*|WHERE .*|(?:INNER |LEFT |RIGHT |FULL )?(?:OUTER )?JOIN .*|GROUP BY .*"
        r"|ORDER BY .*|WITH \w+ AS \(.*"
    ),
    "html": (
        r"<!DOCTYPE html.*|</?(?:html|head|body|div|p|span|a|ul|ol|li|table|tr|td|h[1-6]|script|style|form"
        r"|input|button|img|b|i|main|nav|section)\b[^>]*>.*"
    ),
}
"""What a line of each language looks like."""
WEAK = {
    "python": (
        r"[\w., \[\]'\"]+ (?:[-+*/]|//|\*\*)?= [^;]*[^;{]|[\w.]+\(.*\)|[\w.]+\([^;{]*|[)\]}]+,?|#.*|'.*'.*,|\".*\".*,"
        r"|\w+=.*,"
    )
}
"""What lines of a language often look like, and others' too; they count where all lines do and the block parses."""
EXTENDS = {"typescript": "javascript", "c++": "c"}
"""Languages whose lines also look like another's; what sets them apart must be there."""
IGNORING_CASE = frozenset({"sql", "html"})


def code_blocks(baseline: str, candidate: str) -> tuple[list[CodeBlock], list[CodeBlock]]:
    """Both texts' code in the languages of `GRAMMARS`, in order.

    It is in fences; in a text without fences, it is the paragraphs that parse without errors. A fence without a
    language has its counterpart's language if the two are similar, else the language that it looks like. JSON is not
    code.
    """
    sides = list(_labeled(baseline)), list(_labeled(candidate))
    partners = counterparts(*([block.code for block in side] for side in sides))
    pairs = [(place, partner) for place, partner in enumerate(partners) if partner is not None]
    languages = [[block.language for block in side] for side in sides]
    for place, partner in pairs:
        own, other = sides[0][place], sides[1][partner]
        if (
            bool(own.language) != bool(other.language)
            and fuzz.ratio(own.code[:COMPARED], other.code[:COMPARED]) >= ALIKE
        ):
            languages[0][place] = languages[1][partner] = own.language or other.language
    read = (
        [_read(block, code) for block, code in zip(*side, strict=True)] for side in zip(sides, languages, strict=True)
    )
    first, second = ([block for block in side if block] for side in read)
    return first, second


def guess_language(code: str, *, surely: bool = False) -> str | None:
    """The language that a piece of code looks like; None for prose, JSON, and what looks like none of `MARKS`.

    With `surely`, `WEAK` marks don't count, since formulas have them too.
    """
    lines = [line.strip()[:MOST_OF_A_LINE] for line in code.splitlines() if line.strip()]
    if not lines or len(code) > MOST_GUESSED or parse_json(code) is not None:
        return None
    counts = {language: sum(map(bool, map(_mark(language).fullmatch, lines))) for language in MARKS}
    if looks_like_prose(code) and max(counts.values()) < len(lines):
        return None
    scores: dict[str, int] = {}
    for language, count in counts.items():
        weak = _weak(language).fullmatch if language in WEAK and not surely else None
        likely = weak and all(_mark(language).fullmatch(line) or weak(line) for line in lines)
        if count or likely:
            whole = is_whole(parse_code(CodeBlock(language, code)))
            if whole or count >= SHARE * len(lines):
                scores[language] = count + counts.get(EXTENDS.get(language, ""), 0) + WHOLE * whole
    return max(scores, key=lambda language: scores[language], default=None)


def _read(block: CodeBlock, language: str) -> CodeBlock | None:
    known = language or guess_language(block.code)
    return CodeBlock(known, block.code) if known else None


def _labeled(text: str) -> Iterator[CodeBlock]:
    """Blocks with the language that their label names, empty where it names none; no JSON, no other languages."""
    blocks_of_text = fences(text)
    if not blocks_of_text:
        yield from _bare(text)
    for fence in blocks_of_text:
        language = ALIASES.get(fence.language, fence.language)
        if (language in GRAMMARS or language in UNLABELED) and parse_json(fence.content) is None:
            yield CodeBlock(language if language in GRAMMARS else "", fence.content)


def _bare(text: str) -> Iterator[CodeBlock]:
    """Paragraphs, two lines or more, that are no prose and parse without errors in the language they look like."""
    paragraphs = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))
    for run in _runs_of_code(paragraphs):
        shorter = ("\n\n".join(run[: len(run) - last]) for last in range(min(len(run), MOST_DROPPED + 1)))
        if block := next(filter(None, map(_whole, shorter)), None):
            yield block


def _whole(text: str) -> CodeBlock | None:
    code = textwrap.dedent(text).strip("\n")
    language = guess_language(code, surely=True) if code.count("\n") else None
    if language is None or (language == "html" and not code.startswith("<")):
        return None
    block = CodeBlock(language, code)
    return block if is_whole(parse_code(block)) else None


def _runs_of_code(paragraphs: Sequence[str]) -> Iterator[list[str]]:
    """Paragraphs that are no prose, from one on that looks like code."""
    run: list[str] = []
    for paragraph in paragraphs:
        if run and looks_like_prose(paragraph):
            yield run
            run = []
        elif run or _is_marked(paragraph):
            run.append(paragraph)
    if run:
        yield run


def _is_marked(paragraph: str) -> bool:
    lines = [line.strip()[:MOST_OF_A_LINE] for line in paragraph.splitlines()]
    return any(_mark(language).fullmatch(line) for line in lines for language in MARKS)


@cache
def _mark(language: str) -> re.Pattern[str]:
    return re.compile(MARKS[language], re.IGNORECASE if language in IGNORING_CASE else 0)


@cache
def _weak(language: str) -> re.Pattern[str]:
    return re.compile(WEAK[language])
