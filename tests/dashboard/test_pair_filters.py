"""The list of pairs: filters by break, length and vote, an order that is random and stays, and the export as CSV."""

import csv
import io

import pytest

from fidelity.cli import main
from fidelity.dashboard import pair_export, pairs_page
from fidelity.dashboard.catalog import read_shelf
from fidelity.dashboard.pair_table import rank_of, read_columns
from fidelity.store.reviews import Review, add_review, answers_digest, now
from tests.conftest import Workspace
from tests.dashboard.conftest import comparison, listed, page_text

TEXTS = {f"p{n}": " ".join(["word"] * (n + 1)) + "." for n in range(12)}
"""Prompts with baseline answers of 1 to 12 words."""
EMPTY = ("p3", "p7")
"""Prompts that the candidate answers with nothing."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A store with one comparison of these."""
    workspace = Workspace(tmp_path_factory.mktemp("filters"))
    rows = [{"id": key, "prompt": f"Ask {key}.", "text": text} for key, text in TEXTS.items()]
    quant = [{**row, "text": "" if row["id"] in EMPTY else row["text"] + " More."} for row in rows]
    workspace.recorded("again", rows)
    base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical", "rouge", "breaks"])
    assert main(["compare", str(base), str(workspace.recorded("int4", quant)), "--store", str(workspace.store)]) == 0
    return workspace.store


@pytest.fixture
def ids(opened, answered):
    """The ids of the pairs that an address lists, in order."""

    def ids(**address):
        return [
            row["Id"]
            for row in listed(opened(answered, "pairs", comparison=comparison(answered, "int4").name, **address))
        ]

    return ids


def test_only_newly_empty_answers(ids):
    assert set(ids(broken="break_empty")) == set(EMPTY)


def test_only_answers_of_some_lengths(ids, opened, answered):
    assert len(ids(length=["5", "30"])) < 12
    shown = ids(length=["5", "30"])
    assert set(shown) == {key for key, text in TEXTS.items() if 5 <= len(text) <= 30}


def test_the_filter_of_lengths_is_there_once_it_is_opened(opened, answered):
    app = opened(answered, "pairs", comparison=comparison(answered, "int4").name)
    assert not [one for one in app.slider if one.key == "length"]
    address = opened(answered, "pairs", comparison=comparison(answered, "int4").name, length=["5", "30"])
    assert address.slider(key="length").value == (5.0, 30.0)


def test_only_pairs_with_a_vote(ids, answered):
    path = comparison(answered, "int4")
    for prompt, vote in (("p1", "baseline better"), ("p2", "same"), ("p4", "both bad")):
        text = TEXTS[prompt]
        review = Review(
            comparison=path.name, prompt_id=prompt, reviewer="Ada", vote=vote, blind=False,
            answers=answers_digest(text, text + " More."), created=now(),
        )  # fmt: skip
        add_review(answered, review)
    assert ids(vote="baseline better") == ["p1"]
    assert set(ids(vote="same")) == {"p2"}
    assert set(ids(vote="not reviewed")) == set(TEXTS) - {"p1", "p2", "p4"}


def test_the_random_order_is_no_other_order_and_stays(ids):
    shuffled = ids(metric="random order")
    assert set(shuffled) == set(TEXTS)
    assert shuffled not in (list(TEXTS), list(TEXTS)[::-1], ids(metric="rougeL"))
    assert ids(metric="random order") == shuffled
    few = ids(metric="random order", broken="break_empty")  # a filter leaves the order of what remains
    assert few == [key for key in shuffled if key in EMPTY]


def test_the_listed_pairs_are_a_csv_with_texts(answered):
    shelf, path = read_shelf(answered), comparison(answered, "int4")
    table = read_columns(path, ["rougeL"]).head(3)
    rows = pair_export._rows(path, shelf, shelf.entry(path.name), table, table[["prompt_id", "repeat", "rougeL"]])
    written = list(csv.DictReader(io.StringIO(pair_export.as_csv(rows))))
    assert [row["prompt_id"] for row in written] == ["p0", "p1", "p2"]
    assert [row["baseline"] for row in written] == [TEXTS[key] for key in ("p0", "p1", "p2")]
    assert written[0]["candidate"] == "word. More."
    assert written[0]["control again"] == "word."
    assert float(written[0]["rougeL"]) == pytest.approx(2 / 3)  # 1 of 2 words, all of 1 word


def test_no_pair_of_a_filter_is_in_words(opened, answered):
    shown = page_text(opened(answered, "pairs", comparison=comparison(answered, "int4").name, text="nowhere"))
    assert "No pair matches. Relax the filters." in shown


def test_an_answer_that_can_not_be_compared_says_so_in_the_list():
    flagged = [("conflict_number", "number"), ("break_loop", "loop")]
    unscored = {"conflict_number": float("nan"), rank_of("conflict_number"): 1.0, "break_loop": 1.0}
    assert list(pairs_page._flags(unscored, flagged)) == ["loop", pairs_page.UNSCORED]
    of_baseline = {**unscored, rank_of("conflict_number"): float("nan"), "break_loop": 0.0}
    assert list(pairs_page._flags(of_baseline, flagged)) == []
