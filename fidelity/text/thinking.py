"""Separating a reasoning model's thinking from its answer by the marks in the text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fidelity.schema import REFUSE_UNKNOWN_KEYS

THINK = ("<think>", "</think>")
_FENCED = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.DOTALL | re.MULTILINE)
_HARMONY = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_HARMONY_BEGINS = ("<|channel|>", "<|start|>")
_STRIPPED_BEGINS = ("analysis", "commentary")
"""Harmony's channels where the detokenizer left out the special tokens around them."""
_STRIPPED_FINAL = "assistantfinal"
_STRIPPED_TURN = re.compile("assistant(?:analysis|commentary)")
_STRIPPED_NAME = re.compile(r"(?:analysis|final)(?=[^\sa-z])")
"""A channel's name run into the text, which no word goes on like: analysisWe, final42."""


class Split(NamedTuple):
    """A text in two parts."""

    thinking: str | None
    """None where there is none."""
    answer: str
    """Empty where the thinking never came to one."""


@dataclass(frozen=True, slots=True)
class ReasoningFormat:
    """The reasoning format of a run, which separates thinking and answer in each of its texts."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    form: Literal["think", "harmony"] | None
    """`think` are tags around it, `harmony` the channels of gpt-oss."""
    tags: tuple[str, str] = THINK
    closes_only: bool = False
    """A closing tag without an opening one ends thinking, which the prompt had opened."""
    begins_inside: bool = False
    """A text without any tag is thinking that never ended."""


NO_THINKING = ReasoningFormat(None)


def detect_format(
    texts: Iterable[str],
    *,
    parser: Literal["auto", "think", "harmony", "none"] = "auto",
    tags: tuple[str, str] = THINK,
    opened: bool | None = None,
) -> ReasoningFormat:
    """Detect the reasoning format of a run's texts.

    A text that starts with a thinking block is sufficient. Marks that any text can contain by chance (only a closing
    tag, an unclosed opening tag, the word "analysis") count if at least half of the texts have them.

    Args:
        texts: The run's texts, which are read once.
        parser: The format, if it is configured.
        tags: The opening and closing tags of the format `think`.
        opened: Whether the prompt ended with an opening tag; None if unknown.
    """
    signs = _Signs() if parser == "none" else _signs(texts, tags)
    if not signs.texts:
        return NO_THINKING
    if parser == "harmony" or (parser == "auto" and (signs.harmony or 2 * signs.named >= signs.texts)):
        return ReasoningFormat("harmony")
    many = 2 * signs.closed >= signs.texts
    if not (parser == "think" or opened or signs.whole or many or 2 * signs.begun >= signs.texts):
        return NO_THINKING
    closes_only = bool(opened) or many or (parser == "think" and signs.closed > 0)
    return ReasoningFormat("think", tags, closes_only, begins_inside=many if opened is None else opened)


@dataclass(slots=True)
class _Signs:
    """What a run's texts show of a format: in how many of them, or whether in any."""

    texts: int = 0
    begun: int = 0
    """Texts that start with an opening tag."""
    whole: bool = False
    """Whether one of these has a closing tag too."""
    closed: int = 0
    """Texts whose first tag closes."""
    harmony: bool = False
    """Whether one can't be anything but harmony."""
    named: int = 0
    """Texts that start with a channel's name."""


def _signs(texts: Iterable[str], tags: tuple[str, str]) -> _Signs:
    signs = _Signs()
    for text in texts:
        begin = text.lstrip()
        signs.texts += 1
        if begin.startswith(tags[0]):
            signs.begun += 1
            signs.whole = signs.whole or bool(_end_of_thinking(begin.removeprefix(tags[0]), tags))
        signs.closed += _closes_only(text, tags)
        signs.harmony = signs.harmony or _is_harmony(begin)
        signs.named += bool(_STRIPPED_NAME.match(begin))
    return signs


def split(text: str, reasoning_format: ReasoningFormat) -> Split:
    """The text's thinking and its answer; white space between the two belongs to neither."""
    match reasoning_format.form:
        case "think":
            return _split_think(text, reasoning_format)
        case "harmony":
            return _split_harmony(text)
        case None:
            return Split(None, text)


def _split_think(text: str, reasoning_format: ReasoningFormat) -> Split:
    opening, _ = reasoning_format.tags
    rest, thoughts = text, list[str]()
    while (begun := rest.lstrip().startswith(opening)) or (reasoning_format.closes_only and not thoughts):
        body = rest.lstrip().removeprefix(opening)
        end = _end_of_thinking(body, reasoning_format.tags)
        if end is None and not (begun or reasoning_format.begins_inside):
            break
        thinking, answer = end or (len(body), len(body))
        thoughts.append(body[:thinking].strip())
        rest = body[answer:]
    return Split("\n\n".join(thoughts), rest.lstrip()) if thoughts else Split(None, text)


def _end_of_thinking(body: str, tags: tuple[str, str]) -> tuple[int, int] | None:
    """Where the closing tag of the block that `body` is inside of begins and ends; None where it never closes.

    It is the one that balances the tags, else the first. Tags in code spans never count; tags in a code block only
    count if there are no others.
    """
    opening, closing = tags
    if closing not in body:
        return None
    tag = f"(?:{re.escape(opening)}|{re.escape(closing)})"
    matches = list(re.finditer(f"(?<!`){tag}|{tag}(?!`)", body))
    code = [match.span() for match in _FENCED.finditer(body)]
    outside = [one for one in matches if not any(start < one.start() < end for start, end in code)]
    for candidates in (outside, matches):
        depth, first = 1, None
        for one in candidates:
            depth += 1 if one[0] == opening else -1
            first = first or (one if one[0] == closing else None)
            if depth == 0:
                return one.span()
        if first:
            return first.span()
    return None


def _closes_only(text: str, tags: tuple[str, str]) -> bool:
    """Whether the first tag of the text closes what was never opened."""
    end = _end_of_thinking(text, tags)
    return end is not None and tags[0] not in text[: end[0]]


def _split_harmony(text: str) -> Split:
    begin = text.lstrip()
    if begin.startswith(_HARMONY_BEGINS) and (channels := _HARMONY.findall(begin)):
        thoughts = [body.strip() for channel, body in channels if channel != "final"]
        return _joined(thoughts, "".join(body for channel, body in channels if channel == "final"))
    if begin.startswith(_STRIPPED_BEGINS):
        thinking, _, answer = begin.partition(_STRIPPED_FINAL)
        for channel in _STRIPPED_BEGINS:
            thinking = thinking.removeprefix(channel)
        return _joined([thought.strip() for thought in _STRIPPED_TURN.split(thinking)], answer)
    if _STRIPPED_NAME.match(begin):
        return Split(None, begin.removeprefix("final"))
    return Split(None, text)


def _joined(thoughts: Sequence[str], answer: str) -> Split:
    return Split("\n\n".join(thoughts) if thoughts else None, answer.lstrip())


def _is_harmony(begin: str) -> bool:
    """Whether a text that begins so can be nothing else."""
    if begin.startswith(_HARMONY_BEGINS) and _HARMONY.match(begin.removeprefix("<|start|>assistant")):
        return True
    return begin.startswith(_STRIPPED_BEGINS) and _STRIPPED_FINAL in begin
