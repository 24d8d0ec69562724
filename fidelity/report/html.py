"""The comparison as one HTML file that needs no network: verdicts, numbers, distributions and searchable pairs.

Outputs of models are embedded as JSON, which the page's script displays as text; everything else is escaped. The
content security policy allows only this script and this style sheet, by hash, and no requests.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources

import regex

from fidelity import __version__
from fidelity.comparison.history import HistoryEntry
from fidelity.comparison.results import ComparisonSet
from fidelity.floor import Summary
from fidelity.gate import Verdict
from fidelity.outside.strings import one_line, visible
from fidelity.report.answer import HEADINGS as ANSWERED
from fidelity.report.answer import RAN_OTHERWISE, answer
from fidelity.report.charts import distributions, profiles
from fidelity.report.conflicts import conflict_headlines
from fidelity.report.content import (
    NOT_QUALITY,
    asked,
    floor_of,
    format_of,
    mean_chance_level,
    notes,
    shown_in_table,
    size_of,
    summaries_of,
)
from fidelity.report.expected import expected_details, expected_headlines
from fidelity.report.page_data import Held, page_data
from fidelity.report.pairs import column_of
from fidelity.report.pareto import pareto_charts
from fidelity.report.price import SERVED, PriceTable, price_table, published_table, serving_rows
from fidelity.report.recommendation import offers_of, recommendation
from fidelity.report.trends import READING, trend
from fidelity.report.verdicts import (
    HEADINGS,
    NO_GATE,
    URGENCY,
    line_cells,
    most_urgent_first,
    number,
    whole,
)
from fidelity.report.votes import vote_lines
from fidelity.store.runs import Run

MOST_ROWS = 500
"""The maximum number of listed failures."""


def as_html(result: ComparisonSet, verdicts: Mapping[str, Verdict] = NO_GATE, past: Sequence[HistoryEntry] = ()) -> str:
    """Return the whole file. If all pairs would be too large, it has only the worst ones, and states this.

    `past` are all comparisons of this baseline so far, including this one.
    """
    data, held = page_data(result, verdicts)
    style, script = _file("page.css"), _file("page.js")
    sections = dict(_sections(result, verdicts, past))
    parts = {
        "policy": _policy(style, script),
        "title": _text(f"fidelity: {result.baseline.name}"),
        "style": style,
        "version": _text(__version__),
        "asked": _text(asked(result.baseline)),
        "heading": _text(_heading(result)),
        "verdict": _banner(result, verdicts),
        "not_quality": _text(NOT_QUALITY),
        "links": "".join(f'<a href="#{_id(title)}">{title}</a>' for title in (*sections, "Pairs")),
        "sections": "\n".join(_section(title, content) for title, content in sections.items()),
        "held": _text(_how_many(held)),
        "data": _inert_json(data),
        "script": script,
    }
    page: str = regex.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], _file("page.html"))
    return page


def _sections(
    result: ComparisonSet, verdicts: Mapping[str, Verdict], past: Sequence[HistoryEntry]
) -> Iterator[tuple[str, str]]:
    floor = floor_of(result)
    if len(result.candidates) > 1:
        yield "Overview", _overview(result, verdicts)
    if verdicts:
        yield "Gate", "\n".join(_gate(result, verdicts, floor))
    yield "Summary", _summary(result, floor)
    if price := price_table(result):
        yield "Price", _price(result, price)
    if figures := distributions(result):
        legend = (
            "Number of pairs by value. Each row is scaled to its highest bar. The number next to it is the average."
        )
        yield "Distributions", f'<p class="quiet">{legend}</p><div class="figures">{"".join(figures)}</div>'
    if figures := profiles(result):
        yield "Along the output", f'<div class="figures">{"".join(figures)}</div>'
    if len(past) > len(result.candidates):
        yield "Trend", _trend(past)
    yield "What was compared", _compared(result, verdicts)


def _gate(result: ComparisonSet, verdicts: Mapping[str, Verdict], floor: Mapping[str, Summary]) -> Iterator[str]:
    scores = {candidate.run.name: candidate for candidate in result.candidates}
    for verdict in sorted(verdicts.values(), key=lambda verdict: URGENCY.index(verdict.outcome)):
        candidate = scores.get(verdict.candidate)
        summaries = summaries_of(result, candidate) if candidate else {}
        rows = []
        for line in most_urgent_first(verdict.lines):
            column = column_of(line)
            name, *cells = line_cells(line, summaries.get(column), floor.get(column))
            numbers = "".join(f'<td class="n">{_text(cell)}</td>' for cell in cells)
            row, why = ("<tr>", line.reason) if line.decides else ('<tr class="warns">', f"Warns only. {line.reason}")
            rows.append(
                f"{row}<td>{_badge(line.outcome)}</td><th>{_text(name)}</th>"
                f'{numbers}<td class="why">{_text(why)}</td></tr>'
            )
        yield (
            f"<h3>{_badge(verdict.outcome)} {_text(verdict.candidate)}</h3><p>{_text(verdict.reason)}</p>"
            + _table(("", *HEADINGS, "Why"), rows, figures=HEADINGS[1:])
            + f'<p class="quiet">{verdict.basis.capitalize()}.</p>'
        )


def _overview(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> str:
    """A row for each candidate: what ran, the verdict, and what changed."""
    table = answer(result, verdicts)
    formats = {one.run.name: format_of(one.run) for one in result.candidates}
    rows = []
    for row in table.rows:
        outcome = row.verdict.lower()
        name = row.name.removesuffix(RAN_OTHERWISE)
        badge = _badge(outcome) if outcome in URGENCY else _text(row.verdict)
        cells = "".join(f'<td class="n">{_text(cell)}</td>' for cell in row.cells)
        form = "control" if row.is_control else formats.get(name, "")
        rows.append(f"<tr><th>{_text(name)}</th><td>{_text(form)}</td><td>{badge}</td>{cells}</tr>")
    return _table(("Run", "Format", "Verdict", *ANSWERED), rows, figures=ANSWERED)


def _summary(result: ComparisonSet, floor: Mapping[str, Summary]) -> str:
    runs = [(candidate.run.name, summaries_of(result, candidate)) for candidate in result.candidates]
    names = [name for name in dict.fromkeys([*floor, *(n for _, s in runs for n in s)]) if shown_in_table(name)]
    headings = ("Column", *(("Floor",) if floor else ()), *(name for name, _ in runs), "Chance level")
    rows = [_failed(result, floor)]
    for name in names:
        low = number(mean_chance_level(result, name))
        beside = [_value(floor.get(name))] if floor else []
        cells = "".join(
            f'<td class="n">{cell}</td>' for cell in (*beside, *(_value(s.get(name)) for _, s in runs), low)
        )
        rows.append(f"<tr><th>{_text(name)}</th>{cells}</tr>")
    reading = "Below each value: its excess over the floor, the mean over prompts; positive is worse. " if floor else ""
    legend = f"{reading}Chance level: the mean similarity between answers to different prompts."
    return f'<p class="quiet">{_text(legend)}</p>' + _table(headings, rows, figures=headings[1:])


def _failed(result: ComparisonSet, floor: Mapping[str, Summary]) -> str:
    """The first row: prompts without an answer."""
    counts = [len(candidate.failed_prompts) for candidate in result.candidates]
    beside = [sum(len(control.failed_prompts) for control in result.controls)] if floor else []
    cells = "".join(f'<td class="n">{count}</td>' for count in (*beside, *counts, ""))
    return f"<tr><th>failed prompts</th>{cells}</tr>"


def _price(result: ComparisonSet, prices: PriceTable) -> str:
    """A row for each measure, a column for each run, then charts of drift and each measure."""
    others = f"<details><summary>Published results</summary>{_prices(published_table(prices.column))}</details>"
    rows = serving_rows(result)
    lines = ["<tr>" + "".join(f'<td class="n">{_text(cell)}</td>' for cell in row) + "</tr>" for row in rows]
    table = _table(("Run", *SERVED.values()), lines, figures=("Run", *SERVED.values()))
    served = f"<h3>Serving at different request rates</h3>{table}" if rows else ""
    return f'{_prices(prices)}<div class="figures">{"".join(pareto_charts(result))}</div>{served}{others}'


def _prices(prices: PriceTable) -> str:
    rows = [(f"excess {prices.column}", [row.drift for row in prices.rows])] if prices.column else []
    rows += [(heading, [row.cells[place] for row in prices.rows]) for place, heading in enumerate(prices.headings)]
    lines = [
        f"<tr><th>{_text(name)}</th>" + "".join(f'<td class="n">{_two_lines(cell)}</td>' for cell in cells) + "</tr>"
        for name, cells in rows
    ]
    names = [row.name + (" (dominated)" if row.dominated_by else "") for row in prices.rows]
    items = "".join(f"<li>{_text(one_line(note))}</li>" for note in prices.notes)
    return f"{_table(('', *names), lines, figures=names)}<ul>{items}</ul>"


def _two_lines(cell: str) -> str:
    value, _, interval = cell.partition("\n")
    return _text(value) + (f"<small>{_text(interval)}</small>" if interval else "")


def _trend(past: Sequence[HistoryEntry]) -> str:
    history = trend(past)
    figures = history.headings[4:]
    rows = [
        "<tr>"
        + "".join(f"<td{_class(h, figures)}>{_text(cell)}</td>" for h, cell in zip(history.headings, row, strict=True))
        + "</tr>"
        for row in history.rows
    ]
    return f'<p class="quiet">{_text(READING)}</p>' + _table(history.headings, rows, figures=figures)


def _value(summary: Summary | None) -> str:
    if summary is None or summary.value is None:
        return "–"
    value = number(summary.value, digits=0 if summary.kind == "median" else 3)
    return value if summary.excess is None else f"{value}<small>{number(summary.excess, sign=True)}</small>"


def _compared(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> str:
    runs = [("baseline", result.baseline), *(("control", control.run) for control in result.controls)]
    runs += [("candidate", candidate.run) for candidate in result.candidates]
    headings = ("", "Run", "Format", "Size", "Engine", "Mode", "Device", "Answers", "Failed", "Created")
    rows = [_cells(role, run) for role, run in runs]
    used = [n for n in range(len(headings)) if any(row[n] for row in rows)]
    lines = [
        "<tr>"
        + "".join(f"<td{_class(headings[n], ('Answers', 'Failed'))}>{_text(row[n])}</td>" for n in used)
        + "</tr>"
        for row in rows
    ]
    parts = [_table([headings[n] for n in used], lines, figures=("Answers", "Failed"))]
    if texts := notes(result, verdicts):
        parts.append(f"<h3>Notes</h3><ul>{''.join(f'<li>{_text(one_line(note))}</li>' for note in texts)}</ul>")
    failures = [(c.run.name, p, why) for c in (*result.controls, *result.candidates) for p, why in c.failures.items()]
    if failures:
        lines = [f"<tr>{''.join(f'<td>{_text(one_line(cell))}</td>' for cell in row)}</tr>" for row in failures]
        more = f"<p>And {len(failures) - MOST_ROWS} more.</p>" if len(failures) > MOST_ROWS else ""
        parts.append(f"<h3>Without an answer</h3>{_table(('Run', 'Prompt', 'Why'), lines[:MOST_ROWS])}{more}")
    return "".join(parts)


def _cells(role: str, run: Run) -> tuple[str, ...]:
    engine, counts = run.manifest.engine, run.manifest.counts
    ran = " ".join(str(word) for word in (engine.kind, engine.version) if word)
    what = (role, run.name, format_of(run), size_of(run), ran, engine.mode or "")
    return (*what, engine.device or "", str(counts.generations), str(counts.failures), run.manifest.created)


def _heading(result: ComparisonSet) -> str:
    names = [candidate.run.name for candidate in result.candidates]
    who = names[0] if len(names) == 1 else f"{len(names)} candidates"
    return f"{who} compared with {result.baseline.name}"


def _banner(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> str:
    judged = whole(result, verdicts)
    lines = (
        *expected_headlines(result),
        *expected_details(result),
        *vote_lines(result, details=True),
        *conflict_headlines(result),
    )
    headlines = "".join(f"<p><b>{_text(one_line(line))}</b></p>" for line in lines)
    if judged.outcome is None:
        return f"<p>{_text(judged.sentence)}</p>{headlines}"
    advice = recommendation(offers_of(result, verdicts)) if len(result.candidates) > 1 else None
    ship = f"<p><b>{_text(advice.sentence)}</b> {_text(' '.join(advice.reasons))}</p>" if advice else ""
    banner = f'<p class="banner {judged.outcome}"><b>{judged.outcome}</b> {_text(judged.sentence)}</p>'
    return f"{ship}{banner}{headlines}"


def _how_many(held: Sequence[Held]) -> str:
    if all(candidate.pairs == candidate.of for candidate in held):
        return f"This report has all {sum(candidate.of for candidate in held):,} pairs."
    parts = [f"{c.pairs:,} of {c.of:,} of {c.name}" for c in held if c.pairs < c.of]
    return f"To keep this file small, it has only the worst pairs: {', '.join(parts)}. The store has all pairs."


def _table(headings: Sequence[str], rows: Sequence[str], *, figures: Sequence[str] = ()) -> str:
    head = "".join(f"<th{_class(heading, figures)}>{_text(heading)}</th>" for heading in headings)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _class(heading: str, figures: Sequence[str]) -> str:
    return ' class="n"' if heading in figures else ""


def _section(title: str, content: str) -> str:
    return f'<section id="{_id(title)}"><h2>{title}</h2>{content}</section>'


def _id(title: str) -> str:
    return title.lower().replace(" ", "-")


def _badge(outcome: str) -> str:
    return f'<span class="badge {outcome}">{outcome}</span>'


def _text(text: str) -> str:
    return escape(visible(text))


def _inert_json(data: Mapping[str, object]) -> str:
    """JSON that can't end a script element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _policy(style: str, script: str) -> str:
    hashes = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in (("style", style), ("script", script))
    }
    allowed = "; ".join(f"{name}-src 'sha256-{value}'" for name, value in hashes.items())
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _file(name: str) -> str:
    return resources.files("fidelity.report").joinpath(name).read_text(encoding="utf-8")
