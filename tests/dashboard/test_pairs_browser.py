"""Reading and reviewing pairs as a person does, in a real headless Chromium."""

import json
import re
from pathlib import Path

import pytest

from fidelity.cli import main
from fidelity.store.reviews import read_reviews
from tests.conftest import Workspace
from tests.dashboard.conftest import comparison
from tests.dashboard.test_browser import page, served, terminals

__all__ = ["page", "served", "terminals"]

pytestmark = pytest.mark.browser
FACTS = ("opens at 9", "was founded in 1876", "does allow pets", "costs 40 dollars", "has 12 floors")
CHANGED = ("opens at 8", "was founded in 1976", "does not allow pets", "costs 40 dollars", "has 21 floors")


@pytest.fixture(scope="module")
def pairs_store(tmp_path_factory):
    """Two candidates of one baseline with its control, with conflicts; written once, and votes are added to it."""
    workspace = Workspace(tmp_path_factory.mktemp("pairs"))
    text = "The museum {}. It is near the old bridge, and the way there is signposted."
    rows = [
        {
            "id": f"p{n}",
            "prompt": f"Describe museum number {n}.",
            "category": "odd" if n % 2 else "even",
            "text": text.format(fact),
        }
        for n, fact in enumerate(FACTS)
    ]
    quant = [{**row, "text": text.format(fact)} for row, fact in zip(rows, CHANGED, strict=True)]
    workspace.recorded("again", rows)
    base = workspace.recorded(
        "base", rows, control={"path": "again.jsonl"}, metrics=["identical", "rouge", "conflicts"]
    )
    others = [workspace.recorded(name, quant) for name in ("int4", "int8")]
    assert main(["compare", *map(str, [base, *others]), "--store", str(workspace.store)]) == 0
    return workspace.store


@pytest.fixture(scope="module")
def root(served, pairs_store):
    return served(pairs_store)


@pytest.fixture
def pairs(root, pairs_store, page):
    """Opens the pairs of one candidate, with more in the address."""

    def opened(more=""):
        page.goto(f"{root}/pairs?comparison={comparison(pairs_store, 'int4').name}{more}")
        rows(page).first.wait_for()
        return page

    return opened


def rows(page):
    return page.get_by_role("grid", name="Pairs").locator("tbody tr")


