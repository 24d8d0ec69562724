"""The pairs that the HTML report carries, as data for its script: the worst ones first, up to a size."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.gate import Verdict
from fidelity.records import Pair, Prompt
from fidelity.report.conflicts import conflict_in_words, conflicts_of
from fidelity.report.content import shown_in_table
from fidelity.report.diff import Piece, readable, word_diff
from fidelity.report.pairs import rank
from fidelity.report.sanitize import cut, one_line, visible

MOST_BYTES = 12_000_000
"""Of all pairs together; each candidate has an equal share of it, and what one leaves the next may use."""
MOST_OF_A_PAIR = 60_000
"""Characters of both answers together."""
MOST_OF_A_PROMPT = 5_000
MOST_CONFLICTS = 20
KINDS = {"both": 0, "baseline": 1, "candidate": 2}
CUT = 3
"""Not in the texts: it says how much of them was left out."""


@dataclass(frozen=True, slots=True)
class Held:
    """How many of a candidate's pairs the report holds."""

    name: str
    pairs: int
    of: int


def page_data(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> tuple[dict[str, object], list[Held]]:
    """What the page's script reads, all of it visible text, and how many pairs it holds."""
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
    data: dict[str, object] = {
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
    """One pair: its place, repeat, values, excess, its texts as pieces of a diff, and its conflicts in words."""
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
            yield CUT, f"\n… {left:,} more characters of both, which the store has"
            return


def _prompt(prompt: Prompt) -> dict[str, str]:
    text = cut(prompt.text, MOST_OF_A_PROMPT)
    return {"id": one_line(prompt.id), "category": one_line(prompt.category or ""), "text": visible(text)}
