"""The comparison as Markdown that fits in a pull-request comment: the verdict first, then its reasons.

Outputs of models are only in fenced blocks. Strings from users, engines and files are escaped, so they can't
create links, mentions, HTML or tables.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import regex

from fidelity import __version__
from fidelity.comparison.history import HistoryEntry
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.floor import Summary
from fidelity.gate import Outcome, Verdict
from fidelity.outside.strings import WORD_JOINER, cut, one_line, visible
from fidelity.records import Pair
from fidelity.report.conflicts import conflict_headlines, conflict_in_words, conflicts_of
from fidelity.report.content import (
    NOT_QUALITY,
    asked,
    differences,
    floor_of,
    format_of,
    notes,
    shown_in_table,
    size_of,
    summaries_of,
)
from fidelity.report.diff import Piece, readable, word_diff
from fidelity.report.expected import expected_headlines
from fidelity.report.pairs import column_of, rank
from fidelity.report.price import SERVED, PriceTable, price_table, serving_rows
from fidelity.report.trends import READING, trend
from fidelity.report.verdicts import (
    HEADINGS,
    NO_GATE,
    URGENCY,
    column_cells,
    failed_cells,
    line_cells,
    most_urgent_first,
    number,
    whole,
)
from fidelity.report.votes import vote_lines
from fidelity.store.runs import Run

MOST_CHARACTERS = 60_000
"""The maximum length; GitHub's limit for a comment is 65,536."""
MOST_OF_WHAT_STAYS = 6_000
"""The maximum length of each list or table that is always included; other tables can be twice as long."""
WORST = 3
"""The number of pairs to show for each candidate."""
MOST_CONFLICTS = 5
"""The number of conflicts to list for a pair."""
MOST_OF_A_PAIR = 2_500
"""The maximum length of a word diff."""
CONTEXT = 120
"""The number of unchanged characters to show on each side of a change."""
WIDTH = 100
"""The maximum length of a line in a fenced block, since browsers don't wrap it."""
MARKS: Mapping[Outcome, str] = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}
LEFT = {"", "Line", "Column", "Compared", "Candidate", "Verdict", "Run", "Format", "Size", "Engine", "Mode", "Device"}


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report that is included or left out as a whole."""

    text: str
    rank: int
    """0: always included. Others are included in this order while there is room."""
    name: str = ""
    """Its name in the list of sections that were left out."""


def as_markdown(
    result: ComparisonSet, verdicts: Mapping[str, Verdict] = NO_GATE, past: Sequence[HistoryEntry] = ()
) -> str:
    """Return the report, shorter than MOST_CHARACTERS for any comparison. It lists what was left out.

    `past` are all comparisons of this baseline so far, including this one.
    """
    floor = floor_of(result)
    blocks = [Section(_head(result, verdicts), 0)]
    for candidate in _most_urgent_first(result, verdicts):
        verdict = verdicts.get(candidate.run.name)
        name, later = candidate.run.name, 1 if verdict and verdict.outcome == "pass" else 0
        blocks.append(Section(_table(result, candidate, verdict, floor), 1 + later, f"the table of {name}"))
        blocks.append(Section(_worst_pairs(result, candidate, verdict), 3 + later, f"the pairs of {name}"))
    if price := price_table(result):
        blocks.append(Section(_price(price), 2, "the price"))
    if served := serving_rows(result):
        table = _rows(("Run", *SERVED.values()), served)
        blocks.append(Section(_folded("Serving at different request rates (vllm bench serve)", table), 5, "serving"))
    if len(past) > len(result.candidates):
        blocks.append(Section(_trend(past), 5, "the trend"))
    blocks.append(Section(_compared(result, verdicts), 0))
    named = set(differences(result, verdicts))  # shown under "What was compared"
    if others := [note for note in notes(result, verdicts) if note not in named]:
        blocks.append(Section("\n".join(["### Notes", "", *_bullets(map(prose, others))]), 0))
    blocks.append(Section(_foot(verdicts), 0))
    return _fitted(blocks)


def prose(text: str, *, most: int = 500) -> str:
    """Escape a foreign string as plain Markdown text on one line."""
    spaced = _ACTED_UPON.sub(lambda match: match.group() + WORD_JOINER, one_line(text, most=most))
    inert: str = _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", spaced)
    return inert


def fenced(text: str) -> str:
    """A code block with a fence longer than any run of backticks in it. Long lines are wrapped."""
    wrap = textwrap.TextWrapper(
        WIDTH, expand_tabs=False, replace_whitespace=False, drop_whitespace=False, break_on_hyphens=False
    ).wrap
    lines = [piece for line in visible(text).split("\n") for piece in wrap(line) or [""]]
    fence = "`" * max(3, 1 + max(map(len, regex.findall("`+", text)), default=0))
    return "\n".join([f"{fence}text", *lines, fence])


_ACTED_UPON = regex.compile(r"@|#|:(?=//)|www(?=\.)|gh(?=-)", regex.IGNORECASE)
"""Matches mentions, issues and addresses on GitHub. An invisible word joiner after the match disables them."""
_SPECIAL = regex.compile(r"[&<>\\`*\[\]~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Matches the characters that start Markdown, HTML, tables and formulas, except underscores inside words."""


