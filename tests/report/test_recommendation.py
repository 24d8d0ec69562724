"""What to ship: the cheapest that passes for each model, in one sentence, and why the others don't."""

from dataclasses import replace

import pytest

from fidelity.gate.difference import Difference
from fidelity.gate.verdict import Line, Verdict
from fidelity.price.recommend import Offer
from fidelity.report.recommendation import recommendation


def offer(size, form, outcome, ratio=0.5, lines=(), safe=None):
    lines = [Line(kind, name, outcome, "", prompts_needed=needed) for kind, name, needed in lines]
    verdict = outcome and Verdict("quant", outcome, f"Because of {form}.", tuple(lines), 0.95, 0)
    return Offer(size, form, verdict, (outcome == "pass") if safe is None else safe, ratio)


def test_one_format_for_both_sizes_and_why_not_the_smaller_one():
    conflicts = [("conflict", "number", None), ("conflict", "negation", None)]
    offers = [
        *(offer(size, "W8A8-FP8", "pass", 0.61) for size in ("1B", "3B")),
        *(offer(size, "W4A16", "fail", 0.4, conflicts) for size in ("1B", "3B")),
    ]
    advice = recommendation(offers)
    assert advice.outcome == "pass"
    assert advice.sentence == "Ship W8A8-FP8 for both models: it passes and takes 0.61 of the bytes."
    assert advice.reasons == ("W4A16 fails on numbers and negations.",)


@pytest.mark.parametrize(
    ("offers", "outcome", "sentence"),
    [
        (
            [offer("1B", "A", "pass", 0.6), offer("1B", "B", "pass", 0.5)],
            "pass",
            "Ship B: it passes and takes 0.50 of the bytes.",
        ),
        (
            [offer("1B", "A", "pass", 0.6), offer("3B", "B", "pass", 0.5)],
            "pass",
            "Ship A for 1B and B for 3B: they pass and take 0.50 to 0.60 of the bytes.",
        ),
        ([offer("1B", "A", "pass", None)], "pass", "Ship A: it passes, but its size is unknown."),
        ([offer("1B", "A", "pass", 1.0)], "pass", "Ship A: it passes, but without saving bytes."),
        ([offer("1B", "A", "fail")], "fail", "Ship none: every format fails."),
        (
            [offer("1B", "A", "fail"), offer("1B", "B", "inconclusive")],
            "inconclusive",
            "Nothing can be shipped yet: no format passes.",
        ),
        (
            [offer("1B", "A", "pass", 0.6), offer("3B", "A", "fail", 0.6)],
            "inconclusive",
            "Ship A for 1B: it passes and takes 0.60 of the bytes. Ship none for 3B: every format fails.",
        ),
        (  # it passes alone, but not at the confidence of all three together
            [offer("1B", "A", "pass", 0.6, safe=False)],
            "inconclusive",
            "Nothing can be shipped yet: no format passes.",
        ),
        (  # a candidate that wasn't judged isn't one that fails
            [offer("1B", "A", "fail"), offer("1B", "B", None)],
            "inconclusive",
            "Nothing can be shipped yet: no format passes.",
        ),
    ],
)
def test_what_to_ship(offers, outcome, sentence):
    advice = recommendation(offers)
    assert (advice.outcome, advice.sentence) == (outcome, sentence)


def test_what_is_undecided_says_how_many_prompts_would_decide():
    [reason] = recommendation([offer("1B", "A", "inconclusive", lines=[("margin", "rougeL", 49_198)])]).reasons
    assert reason == "A is inconclusive: about 49,000 prompts would decide."


def test_without_a_verdict_nothing_is_recommended():
    assert recommendation([offer("1B", "A", None)]) is None


def test_more_prompts_decide_nothing_where_the_runs_differ_otherwise():
    one = offer("1B", "A", "inconclusive", lines=[("margin", "rougeL", 49_198)])
    cache = Difference("KV cache", "bfloat16", "fp8", ("kv_cache",))
    verdict = replace(one.verdict, differences=(cache,))
    [reason] = recommendation([replace(one, verdict=verdict)]).reasons
    assert reason == "A is inconclusive: Because of A."