def idle(page):
    """Wait until nothing is redrawn; a download that is asked for meanwhile is lost."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def selected(page):
    """The id of the pair that the list has selected, once the page has it open too."""
    name = page.locator("tr[aria-selected=true] td").first.inner_text()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    return name


def test_a_click_anywhere_on_a_row_and_the_keyboard_open_a_pair(pairs):
    page = pairs()
    ids = rows(page).locator("td:first-child").all_inner_texts()
    assert len(ids) == 5
    assert selected(page) == ids[0]
    rows(page).nth(2).locator("td").nth(1).click()
    page.wait_for_url(f"**pair={ids[2]}**")
    assert selected(page) == ids[2]
    grid = page.get_by_role("grid", name="Pairs")
    grid.focus()
    for keys, expected in ((("ArrowDown", "Enter"), ids[3]), (("End", " "), ids[4]), (("Home", "Enter"), ids[0])):
        for key in keys:
            page.keyboard.press(key)
        page.get_by_role("heading", name=expected, exact=True).wait_for()
        assert selected(page) == expected
    page.get_by_role("button", name="Next").click()
    page.get_by_role("heading", name=ids[1], exact=True).wait_for()
    page.keyboard.press("j")
    page.get_by_role("heading", name=ids[2], exact=True).wait_for()
    page.keyboard.press("k")
    page.get_by_role("heading", name=ids[1], exact=True).wait_for()
    page.reload()
    rows(page).first.wait_for()
    assert selected(page) == ids[1]


def test_a_filtered_list_and_its_pair_have_an_address(pairs):
    page = pairs("&conflict=number&text=FOUNDED+in+1[89]&regex=true&view=All+candidates&pair=p1:0")
    page.get_by_text("1 of 5 pairs").wait_for()
    assert selected(page) == "p1"
    columns = page.locator(".f-columns > div")
    columns.nth(3).wait_for()
    titles = [text.splitlines()[0] for text in columns.all_inner_texts()]
    assert titles[:2] == ["Baseline", "Control (again)"]
    assert [title.partition(" ")[0] for title in titles[2:]] == ["int4", "int8"]
    assert page.locator("mark.f-hit").count() >= 4
    assert (
        page.locator(".f-columns del .f-conflict, .f-columns .f-conflict").first.get_attribute("title")
        == "number: 1876 / 1976"
    )
    page.get_by_label("Text in prompt or answers").fill("(")
    page.keyboard.press("Enter")
    page.get_by_text("is not a regular expression").wait_for()


def test_two_reviewers_at_once_and_what_they_say_together(pairs, pairs_store, chromium):
    id_ = comparison(pairs_store, "int4").name
    first = pairs("&pair=p0:0")
    context = chromium.new_context(viewport={"width": 1440, "height": 1400})
    second = context.new_page()
    second.set_default_timeout(60_000)
    second.goto(first.url + "&blind=true")
    for own, name in ((first, "Ada"), (second, "Ben")):
        own.get_by_role("textbox", name="Your name").fill(name)
        own.keyboard.press("Enter")
        own.get_by_role("button", name="Same", disabled=False).wait_for()
    assert second.get_by_text("Baseline better").count() == 0  # blind: A and B
    first.get_by_role("button", name="Baseline better").click()
    second.get_by_role("button", name="A better").click()
    for own in (first, second):
        own.get_by_text(re.compile("^Stored ")).wait_for()
    first.get_by_role("textbox", name="Note").fill("wrong hour")
    first.keyboard.press("Enter")
    for _ in range(200):
        if any(one.note == "wrong hour" for one in read_reviews(pairs_store, id_)[0]):
            break
        first.wait_for_timeout(100)
    first.get_by_text("2 votes by 2 reviewers, 1 of them blind").wait_for()
    idle(first)
    with first.expect_download() as started:
        first.get_by_role("button", name="Reviews as JSONL").click()
    lines = map(json.loads, Path(started.value.path()).read_text().splitlines())
    votes = {row["reviewer"]: row for row in lines}
    assert set(votes) == {"Ada", "Ben"}
    assert (votes["Ada"]["vote"], votes["Ada"]["note"], votes["Ada"]["blind"]) == (
        "baseline better",
        "wrong hour",
        False,
    )
    assert votes["Ben"]["blind"] is True
    assert votes["Ben"]["vote"] in ("baseline better", "candidate better")
    assert read_reviews(pairs_store, id_)[1] == 0
    second.reload()
    second.get_by_role("textbox", name="Your name").wait_for()
    assert second.get_by_role("textbox", name="Your name").input_value() == "Ben"  # this browser remembers it
    context.close()


def test_the_listed_pairs_with_texts_are_a_file(pairs):
    page = pairs("&conflict=negation")
    page.get_by_text("1 of 5 pairs").wait_for()
    page.get_by_role("button", name="Download with texts").click()
    page.get_by_role("button", name="JSONL", exact=True).wait_for()
    idle(page)
    with page.expect_download() as started:
        page.get_by_role("button", name="JSONL", exact=True).click()
    (row,) = map(json.loads, Path(started.value.path()).read_text().splitlines())
    assert (row["prompt_id"], row["prompt"]) == ("p2", "Describe museum number 2.")
    assert "does not allow pets" in row["candidate"]
    assert row["control again"] == row["baseline"]
    assert row["conflict_negation"] == 1


@pytest.mark.slow
def test_dropped_files_open_as_a_comparison(root, pairs_store, page, tmp_path):
    for name, fact in (("unquantized", "opens at 9"), ("int3", "opens at 8")):
        rows = [{"id": f"p{n}", "text": f"The museum {n} {fact}."} for n in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page.goto(f"{root}/start")
    places = page.locator("[data-testid=stFileUploader] input[type=file]")
    places.nth(2).wait_for(state="attached")
    for number, name in enumerate(("unquantized", "int3")):
        places.nth(number).set_input_files(tmp_path / f"{name}.jsonl")
        page.get_by_text(f"{name}.jsonl").first.wait_for()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/comparison**")
    page.get_by_text("rougeL").first.wait_for()
    assert list((pairs_store / "comparisons").glob("unquantized-baseline--int3-candidate-*"))
