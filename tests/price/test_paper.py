"""The tables of docs/price-vs-paper.md and of docs/price.md on the H200: each cell again from the stored points."""

import re
from pathlib import Path
from statistics import fmean

import pytest

from fidelity.price.envelope import ratio_over_turns
from fidelity.price.served import sync_answers
from fidelity.price.sheets import load_sheet
from fidelity.report.price_sheet import interval
from tests.price.test_deployment import measured

PAGE = Path(__file__).parents[2] / "docs" / "price-vs-paper.md"
ROWS = [row.split(" | ") for row in re.findall(r"^\| (`.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_ratio_is_that_of_the_points(row):
    name, tokens, *cells = row
    use_case = name.strip("`")
    sheet = measured()
    assert tokens == "/".join(map(str, sheet.use_cases[use_case]))
    seconds = {run: sync_answers(sheet, run, use_case) for run in sheet.servers}
    formats = ("w8a8-fp8", "w8a8-int8", "w4a16")
    ratios = [ratio_over_turns(seconds[run], seconds["bf16"]) for run in formats]
    cheaper = min(formats[:2], key=lambda run: sum(seconds[run].values()))
    ratios.append(ratio_over_turns(seconds["w4a16"], seconds[cheaper]))
    assert cells == [interval(ratio).removeprefix("× ") for ratio in ratios]


def test_all_seven_use_cases_are_in_it():
    assert len(ROWS) == 7


def test_the_text_counts_the_cells():
    sheet = measured()
    below = sure = 0
    for use_case in sheet.use_cases:
        seconds = {run: sync_answers(sheet, run, use_case) for run in sheet.servers}
        ratios = [ratio_over_turns(seconds[run], seconds["bf16"]) for run in ("w8a8-fp8", "w8a8-int8", "w4a16")]
        below += sum(ratio.high < 1 for ratio in ratios)
        cheaper = min(("w8a8-fp8", "w8a8-int8"), key=lambda run: sum(seconds[run].values()))
        sure += ratio_over_turns(seconds["w4a16"], seconds[cheaper]).low > 1
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"in {below} of 21 cells" in text
    count = ["none", "one", "two", "three", "four", "five", "six", "all"][sure]
    assert f"in {count} the 8-bit format is certainly cheaper" in text


class TestPricePage:
    """The tables of docs/price.md under "The 8B shape on an H200"."""

    RUNS = ("bf16", "w8a8-fp8", "w8a8-int8", "w4a16")
    SECTION = PAGE.with_name("price.md").read_text(encoding="utf-8").partition("**The 8B shape on an H200**")[2]

    def rows(self, after):
        """The cells of the table that follows a text."""
        table = self.SECTION.partition(after)[2].partition("\n|")[2].partition("\n\n")[0]
        rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        names = [row[0] for row in rows]
        return [[next(name for name in reversed(names[: i + 1]) if name), *row[1:]] for i, row in enumerate(rows)]

    def points(self, use_case, rate):
        sheet = measured()
        chosen = [p for p in sheet.points if (p.mode, p.use_case, p.rate) == ("async", use_case, rate)]
        return {run: {p.turn: p for p in chosen if p.run == run} for run in self.RUNS}

    def test_one_request_at_a_time(self):
        sheet, rows = measured(), self.rows("95% interval over five turns")
        assert {row[0] for row in rows} == set(sheet.use_cases)
        for use_case, base, *ratios in rows:
            seconds = {run: sync_answers(sheet, run, use_case) for run in self.RUNS}
            assert base == f"{fmean(seconds['bf16'].values()):.3g} s"
            own = [interval(ratio_over_turns(seconds[run], seconds["bf16"])) for run in self.RUNS[1:]]
            assert ratios == [one.removeprefix("× ") for one in own]

    def test_all_at_once(self):
        rows = self.rows("100 requests at once")
        paper = PAGE.read_text(encoding="utf-8")
        assert [row[0] for row in rows] == ["docstring", "rag"]
        for use_case, base, *ratios in rows:
            rates = {run: {t: p.requests_per_s for t, p in v.items()} for run, v in self.points(use_case, None).items()}
            assert {len(by_turn) for by_turn in rates.values()} == {3}
            assert base == f"{fmean(rates['bf16'].values()):.1f}/s"
            own = [interval(ratio_over_turns(rates[run], rates["bf16"])) for run in self.RUNS[1:]]
            assert ratios == [one.removeprefix("× ") for one in own]
            assert f"| {use_case} | {' | '.join(ratios)} |" in paper

    def test_five_rates(self):
        rows = self.rows("At five rates")
        assert len(rows) == 2 * 5
        for use_case, sent, *cells in rows:
            points = self.points(use_case, float(sent.removesuffix("/s")))
            own = [
                (fmean(p.answer for p in v.values()), fmean(p.answer_p95 for p in v.values())) for v in points.values()
            ]
            assert cells == [f"{median:.2f} / {p95:.2f}" for median, p95 in own]


class TestTwoCards:
    """The table of docs/price.md under "The 70B shape on two H200s"."""

    SECTION = PAGE.with_name("price.md").read_text(encoding="utf-8").partition("**The 70B shape on two H200s**")[2]

    @pytest.fixture
    def sheet(self):
        return load_sheet([PAGE.parent / "results" / "h200-70b" / "two-cards.json"])

    def test_the_table(self, sheet):
        lines = self.SECTION.partition("\n|")[2].partition("\n\n")[0].splitlines()[2:]
        cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
        assert [row[0] for row in cells] == ["rag", "multi_turn_chat"] * 2
        for place, (use_case, _, base, *ratios) in enumerate(cells):
            seconds = {run: sync_answers(sheet, run, use_case) for run in sheet.servers}
            own = [p for p in sheet.points if (p.mode, p.use_case) == ("async", use_case)]
            rates = {run: {p.turn: p.requests_per_s for p in own if p.run == run} for run in sheet.servers}
            measured = seconds if place < 2 else rates
            assert base == f"{fmean(measured['bf16'].values()):.3g}{' s' if place < 2 else '/s'}"
            shown = [ratio_over_turns(measured[run], measured["bf16"]) for run in ("w8a8-fp8", "w4a16")]
            assert ratios == [interval(ratio).removeprefix("× ") for ratio in shown]

    def test_the_text(self, sheet):
        text = " ".join(self.SECTION.split())
        for use_case in sheet.use_cases:
            four, eight = (sync_answers(sheet, run, use_case) for run in ("w4a16", "w8a8-fp8"))
            assert interval(ratio_over_turns(four, eight)).removeprefix("× ") in text
        weights = [f"{server.weights_gib:.1f}" for server in sheet.servers.values()]
        assert f"{weights[0]}, {weights[1]} and {weights[2]} GiB" in text
