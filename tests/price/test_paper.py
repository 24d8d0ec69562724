"""The table of docs/price-vs-paper.md: each cell again from the stored points."""

import re
from pathlib import Path

import pytest

from fidelity.price.envelope import ratio_over_turns
from fidelity.price.served import sync_answers
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
