"""The HTML report's pairs, as data for its script: worst first, up to a maximum size."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.gate import Verdict
from fidelity.outside.strings import cut, one_line, visible
from fidelity.records import Pair, Prompt
from fidelity.report.conflicts import conflict_in_words, conflicts_of
from fidelity.report.content import shown_in_table
from fidelity.report.diff import Piece, readable, word_diff
from fidelity.report.pairs import rank
from fidelity.report.verdicts import URGENCY

MOST_BYTES = 12_000_000
"""The maximum size of all pairs. Each candidate gets an equal share; an unused rest goes to the next."""
MOST_OF_A_PAIR = 60_000
"""The maximum length of both answers together."""
MOST_OF_A_PROMPT = 5_000
MOST_CONFLICTS = 20
KINDS = {"both": 0, "baseline": 1, "candidate": 2}
CUT = 3
"""A piece that states how much text was left out."""


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
    candidates, held, room = [], [], MOST_BYTES
    for number, candidate in enumerate(result.candidates):
        ranking = rank(result, candidate, verdicts.get(candidate.run.name))
        texts = candidate.pairing.pairs
        share = room // (len(result.candidates) - number)
        entries: list[dict[str, object]] = []
        used = 0
        for place in ranking.order:
            pair = texts[place]
            entry = _entry(pair, place, candidate, columns, ranking.excess[place])
            new = [] if pair.prompt.id in prompts else [_prompt(pair.prompt)]
            size = len(json.dumps([entry, new], ensure_ascii=False).encode())
            if used + size > share and entries:
                break
            used += size
            if new:
                prompts[pair.prompt.id] = len(asked)
                asked += new
            entries.append({"p": prompts[pair.prompt.id], **entry})
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
    pieces = list(_pieces(readable(word_diff(pair.baseline.text, pair.candidate.text))))
    anything = candidate.columns.get("conflict_any")
    shown = conflicts_of(pair)[:MOST_CONFLICTS] if anything and anything.column.values[place] else ()
    conflicts = [conflict_in_words(conflict, pair) for conflict in shown]
    return {"n": place, "r": pair.baseline.repeat, "v": values, "x": excess, "d": pieces, "c": conflicts}


def _pieces(pieces: list[Piece]) -> Iterator[tuple[int, str]]:
    room = MOST_OF_A_PAIR
    for number, piece in enumerate(pieces):
        yield KINDS[piece.kind], piece.text[:room]
        room -= len(piece.text)
        if room < 0:
            left = sum(len(later.text) for later in pieces[number + 1 :]) - room
            yield CUT, f"\n… {left:,} more characters in both; the store has the full texts"
            return


def _prompt(prompt: Prompt) -> dict[str, str]:
    text = cut(prompt.text, MOST_OF_A_PROMPT)
    return {"id": one_line(prompt.id), "category": one_line(prompt.category or ""), "text": visible(text)}
