"""Votes from the store to the reports: counts by hand, an exact interval, and what the votes are a sample of."""

import io
import json

import jsonschema
import pytest
from rich.console import Console

from fidelity.comparison.reviews import review_summary
from fidelity.comparison.stored import load_comparison
from fidelity.config import load_run
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.report import as_html, as_json, as_junit, as_markdown, json_schema, print_comparison
from fidelity.store.reviews import FOLDER, Review, add_review, answers_digest, now, place_in_random_order
from fidelity.store.store import Store
from tests.conftest import Silent, Workspace

N = 20
IN_RANDOM_ORDER = sorted((f"p{n}" for n in range(N)), key=lambda prompt: place_in_random_order((prompt, 0)))
# One better, two the same, eight worse, one both bad.
VOTES = ["candidate better", "same", "same", *["baseline better"] * 8, "both bad"]
# Clopper and Pearson for 8 of 9: P(X >= 8) = 9 p^8 (1 - p) + p^9 = 0.025 gives p = 0.5175; upper: p^9 + 9 p^8 (1 - p)
# = 0.975 gives 0.9972. The sign test is 2 (C(9,8) + C(9,9)) / 2^9 = 20 / 512 = 0.039.
RESULT = (
    "candidate better 1, same 2, baseline better 8, both bad 1. Worse: the baseline is better on 8 of 9 decided "
    "prompts (88.9%, 95% interval 51.8% to 99.7%; sign test, p = 0.039)"
)


@pytest.fixture
def compared(tmp_path):
    space = Workspace(tmp_path)
    for name, word in (("again", "one"), ("base", "one"), ("quant", "two")):
        rows = [{"id": f"p{n}", "prompt": f"q {n}", "text": f"{word} {n}"} for n in range(N)]
        space.recorded(name, rows, **({"control": {"path": "again.jsonl"}} if name == "base" else {}))
    request = ComparisonRequest(
        load_run(space.folder / "base.yaml"), [load_run(space.folder / "quant.yaml")], [metric_of_kind("identical")]
    )
    return compare(request, store=Store(space.store), listener=Silent())


def vote(result, prompts, votes=VOTES, *, reviewer="Ada"):
    path = result.candidates[0].comparison.path
    for prompt, given in zip(prompts, votes, strict=False):
        digest = answers_digest(f"one {prompt[1:]}", f"two {prompt[1:]}")
        review = Review(
            comparison=path.name, prompt_id=prompt, reviewer=reviewer, vote=given, blind=True,
            answers=digest, created=now(),
        )  # fmt: skip
        add_review(path.parent.parent, review)
    return path


def printed(result, *, full=False):
    text = io.StringIO()
    print_comparison(result, Console(file=text, width=600), full=full)
    return text.getvalue()


def test_every_report_has_the_counts_and_the_interval(compared):
    path = vote(compared, IN_RANDOM_ORDER)
    sentence = f"quant: votes on 12 of 20 prompts (a random sample): {RESULT}"
    for report in (printed(compared), as_html(compared), as_junit(compared), as_markdown(compared)):
        assert sentence in report
    assert "12 votes by 1 reviewer, 12 of them blind" in printed(compared, full=True)
    data = json.loads(json.dumps(as_json(compared)))
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    (votes,) = data["comparisons"][0]["votes"]
    assert (votes["better"], votes["same"], votes["worse"], votes["both_bad"]) == (1, 2, 8, 1)
    assert votes["interval"] == pytest.approx({"low": 0.5175, "high": 0.9972}, abs=1e-4)
    assert (votes["p_value"], votes["outcome"], votes["selection"]) == (0.0390625, "worse", "random")
    assert as_json(load_comparison(path))["comparisons"][0]["votes"] == [votes]


def test_without_votes_no_report_changes_and_no_text_is_read(compared, monkeypatch):
    monkeypatch.setattr("fidelity.comparison.reviews.pairs_of", lambda *given: pytest.fail("the texts are read"))
    assert as_json(compared)["comparisons"][0]["votes"] == []
    assert "votes on" not in as_markdown(compared)


def test_votes_on_chosen_pairs_are_no_sample(compared):
    path = vote(compared, [*IN_RANDOM_ORDER[:2], *IN_RANDOM_ORDER[3:]])  # the third is skipped
    summary = review_summary(path)
    assert (summary.selection, summary.random_first, summary.prompts) == ("chosen", 2, 12)
    assert "(not a random sample, so the result is about these prompts alone)" in printed(compared)
    assert "Only the first 2 in random order have a vote." in printed(compared, full=True)
    vote(compared, [IN_RANDOM_ORDER[2]], ["same"], reviewer="Ben")
    assert review_summary(path).selection == "random"


def test_votes_on_every_prompt_need_no_sample(compared):
    assert review_summary(vote(compared, IN_RANDOM_ORDER, ["same"] * N)).selection == "all"
    assert "votes on 20 of 20 prompts (every prompt)" in printed(compared)


def test_the_random_order_is_of_all_prompts_before_a_second_answer():
    pairs = [(f"p{n}", repeat) for n in range(50) for repeat in (0, 1)]
    order = sorted(pairs, key=place_in_random_order)
    assert [repeat for _, repeat in order] == [0] * 50 + [1] * 50
    numbers = [int(prompt[1:]) for prompt, _ in order[:50]]
    # The mean rank of the first half is 24.5 with a standard deviation of 14.4 / 5 * sqrt(1 / 2) = 2.04.
    assert abs(sum(numbers[:25]) / 25 - 24.5) < 3 * 2.04


def test_a_damaged_vote_is_counted_and_ends_no_report(compared):
    path = vote(compared, IN_RANDOM_ORDER)
    next((path.parent.parent / FOLDER / path.name).glob("*.json")).write_text("{")
    assert "Not counted: 1 file that can't be read" in printed(compared, full=True)