def _head(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> str:
    judged = whole(result, verdicts)
    title = f"{MARKS[judged.outcome]} fidelity: {judged.outcome}" if judged.outcome else "fidelity"
    lines = [f"## {title}", "", prose(judged.sentence)]
    if headlines := [*expected_headlines(result), *vote_lines(result), *conflict_headlines(result)]:
        lines += ["", *_bullets(map(prose, headlines))]
    if len(verdicts) + len(result.not_compared) > 1:
        lines += ["", *_bullets(_one_by_one(result, verdicts))]
    return "\n".join([*lines, "", f"> {NOT_QUALITY}"])


def _one_by_one(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    for verdict in sorted(verdicts.values(), key=lambda verdict: URGENCY.index(verdict.outcome)):
        yield f"{MARKS[verdict.outcome]} **{prose(verdict.candidate)}** {verdict.outcome}: {prose(verdict.reason)}"
    for name, why in result.not_compared.items():
        if name not in verdicts:
            yield f"{MARKS['inconclusive']} **{prose(name)}** not compared: {prose(why)}"


def _table(result: ComparisonSet, candidate: Scores, verdict: Verdict | None, floor: Mapping[str, Summary]) -> str:
    summaries = summaries_of(result, candidate)
    heading = f"### {prose(candidate.run.name)} compared with {prose(result.baseline.name)}"
    columns = {name: column_cells(s, floor.get(name)) for name, s in summaries.items() if shown_in_table(name)}
    plain = ("Column", "Value", "Floor", "Excess", "n")
    if verdict is None:
        return f"{heading}\n\n{_rows(plain, [failed_cells(result, candidate), *columns.values()])}"
    rows, reasons = [], []
    for line in most_urgent_first(verdict.lines):
        column = column_of(line)
        columns.pop(column, None)
        rows.append((MARKS[line.outcome], *line_cells(line, summaries.get(column), floor.get(column))))
        if line.outcome != "pass":
            warns = "" if line.decides else " (warns only)"
            reasons.append(f"**{prose(line.title)}** {line.outcome}{warns}: {prose(line.reason)}")
    sections = [f"{heading}: {verdict.outcome}", _rows(("", *HEADINGS), rows), "\n".join(_bullets(reasons))]
    if columns:
        title = f"{len(columns)} columns that the gate doesn't judge"
        sections.append(_folded(title, _rows(plain, columns.values())))
    return "\n\n".join(section for section in sections if section)


def _worst_pairs(result: ComparisonSet, candidate: Scores, verdict: Verdict | None) -> str:
    ranking = rank(result, candidate, verdict)
    pairs = candidate.pairing.pairs
    differing = (n for n in ranking.order if pairs[n].baseline.text != pairs[n].candidate.text)
    worst = list(islice(differing, WORST))
    if not worst:
        return f"No answer of {prose(candidate.run.name)} differs from the baseline's."
    legend = "`[-this-]` is only in the baseline, `{+this+}` only in the candidate; `⋯` is unchanged text."
    count = "The worst pair" if len(worst) == 1 else f"The {len(worst)} worst pairs"
    title = f"{count} of {candidate.run.name}{ranking.title}"
    return _folded(
        title,
        "\n\n".join([legend, *(_shown(pairs[n], ranking.excess[n], conflicts=ranking.conflicts_first) for n in worst)]),
    )


def _shown(pair: Pair, excess: float | None, *, conflicts: bool) -> str:
    about = f"**{prose(pair.prompt.id, most=100)}**"
    if pair.baseline.repeat:
        about += f", repeat {pair.baseline.repeat}"
    if excess is not None:
        about += f", excess {number(excess, sign=True)}"
    shown = conflicts_of(pair)[:MOST_CONFLICTS] if conflicts else ()
    if shown:
        about += "\n\n" + "\n".join(_bullets(prose(conflict_in_words(conflict, pair)) for conflict in shown))
    prompt = pair.prompt.text.strip()
    parts = [about, *([fenced(cut(prompt, 300))] if prompt else [])]
    return "\n\n".join([*parts, fenced(_marked(readable(word_diff(pair.baseline.text, pair.candidate.text))))])


def _marked(pieces: Sequence[Piece]) -> str:
    """A word diff in git's notation, with long unchanged text shortened and a maximum length."""
    text = ""
    for place, piece in enumerate(pieces):
        match piece.kind:
            case "both":
                text += _elided(piece.text, first=place == 0, last=place == len(pieces) - 1)
            case "baseline":
                text += f"[-{cut(piece.text, MOST_OF_A_PAIR // 3)}-]"
            case "candidate":
                text += f"{{+{cut(piece.text, MOST_OF_A_PAIR // 3)}+}}"
        if len(text) > MOST_OF_A_PAIR and place < len(pieces) - 1:
            return f"{text} … (cut here)"
    return text


def _elided(text: str, *, first: bool, last: bool) -> str:
    if len(text) <= 3 * CONTEXT:
        return text
    before, after = ("" if first else text[:CONTEXT]), ("" if last else text[-CONTEXT:])
    return f"{before}⋯{after}"


def _trend(past: Sequence[HistoryEntry]) -> str:
    history = trend(past)
    table = _rows(history.headings, history.rows)
    return _folded(f"The last {len(history.rows)} comparisons with this baseline", f"{table}\n\n{READING}")


def _price(prices: PriceTable) -> str:
    """A row for each measure and a column for each run, since there are more measures than runs."""
    drift = [(f"excess {prices.column}", *(row.drift for row in prices.rows))] if prices.column else []
    rows = [
        (heading, *(row.cells[place].replace("\n", " (", 1) + ")" * ("\n" in row.cells[place]) for row in prices.rows))
        for place, heading in enumerate(prices.headings)
    ]
    dominated = [(f"{r.name} is dominated by {', '.join(r.dominated_by)}") for r in prices.rows if r.dominated_by]
    table = _rows(("", *(row.name for row in prices.rows)), [*drift, *rows])
    return "\n".join(["### Price", "", table, "", *_bullets(map(prose, (*prices.notes, *dominated)))])


def _compared(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> str:
    runs = [("baseline", result.baseline)]
    runs += [("control", control.run) for control in result.controls]
    runs += [("candidate", candidate.run) for candidate in result.candidates]
    rows = [_about(role, run) for role, run in runs]
    headings = ("", "Run", "Format", "Size", "Engine", "Mode", "Device", "Answers", "Failed")
    used = [n for n in range(len(headings)) if n < 3 or any(row[n] for row in rows)]
    table = _rows([headings[n] for n in used], [[row[n] for n in used] for row in rows], room=MOST_OF_WHAT_STAYS)
    texts = [asked(result.baseline), *differences(result, verdicts)]
    return "\n".join(["### What was compared", "", table, "", *_bullets(map(prose, texts))])


def _about(role: str, run: Run) -> tuple[str, ...]:
    engine, counts = run.manifest.engine, run.manifest.counts
    ran = " ".join(str(word) for word in (engine.kind, engine.version) if word)
    answers = (str(counts.generations), str(counts.failures or ""))
    return (role, run.name, format_of(run), size_of(run), ran, engine.mode or "", engine.device or "", *answers)


def _foot(verdicts: Mapping[str, Verdict]) -> str:
    settings = {verdict.basis for verdict in verdicts.values()}
    return f"<sub>{', '.join([f'fidelity {__version__}', *sorted(settings)])}</sub>"


def _bullets(texts: Iterable[str], *, room: int = MOST_OF_WHAT_STAYS) -> list[str]:
    """A list, up to a maximum number of characters."""
    return _within(room, [f"- {text}" for text in texts], lambda left: f"- and {left} more")


def _rows(headings: Sequence[str], rows: Iterable[Sequence[str]], *, room: int = 2 * MOST_OF_WHAT_STAYS) -> str:
    """A table, up to a maximum number of characters, with numbers right-aligned."""
    cells = [_row([prose(cell, most=120) for cell in row]) for row in rows]
    ruler = _row(["---" if heading in LEFT else "---:" for heading in headings])
    return "\n".join([_row(headings), ruler, *_within(room, cells, lambda left: f"\nand {left} rows more")])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _within(room: int, lines: Sequence[str], rest: Callable[[int], str]) -> list[str]:
    for number_, size in enumerate(accumulate(map(len, lines))):
        if size > room:
            return [*lines[:number_], rest(len(lines) - number_)]
    return list(lines)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{prose(title)}</summary>\n\n{text}\n\n</details>"


def _most_urgent_first(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> list[Scores]:
    def urgency(candidate: Scores) -> int:
        verdict = verdicts.get(candidate.run.name)
        return URGENCY.index(verdict.outcome if verdict else "inconclusive")

    return sorted(result.candidates, key=urgency)


def _fitted(blocks: Sequence[Section]) -> str:
    """Join as many blocks as there is room for, chosen by rank. The end lists what was left out."""
    room = MOST_CHARACTERS - 1_000
    chosen: set[int] = set()
    for place in sorted(range(len(blocks)), key=lambda place: blocks[place].rank):
        size = len(blocks[place].text) + 2
        if blocks[place].rank == 0 or size <= room:
            chosen.add(place)
            room -= size
    text = "\n\n".join(block.text for place, block in enumerate(blocks) if place in chosen)
    if left_out := [block.name for place, block in enumerate(blocks) if place not in chosen]:
        text += f"\n\nLeft out for length: {prose(', '.join(left_out), most=120)}. The HTML report has them."
    return text + "\n"
