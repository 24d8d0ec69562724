"""Votes on pairs: none is lost with several reviewers, only the newest counts, and a damaged one is named."""

import json
import multiprocessing
from dataclasses import replace

import pytest

import fidelity as api
from fidelity.comparison.reviews import review_summary
from fidelity.errors import StoreError
from fidelity.store.inventory import check
from fidelity.store.reviews import add_review, answers_digest, latest, read_review, read_reviews
from tests.store.whole_store import make_store, vote

EACH = 25
"""Votes of each of the reviewers at once."""


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path / "store")
    for file in made.root.glob("reviews/*/*.json"):
        file.unlink()
    return made


@pytest.fixture
def comparison(store):
    (path,) = (store.root / "comparisons").iterdir()
    return path


def give(root, comparison, reviewer):
    for number in range(EACH):
        add_review(root, vote(comparison, "abc"[number % 3], reviewer=reviewer, second=number, note=f"{number}"))


def test_reviewers_in_two_processes_lose_no_vote(store, comparison):
    context = multiprocessing.get_context("spawn")
    reviewers = ("Ada", "Ben")
    processes = [context.Process(target=give, args=(store.root, comparison.name, name)) for name in reviewers]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    reviews, unreadable = read_reviews(store.root, comparison.name)
    assert (len(reviews), unreadable) == (2 * EACH, 0)
    assert {(one.reviewer, one.note) for one in reviews} == {(r, f"{n}") for r in reviewers for n in range(EACH)}
    assert {(one.pair, one.reviewer, one.note) for one in latest(reviews)} == {
        ((prompt, 0), reviewer, note)
        for reviewer in reviewers
        for prompt, note in zip("abc", ("24", "22", "23"), strict=True)
    }
    assert check(store).damages == ()


def test_the_newest_vote_counts_and_none_withdraws(store, comparison):
    for second, given in enumerate(("same", "candidate better", "baseline better")):
        add_review(store.root, vote(comparison.name, "a", given, second=second))
    add_review(store.root, vote(comparison.name, "b", "same", second=4))
    add_review(store.root, vote(comparison.name, "b", None, second=5))
    reviews = latest(read_reviews(store.root, comparison.name)[0])
    assert [(one.prompt_id, one.vote) for one in reviews] == [("a", "baseline better")]


def test_a_changed_or_misplaced_vote_is_no_vote(store, comparison):
    file = add_review(store.root, vote(comparison.name, "a"))
    other = add_review(store.root, vote(comparison.name, "b"))
    file.write_text(file.read_text().replace("baseline better", "candidate better"))
    with pytest.raises(StoreError, match="changed after it was written"):
        read_review(file)
    elsewhere = file.parent.with_name("another")
    elsewhere.mkdir()
    moved = other.rename(elsewhere / other.name)
    with pytest.raises(StoreError, match="belongs to"):
        read_review(moved)
    assert read_reviews(store.root, comparison.name) == ([], 1)
    assert {damage.path for damage in check(store).damages} == {file, moved}
    assert review_summary(comparison).unreadable == 1


@pytest.mark.parametrize("name", ["..", "a/b", "a\0b", ""])
def test_a_vote_stays_in_the_store(name):
    with pytest.raises(ValueError, match="can't be the name of a file"):
        vote(name, "a")


@pytest.mark.parametrize("key", ["reviewer", "note"])
def test_a_text_has_a_limit(key):
    with pytest.raises(ValueError, match="at most"):
        vote("x", "a", **{key: "x" * 5_000})


def test_a_digest_tells_two_texts_apart_however_they_are_cut():
    digests = {answers_digest(*both) for both in (("ab", "c"), ("a", "bc"), ("", "abc"), ("c", "ab"), ("\ud800", ""))}
    assert len(digests) == 5


