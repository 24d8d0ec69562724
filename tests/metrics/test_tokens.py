"""Columns over token scores."""

import math

import pytest

from fidelity.metrics.kl import Kl
from fidelity.metrics.tokens import Tokens
from fidelity.records import Generation, Pair, Prompt
from tests.laws import check_form
from tests.token_scores import of_probabilities

SURE, UNSURE = [0.84, 0.08, 0.08], [0.45, 0.35, 0.2]
FLIPPED = [0.08, 0.84, 0.08]


def pair(p, q, tokens, *, top_k=2, prompt_id="p"):
    both = tuple(of_probabilities(rows, tokens, top_k=top_k) for rows in (p, q))
    return Pair(Prompt(prompt_id, "Say."), Generation(prompt_id, ""), Generation(prompt_id, ""), token_scores=both)


def columns(metric, *pairs):
    return {column.name: column for column in metric.score(pairs)}


def test_flips_are_counted_among_the_sure_and_among_the_unsure():
    # Sure, sure, unsure, unsure, unsure; the second, the fourth and the fifth flip.
    columns_of = columns(
        Tokens(detail=True),
        pair([SURE, SURE, UNSURE, UNSURE, UNSURE], [SURE, FLIPPED, UNSURE, FLIPPED, FLIPPED], [0] * 5),
    )
    assert columns_of["top1_agreement"].values[0] == pytest.approx(2 / 5)
    assert columns_of["sure_flips"].values[0] == pytest.approx(1 / 2)
    assert columns_of["unsure_flips"].values[0] == pytest.approx(2 / 3)
    assert columns_of["forced_divergence"].values == (1.0,)


def test_an_exact_tie_counts_as_the_overlap_of_the_most_likely_tokens():
    tie, other, three = [0.4, 0.4, 0.2], [0.4, 0.2, 0.4], [0.3, 0.3, 0.3, 0.1]
    for p, q, overlap in (
        ([tie], [tie], 1.0),
        ([tie], [SURE], 1 / 2),  # {0, 1} and {0}
        ([tie], [FLIPPED], 1 / 2),  # {0, 1} and {1}, whichever of the two is listed first
        ([tie], [[0.1, 0.1, 0.8]], 0.0),
        ([tie], [other], 1 / 3),  # {0, 1} and {0, 2}
        ([SURE], [tie], 1 / 2),
    ):
        for a, b in ((p, q), (q, p)):
            values = columns(Tokens(), pair(a, b, [0]))["top1_agreement"].values
            assert values == (pytest.approx(overlap),)
    assert columns(Tokens(), pair([three], [three], [0], top_k=3))["top1_agreement"].values == (1.0,)
    assert columns(Tokens(), pair([tie, SURE], [SURE, SURE], [0, 0]))["top1_agreement"].values == (0.75,)


def test_what_is_sure_is_a_matter_of_nats():
    one = pair([UNSURE], [FLIPPED], [0])  # ln(0.45 / 0.35) = 0.251
    assert columns(Tokens(sure=0.25), one)["sure_flips"].values == (1.0,)
    assert columns(Tokens(sure=0.26), one)["sure_flips"].values == (None,)


def test_the_drop_of_the_log_probability_is_weighted_by_tokens():
    # ln 0.84 - ln 0.08 = ln 10.5 at one token of one, nothing at three tokens of the other: over tokens ln 10.5 / 4.
    columns_of = columns(Tokens(detail=True), pair([SURE], [FLIPPED], [0]), pair([SURE] * 3, [SURE] * 3, [0] * 3))
    drop = columns_of["logprob_drop"]
    assert drop.values == (pytest.approx(math.log(10.5), abs=1e-6), 0.0)
    assert drop.weights == (1.0, 3.0)
    assert columns_of["rank"].values == (2.0, 1.0)
    assert columns_of["delta_p"].values[0] == pytest.approx(-0.76, abs=1e-6)
    assert columns_of["rms_delta_p"].values[0] == pytest.approx(0.76, abs=1e-6)


