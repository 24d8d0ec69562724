"""The HTML report's pairs, as data for its script: worst first, up to a maximum size."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from fidelity.comparison.pairs import beside
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.gate import Verdict
from fidelity.outside.strings import cut, one_line, visible
from fidelity.records import Pair, Prompt
from fidelity.report.conflicts import conflict_in_words, conflicts_of
from fidelity.report.content import shown_in_table
from fidelity.report.diff import Piece, readable, word_diff
from fidelity.report.pairs import rank
from fidelity.report.verdicts import URGENCY
from fidelity.text.conflicts import Conflict

MOST_BYTES = 12_000_000
"""The maximum size of all pairs. Each candidate gets an equal share; an unused rest goes to the next."""
MOST_OF_A_PAIR = 60_000
"""The maximum length of both answers together."""
MOST_OF_A_PROMPT = 5_000
MOST_CONFLICTS = 20
KINDS = {"both": 0, "baseline": 1, "candidate": 2}
CUT = 3
"""A piece that states how much text was left out."""
ShownPiece = tuple[int, str] | tuple[int, str, str]
"""A piece of a diff: its kind, its text, and the conflicts that it is in."""


@dataclass(frozen=True, slots=True)
class Held:
    """How many of a candidate's pairs the report includes."""

    name: str
    pairs: int
    of: int


