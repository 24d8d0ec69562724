"""A text cut into what can be compared: sentences, fenced code, tables and JSON, each with its place."""

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import regex

from fidelity.text.blocks import fences
from fidelity.text.documents import DocumentValue, Members, parse_json, parse_yaml

MAX_JSON_ATTEMPTS = 50
"""How many lines that open a bracket are read as JSON in vain before the rest of the text is taken as prose."""
PROSE_FENCES = frozenset({"text", "txt", "plaintext", "plain", "markdown", "md", "email", "quote", "output"})
MOST_OF_A_LINE = 200
"""The number of characters of a line that determine whether it is prose; long words would take quadratic time."""
WRAP = 60
"""A line this long that ends without a stop goes on in the next line."""


class Sentence(NamedTuple):
    """A sentence, a heading or a list item's sentence, without Markdown's marks at its start."""

    text: str
    start: int
    end: int
    heading: bool = False


class FenceSegment(NamedTuple):
    """Code between fence marks."""

    language: str
    text: str
    start: int
    end: int


class Table(NamedTuple):
    """A Markdown table: a row is its cells; the first row is the header."""

    rows: tuple[tuple[str, ...], ...]
    start: int
    end: int


class DocumentSegment(NamedTuple):
    """A piece of JSON or YAML that parses."""

    root: Members | list[DocumentValue]
    start: int
    end: int


class Segments(NamedTuple):
    """All of a text but white space and Markdown's marks, in four lists, each in the text's order."""

    sentences: list[Sentence]
    fences: list[FenceSegment]
    tables: list[Table]
    documents: list[DocumentSegment]


def segments(text: str) -> Segments:
    """Cut a text. A fence whose content is JSON or YAML is a document; one without code in it is read as sentences."""
    if (root := parse_json(text)) is not None:
        return Segments([], [], [], [DocumentSegment(root, 0, len(text))])
    lists = Segments([], [], [], [])
    position = 0
    for block in _blocks(text):
        _prose(text, position, block.start, lists)
        position = block.end
        match block:
            case Table():
                lists.tables.append(block)
            case FenceSegment() if (root := _root(block)) is not None:
                lists.documents.append(DocumentSegment(root, block.start, block.end))
            case FenceSegment() if block.language in PROSE_FENCES or (
                not block.language and looks_like_prose(block.text)
            ):
                first = text.find("\n", block.start, block.end) + 1
                lists.sentences.extend(_sentences(text, first, text.rfind("\n", first, block.end - 1) + 1))
            case FenceSegment():
                lists.fences.append(block)
    _prose(text, position, len(text), lists)
    return lists


def looks_like_prose(text: str) -> bool:
    """Whether most lines are words with hardly a mark among them that prose doesn't have."""
    lines = [line for line in text.splitlines() if line.strip()]
    return 2 * sum(bool(_PROSE_LINE.fullmatch(line[:MOST_OF_A_LINE])) for line in lines) > len(lines)


_PROSE_LINE = re.compile(r"\W{0,4}(?:[^\W\d_]++['’]?+[\w-]*+[,.:;!?)\"”]*+\s++[(\"“]?+){3,}+[^={}<>;\\|$]*+")


def _blocks(text: str) -> "Iterator[FenceSegment | Table]":
    """Fences, and the tables between them, with offsets of whole lines."""
    position = 0
    for fence in _fence_segments(text):
        yield from _tables(text, position, fence.start)
        yield fence
        position = fence.end
    yield from _tables(text, position, len(text))


def _fence_segments(text: str) -> Iterator[FenceSegment]:
    blocks = fences(text)
    if not blocks:
        return
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", text)), len(text)]
    for fence in blocks:
        first, last = (starts[min(line, len(starts) - 1)] for line in fence.lines)
        yield FenceSegment(fence.language, fence.content, first, last)


def _tables(text: str, start: int, end: int) -> Iterator[Table]:
    """Tables by the line below their header, which Markdown wants, also where no blank line is before or after."""
    position = start
    for rule in _RULE.finditer(text, start, end):
        first = text.rfind("\n", start, max(start, rule.start() - 1)) + 1 or start
        if rule.start() == start or first < position or "|" not in text[first : rule.start()]:
            continue
        last = rule.end()
        while (line := _LINE.match(text, last, end)) and "|" in line.group():
            last = line.end()
        lines = [text[first : rule.start()], *text[rule.end() : last].splitlines()]
        yield Table(tuple(tuple(_cells(line)) for line in lines if line.strip()), first, last)
        position = last


def _cells(line: str) -> Iterator[str]:
    cells = re.split(r"(?<!\\)\|", line.strip())
    yield from (plain(cell.strip()) for cell in cells[cells[0] == "" : len(cells) - (cells[-1] == "")])