class TestSummary:
    def test_counts_are_of_prompts(self, store, comparison):
        for second, (prompt, given, reviewer) in enumerate(
            [
                ("a", "baseline better", "Ada"),
                ("a", "baseline better", "Ben"),
                ("a", "candidate better", "Cyd"),  # 2 to 1: worse
                ("b", "both bad", "Ada"),
                ("b", "both bad", "Ben"),
                ("c", "baseline better", "Ada"),
                ("c", "candidate better", "Ben"),  # 1 to 1: same
            ]
        ):
            add_review(store.root, vote(comparison.name, prompt, given, reviewer=reviewer, second=second))
        summary = review_summary(comparison)
        assert (summary.worse, summary.same, summary.better, summary.both_bad) == (1, 1, 0, 1)
        assert (summary.prompts, summary.votes, summary.reviewers, summary.agreement) == (3, 7, 3, (1, 3))
        assert summary.interval == pytest.approx((0.025, 1.0))  # 1 of 1: 0.05 / 2 is the lower end
        assert summary.p_value == 1.0
        assert summary.outcome == "undecided"

    def test_votes_on_other_texts_do_not_count(self, store, comparison):
        add_review(store.root, vote(comparison.name, "a", answers="00" * 32))
        add_review(store.root, vote(comparison.name, "no such prompt"))
        summary = review_summary(comparison)
        assert (summary.votes, summary.stale, summary.decided) == (0, 2, 0)
        assert "none of 0 reviewed prompts" in summary.in_words()

    @pytest.mark.parametrize(("worse", "better", "outcome"), [(6, 0, "worse"), (5, 0, "undecided"), (0, 6, "better")])
    def test_six_of_six_decide_and_five_of_five_do_not(self, store, comparison, worse, better, outcome):
        # The lower end for k = n is (0.05 / 2) ** (1 / n): 0.541 for 6, 0.478 for 5.
        add_review(store.root, vote(comparison.name, "a"))
        summary = replace(review_summary(comparison), worse=worse, better=better)
        assert summary.outcome == outcome
        assert (summary.p_value < 0.05) == (outcome != "undecided")


class TestCommand:
    def test_export_as_lines_and_as_a_table(self, store, comparison, fidelity, tmp_path):
        add_review(store.root, vote(comparison.name, "a", note='=cmd|"x"', tags=("tone", "facts")))
        code, out, _ = fidelity("reviews", "export", comparison, "--texts")
        assert code == 0
        (row,) = map(json.loads, out.splitlines())
        assert (row["vote"], row["note"], row["baseline"], row["counts"]) == (
            "baseline better",
            '=cmd|"x"',
            "base says a",
            True,
        )
        assert fidelity("reviews", "export", comparison, "--output", tmp_path / "votes.csv")[0] == 0
        assert '"\'=cmd|""x"""' in (tmp_path / "votes.csv").read_text()
        assert fidelity("reviews", "export", comparison, "--output", tmp_path / "votes.txt")[0] == 2

    def test_summary(self, store, comparison, fidelity):
        add_review(store.root, vote(comparison.name, "a"))
        code, out, _ = fidelity("reviews", "summary", comparison)
        assert code == 0
        assert "the baseline is better on 1 of 1 decided prompt (100.0%, 95% interval 2.5% to 100.0%" in " ".join(
            out.split()
        )
        numbers = json.loads(fidelity("reviews", "summary", comparison, "--json")[1])
        assert (numbers["worse"], numbers["outcome"], numbers["p_value"]) == (1, "undecided", 1.0)

    def test_python(self):
        result = api.compare_texts(["a", "b"], {"quant": ["a", "c"]}, metrics=["identical"])
        path = result.scored.candidates[0].comparison.path
        pair = result.scored.candidates[0].pairing.pairs[1]
        digest = answers_digest("b", "c")
        add_review(path.parent.parent, vote(path.name, pair.prompt.id, "same", answers=digest))
        assert [one.vote for one in result.reviews()] == ["same"]
        assert result.review_summaries()["quant"].same == 1