def test_identical_models_are_identical():
    columns_of = columns(Tokens(detail=True, profile=True), pair([SURE, UNSURE], [SURE, UNSURE], [0, 1]))
    assert columns_of["top1_agreement"].values == (1.0,)
    for name in ("sure_flips", "unsure_flips", "kl_lower_bound", "logprob_drop", "delta_p", "rms_delta_p"):
        assert columns_of[name].values == (0.0,), name
    assert columns_of["forced_divergence"].values == (2.0,)
    assert columns(Kl(), pair([SURE], [SURE], [0], top_k=None))["kl"].values == (0.0,)


def test_by_position_and_by_confidence():
    ten = pair([SURE] * 9 + [UNSURE], [SURE] * 8 + [FLIPPED] * 2, [0] * 10)
    columns_of = columns(Tokens(detail=True, profile=True), ten)
    assert [columns_of[f"top1_agreement[decile={d}]"].values[0] for d in range(1, 11)] == [1.0] * 8 + [0.0] * 2
    # The baseline gave its first token 0.84 nine times, 0.45 once: the ninth and the fifth tenth.
    assert columns_of["top1_agreement[confidence=9]"].values[0] == pytest.approx(8 / 9)
    assert columns_of["top1_agreement[confidence=5]"].values == (0.0,)
    assert columns_of["top1_agreement[confidence=1]"].values == (None,)
    assert columns_of["logprob_drop[decile=9]"].values[0] == pytest.approx(math.log(10.5), abs=1e-6)
    assert columns_of["kl_lower_bound[confidence=9]"].weights == (9.0,)
    assert columns_of["sure_flips[decile=9]"].values == (1.0,)
    assert columns_of["sure_flips[decile=10]"].values == (None,)  # there the baseline was not sure
    whole = pair([SURE] * 9 + [UNSURE], [SURE] * 8 + [FLIPPED] * 2, [0] * 10, top_k=None)
    exact = columns(Kl(profile=True), whole)
    assert exact["kl[decile=9]"].values[0] == pytest.approx(0.76 * math.log(10.5), abs=1e-6)
    assert exact["kl[confidence=9]"].values[0] == pytest.approx(0.76 * math.log(10.5) / 9, abs=1e-6)


def test_exact_kl_and_its_quantiles():
    # 0 at one token, 0.76 ln 10.5 at the other: 0.84 ln 10.5 + 0.08 ln(1 / 10.5).
    columns_of = columns(Kl(), pair([SURE, SURE], [SURE, FLIPPED], [0, 0], top_k=None))
    apart = 0.76 * math.log(10.5)
    assert columns_of["kl"].values[0] == pytest.approx(apart / 2, abs=1e-6)
    assert columns_of["kl"].weights == (2.0,)
    assert columns_of["kl[q=0.5]"].values[0] == pytest.approx(apart / 2, abs=1e-6)
    assert columns_of["kl[q=0.999]"].values[0] == pytest.approx(0.999 * apart, abs=1e-6)


@pytest.mark.parametrize("metric", [Tokens(detail=True, profile=True), Kl(profile=True)])
def test_form_order_and_what_cannot_be_scored(metric):
    whole = None if metric.kind == "kl" else 2
    unforced = Pair(Prompt("u", "Say."), Generation("u", "x", (1,)), Generation("u", "x", (1,)))
    some = [
        pair([SURE, UNSURE], [UNSURE, FLIPPED], [0, 2], top_k=whole),
        unforced,
        pair([SURE], [FLIPPED], [1], top_k=whole),
    ]
    together = metric.score(some)
    check_form(together, 3)
    assert all(column.values[1] is None for column in together)
    one_by_one = [metric.score([p]) for p in some]
    for number, column in enumerate(together):
        assert column.values == tuple(single[number].values[0] for single in one_by_one)
    assert [column.name for column in metric.score([])] == [column.name for column in together]


def test_an_engine_that_reports_no_ranks_leaves_the_rank_out():
    one = pair([SURE], [SURE], [0])
    for scores in one.token_scores:
        scores.ranks[:] = 0
    columns_of = columns(Tokens(detail=True), one)
    assert columns_of["rank"].values == (None,)
    assert columns_of["top1_agreement"].values == (1.0,)