def page_data(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> tuple[dict[str, object], list[Held]]:
    """Return the data for the page's script, as visible text, and the numbers of included pairs."""
    columns = {
        name: scored.column
        for candidate in result.candidates
        for name, scored in candidate.columns.items()
        if shown_in_table(name)
    }
    prompts: dict[str, int] = {}
    asked: list[dict[str, str]] = []
    of_control: dict[str, list[ShownPiece]] = {}
    candidates, held, room = [], [], MOST_BYTES
    for number, candidate in enumerate(result.candidates):
        ranking = rank(result, candidate, verdicts.get(candidate.run.name))
        texts = candidate.pairing.pairs
        controls = beside(texts, result.controls[0].pairing.pairs) if result.controls else ()
        share = room // (len(result.candidates) - number)
        entries: list[dict[str, object]] = []
        used = 0
        for place in ranking.order:
            pair = texts[place]
            entry = _entry(pair, place, candidate, columns, ranking.excess[place])
            new = [] if pair.prompt.id in prompts else [_prompt(pair.prompt)]
            at = prompts.get(pair.prompt.id, len(asked))
            shown = not result.controls or f"{at}:{pair.baseline.repeat}" in of_control
            control_diff = {} if shown else _of_control(pair, at, result.controls[0], int(controls[place]))
            size = len(json.dumps([entry, new, control_diff], ensure_ascii=False).encode())
            if used + size > share and entries:
                break
            used += size
            if new:
                prompts[pair.prompt.id] = at
                asked += new
            of_control |= control_diff
            entries.append({"p": at, **entry})
        room -= used
        by = None if ranking.by is None else list(columns).index(ranking.by)
        candidates.append({"name": one_line(candidate.run.name), "by": by, "pairs": entries})
        held.append(Held(candidate.run.name, len(entries), len(texts)))
    urgent = [
        URGENCY.index(v.outcome) if (v := verdicts.get(one.run.name)) else len(URGENCY) for one in result.candidates
    ]
    data: dict[str, object] = {
        "first": min(range(len(urgent)), key=urgent.__getitem__, default=0),
        "baseline": one_line(result.baseline.name),
        "control": one_line(result.controls[0].run.name) if result.controls else "",
        "controls": of_control,
        "columns": [
            {"name": name, "better": column.better, "digits": 0 if column.summary == "median" else 3}
            for name, column in columns.items()
        ],
        "categories": sorted({prompt["category"] for prompt in asked} - {""}),
        "prompts": asked,
        "candidates": candidates,
    }
    return data, held


def _entry(
    pair: Pair, place: int, candidate: Scores, columns: Iterable[str], excess: float | None
) -> dict[str, object]:
    """One pair: its position, repeat, values, excess, diff and conflicts."""
    values = [candidate.columns[name].column.values[place] if name in candidate.columns else None for name in columns]
    anything = candidate.columns.get("conflict_any")
    shown = conflicts_of(pair)[:MOST_CONFLICTS] if anything and anything.column.values[place] else ()
    pieces = _diff(pair.baseline.text, pair.candidate.text, [(one, conflict_in_words(one, pair)) for one in shown])
    conflicts = [conflict_in_words(conflict, pair) for conflict in shown]
    return {"n": place, "r": pair.baseline.repeat, "v": values, "x": excess, "d": pieces, "c": conflicts}


def _of_control(pair: Pair, at: int, control: Scores, place: int) -> dict[str, list[ShownPiece]]:
    """The diff of the control's answer to the same prompt, by the prompt's place and the repeat."""
    if place < 0:
        return {}
    return {f"{at}:{pair.baseline.repeat}": _diff(pair.baseline.text, control.pairing.pairs[place].candidate.text)}


def _diff(baseline: str, other: str, conflicts: Sequence[tuple[Conflict, str]] = ()) -> list[ShownPiece]:
    """The word diff of two answers, cut at the edges of their conflicts, up to a maximum length."""
    pieces = word_diff(baseline, other)
    shown: list[ShownPiece] = []
    room, at = MOST_OF_A_PAIR, (0, 0)
    for number, (piece, spelled) in enumerate(zip(pieces, readable(pieces), strict=True)):
        for kind, text, why in (
            [(KINDS[piece.kind], spelled.text, "")] if piece.spelling else _cut(piece, at, conflicts)
        ):
            shown.append((kind, text[:room], why) if why else (kind, text[:room]))
            room -= len(text)
            if room < 0:
                left = sum(len(later.text) for later in pieces[number + 1 :]) - room
                return [*shown, (CUT, f"\n… {left:,} more characters in both; the store has the full texts")]
        length = len(piece.text)
        at = (at[0] + length * (piece.kind != "candidate"), at[1] + length * (piece.kind != "baseline"))
    return [*shown, *((KINDS[side], "", why) for side, why in _at_end(baseline, other, conflicts))]


def _cut(
    piece: Piece, at: tuple[int, int], conflicts: Sequence[tuple[Conflict, str]]
) -> Iterator[tuple[int, str, str]]:
    """A piece by its conflicts; `at` is where it begins in the baseline's answer and in the other one."""
    side = 1 if piece.kind == "candidate" else 0
    begin, end = at[side], at[side] + len(piece.text)
    spans = [(*(one.candidate if side else one.baseline), why) for one, why in conflicts]
    edges = sorted({begin, end}.union(edge for *span, _ in spans for edge in span if begin < edge < end))
    for left, right in pairwise(edges):
        for start, stop, why in spans:
            if start == stop == left:  # what only the other answer has
                yield KINDS[piece.kind], "", why
        over = [why for start, stop, why in spans if start <= left and right <= stop]
        yield KINDS[piece.kind], visible(piece.text[left - begin : right - begin]), "; ".join(over)


def _at_end(
    baseline: str, other: str, conflicts: Sequence[tuple[Conflict, str]]
) -> Iterator[tuple[Literal["baseline", "candidate"], str]]:
    """The conflicts about what one answer lacks after its last character."""
    for one, why in conflicts:
        if one.baseline == (len(baseline), len(baseline)):
            yield "baseline", why
        if one.candidate == (len(other), len(other)):
            yield "candidate", why


def _prompt(prompt: Prompt) -> dict[str, str]:
    text = cut(prompt.text, MOST_OF_A_PROMPT)
    return {"id": one_line(prompt.id), "category": one_line(prompt.category or ""), "text": visible(text)}