_RULE = re.compile(r"^[ \t>]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*(?:\n|\Z)", re.MULTILINE)
_LINE = re.compile(r"[^\n]*(?:\n|$)")


def _root(fence: FenceSegment) -> Members | list[DocumentValue] | None:
    if fence.language in ("yaml", "yml"):
        roots = parse_yaml(fence.text)
        return roots[0] if len(roots) == 1 else None
    return parse_json(fence.text) if fence.language in ("json", "json5", "jsonc", "javascript", "js", "") else None


def _prose(text: str, start: int, end: int, lists: Segments) -> None:
    """Sentences, and JSON that begins on a line of its own."""
    position, attempts = start, 0
    for opening in re.compile(r"^[ \t]*(?=\{\s*\"|\[\s*[\"{\[])", re.MULTILINE).finditer(text, start, end):
        if opening.end() < position or attempts > MAX_JSON_ATTEMPTS:
            continue
        try:
            closing = json.JSONDecoder().raw_decode(text, opening.end())[1]
            root = parse_json(text[opening.end() : closing]) if closing <= end else None
        except (ValueError, RecursionError):
            root = None
        if root is None:
            attempts += 1
            continue
        lists.sentences.extend(_sentences(text, position, opening.start()))
        lists.documents.append(DocumentSegment(root, opening.end(), closing))
        position = closing
    lists.sentences.extend(_sentences(text, position, end))


def _sentences(text: str, start: int, end: int) -> Iterator[Sentence]:
    for first, last, heading in _paragraphs(text, start, end):
        ends = [match.end() for match in _stop().finditer(text, first, last)]
        for a, b in pairwise([first, *ends, last]):
            raw = text[a:b]
            if any(c.isalnum() for c in raw):
                left, right = len(raw) - len(raw.lstrip()), len(raw.rstrip())
                yield Sentence(plain(raw.strip()), a + left, a + right, heading)


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Where list items, headings and paragraphs begin and end; lines that were wrapped are one paragraph."""
    pending: tuple[int, int] | None = None
    for line in re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)").finditer(text, start, end):
        content = line.group().rstrip()
        prefix = _PREFIX.match(content)
        marked = prefix is not None and bool(prefix["heading"] or prefix["item"])
        empty = prefix is None or prefix.end() == len(content)  # nothing, or a mark without text: ">"
        if pending and (marked or empty or not _goes_on(text[slice(*pending)], content)):
            yield *pending, False
            pending = None
        if empty:
            continue
        first = line.start() + (prefix.end() if prefix and pending is None else 0)
        if prefix and prefix["heading"]:
            yield first, line.start() + len(content), True
        else:
            pending = (pending[0] if pending else first), line.start() + len(content)
    if pending:
        yield *pending, False


def _goes_on(before: str, line: str) -> bool:
    """Whether a line is the rest of the one before, which was wrapped."""
    last = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
    stripped = line.lstrip(" \t>*_\"'`(")
    return last[-1] not in ".!?:。！？।|" and (stripped[:1].islower() or len(last) >= WRAP)


def plain(markdown: str) -> str:
    """Text without the marks of emphasis and links. Those of code remain, since they distinguish names from words."""
    markdown = markdown.replace("\n", " ").replace("\r", " ")
    if not any(c in markdown for c in "*_[\\"):
        return markdown
    return _EMPHASIS.sub("", _LINK.sub(r"\1(\2)", markdown))


_PREFIX = re.compile(
    r"[ \t>]*(?:(?P<heading>#{1,6}[ \t]+)"
    r"|(?P<item>[-*+•‣◦–][ \t]+(?:\[[ xX]\][ \t]+)?|\(?(?:\d{1,3}|[a-zA-Z])[.)][ \t]+))?"
)
_EMPHASIS = re.compile(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<!\w)_{1,3}(?=\w)|(?<=[\w.!?,;:])_{1,3}(?!\w)|\\(?=[*_\[\]#])")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\(([^()\s]*)\)")
_ABBREVIATIONS = "Dr Mr Mrs Ms St vs No Nr Fig Abs bzw z.B Inc Jr Sr ca cf etc e.g i.e approx Prof"


@cache
def _stop() -> "regex.Pattern[str]":
    """The end of a sentence with its white space: not after an abbreviation or initial, nor before a small letter."""
    names = "|".join(map(regex.escape, _ABBREVIATIONS.split()))
    return regex.compile(
        rf"""(?:(?<!\b(?:\p{{Lu}}|{names}))\.|[!?…]+)["'”’»)\]*_]*(?:\s+(?=["'“‘«(\[*_`]*+[\p{{L}}\p{{N}}$])(?!["'“‘«(\[*_]*\p{{Ll}}))"""
        r"""|[。！？।॥]+["'”’」』）]*\s*""",
        regex.V1,
    )
