"""Numbers of single tokens: by hand, and against the definitions of llama.cpp's perplexity tool."""

import math

import numpy as np
import pytest

from fidelity.metrics.token_divergence import (
    acceptance,
    exact_acceptance,
    exact_kl,
    gap_change,
    kl_lower_bound,
    log_probability,
    token_values,
)
from tests.token_scores import of_probabilities, scores

P = [[0.5, 0.25, 0.125, 0.125]]
Q = [[0.25, 0.5, 0.125, 0.125]]


def drawn(positions, vocabulary, *, spread, change, seed=0):
    """Logits of a model and of one that differs a little from it, and tokens drawn from the first."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=spread, size=(positions, vocabulary))
    other_logits = logits + draw.normal(scale=change, size=logits.shape)
    return logits, other_logits, draw.integers(0, vocabulary, positions)


class TestByHand:
    def test_what_is_said_of_a_token(self):
        values = token_values(of_probabilities(P, [0], top_k=3), of_probabilities(Q, [0], top_k=3))
        assert not values.agree[0]
        assert values.gap[0] == pytest.approx(math.log(2), abs=1e-6)
        assert values.confidence[0] == pytest.approx(0.5, abs=1e-6)
        assert values.drop[0] == pytest.approx(math.log(2), abs=1e-6)  # from 0.5 to 0.25
        assert values.delta_p[0] == pytest.approx(-0.25, abs=1e-6)
        assert values.rank[0] == 2

    def test_exact_kl_has_a_direction(self):
        # KL(P || Q) = 0.5 ln 2 + 0.25 ln 0.5 = 0.25 ln 2.
        p, q = of_probabilities(P, [0]), of_probabilities(Q, [0])
        assert exact_kl(p, q)[0] == pytest.approx(0.25 * math.log(2), abs=1e-6)
        # R = (0.7, 0.1, 0.1, 0.1): KL(P || R) = 0.5 ln(5/7) + 0.25 ln 2.5 + 0.25 ln 1.25, and KL(R || P) is another.
        other = of_probabilities([[0.7, 0.1, 0.1, 0.1]], [0])
        there = 0.5 * math.log(5 / 7) + 0.25 * math.log(2.5) + 0.25 * math.log(1.25)
        back = 0.7 * math.log(1.4) + 0.1 * math.log(0.4) + 0.2 * math.log(0.8)
        assert exact_kl(p, other)[0] == pytest.approx(there, abs=1e-6)
        assert exact_kl(other, p)[0] == pytest.approx(back, abs=1e-6)

    def test_the_lower_bound_lumps_what_is_not_told(self):
        # The first two of each are told; 0.25 is left to both, so the bucket adds nothing.
        bound, tail = kl_lower_bound(of_probabilities(P, [0], top_k=2), of_probabilities(Q, [0], top_k=2))
        assert (bound[0], tail[0]) == pytest.approx((0.25 * math.log(2), 0.25), abs=1e-6)

    def test_a_token_that_only_one_of_them_tells_is_in_the_bucket(self):
        # The two most likely: 0 and 1 of p, 0 and 3 of q. Told by both: 0, and the answer's own token 2. The bucket
        # holds 0.4 of each, so nothing shows, though the exact KL is 0.3 ln 3 + 0.1 ln(1/3) = 0.2 ln 3.
        p, q = [[0.4, 0.3, 0.2, 0.1]], [[0.4, 0.1, 0.2, 0.3]]
        bound, tail = kl_lower_bound(of_probabilities(p, [2], top_k=2), of_probabilities(q, [2], top_k=2))
        assert (bound[0], tail[0]) == pytest.approx((0.0, 0.4), abs=1e-6)
        exact = exact_kl(of_probabilities(p, [2]), of_probabilities(q, [2]))
        assert exact[0] == pytest.approx(0.2 * math.log(3), abs=1e-6)

    def test_the_expected_acceptance_rate(self):
        # Sum of min(p, q): 0.25 + 0.25 + 0.125 + 0.125 = 0.75. Of the two most likely tokens alone: 0.5, and the other
        # tokens, 0.25 in both, can add 0.25 at most.
        assert exact_acceptance(of_probabilities(P, [0]), of_probabilities(Q, [0]))[0] == pytest.approx(0.75, abs=1e-6)
        lower, upper = acceptance(of_probabilities(P, [0], top_k=2), of_probabilities(Q, [0], top_k=2))
        assert (lower[0], upper[0]) == pytest.approx((0.5, 0.75), abs=1e-6)

    def test_tokens_that_one_of_them_alone_gives_count_as_nothing_from_below(self):
        # Known to both: token 0 (0.4 and 0.4) and the answer's own token 2 (0.2 and 0.2); 0.4 of each is left.
        p, q = [[0.4, 0.3, 0.2, 0.1]], [[0.4, 0.1, 0.2, 0.3]]
        lower, upper = acceptance(of_probabilities(p, [2], top_k=2), of_probabilities(q, [2], top_k=2))
        assert (lower[0], upper[0]) == pytest.approx((0.6, 1.0), abs=1e-6)
        assert exact_acceptance(of_probabilities(p, [2]), of_probabilities(q, [2]))[0] == pytest.approx(0.8, abs=1e-6)

    def test_how_far_the_gap_moves(self):
        # From ln 2 to -ln 2 between the baseline's first and second token.
        moved = gap_change(of_probabilities(P, [0], top_k=2), of_probabilities(Q, [0], top_k=2))
        assert moved[0] == pytest.approx(2 * math.log(2), abs=1e-6)
        assert np.isnan(gap_change(of_probabilities(P, [0], top_k=2), of_probabilities(Q, [0], top_k=1))[0])

    def test_a_token_s_probability_is_known_where_it_is_told(self):
        one = of_probabilities(P, [3], top_k=2)
        assert log_probability(one, 0, 1) == pytest.approx(math.log(0.25), abs=1e-6)
        assert log_probability(one, 0, 3) == pytest.approx(math.log(0.125), abs=1e-6)  # the answer's own
        assert log_probability(one, 0, 2) is None

    def test_a_model_that_differs_in_nothing(self):
        logits, _, tokens = drawn(50, 300, spread=3, change=0)
        whole, top = scores(logits, tokens), scores(logits, tokens, top_k=20)
        assert exact_kl(whole, whole).tolist() == [0.0] * 50
        assert kl_lower_bound(top, top)[0].tolist() == [0.0] * 50
        values = token_values(top, top)
        assert values.agree.all()
        assert not values.drop.any()
        assert not values.delta_p.any()
        assert not gap_change(top, top).any()
        assert exact_acceptance(whole, whole) == pytest.approx(1, abs=1e-6)
        lower, upper = acceptance(top, top)
        assert upper == pytest.approx(1, abs=1e-6)
        assert lower == pytest.approx(np.exp(top.top_logprobs.astype(float)).sum(axis=1), abs=0.02)

    def test_an_empty_answer(self):
        empty = scores(np.zeros((0, 4)), [], top_k=2)
        assert len(token_values(empty, empty).drop) == 0
        assert len(gap_change(empty, empty)) == 0

    def test_only_tokens_that_both_have_scored_count(self):
        logits, other_logits, tokens = drawn(9, 30, spread=3, change=1)
        short = scores(other_logits[:4], tokens[:4], top_k=5)
        values = token_values(scores(logits, tokens, top_k=5), short)
        assert len(values.agree) == len(values.tail_mass) == 4


@pytest.mark.parametrize("spread", [0.5, 2, 5], ids="spread of the logits {}".format)
@pytest.mark.parametrize("change", [0.001, 0.1, 1], ids="change {}".format)
@pytest.mark.parametrize("top_k", [1, 20])
def test_the_lower_bound_is_never_above_the_exact_kl_on_10_000_positions(spread, change, top_k):
    logits, other_logits, tokens = drawn(10_000, 200, spread=spread, change=change)
    exact = exact_kl(scores(logits, tokens), scores(other_logits, tokens))
    bound, tail = kl_lower_bound(scores(logits, tokens, top_k=top_k), scores(other_logits, tokens, top_k=top_k))
    assert (bound <= exact + 1e-6).all()
    assert (bound >= -1e-6).all()
    assert ((tail >= 0) & (tail <= 1)).all()


@pytest.mark.parametrize("spread", [0.5, 2, 5], ids="spread of the logits {}".format)
@pytest.mark.parametrize("change", [0.001, 0.1, 1], ids="change {}".format)
@pytest.mark.parametrize("top_k", [1, 20])
def test_the_exact_acceptance_rate_lies_within_its_bracket_and_pinsker_holds(spread, change, top_k):
    """1 - EAR is the total variation, so 1 - EAR <= sqrt(KL / 2)."""
    logits, other_logits, tokens = drawn(2_000, 200, spread=spread, change=change)
    whole = scores(logits, tokens), scores(other_logits, tokens)
    exact = exact_acceptance(*whole)
    lower, upper = acceptance(scores(logits, tokens, top_k=top_k), scores(other_logits, tokens, top_k=top_k))
    assert (lower <= exact + 1e-6).all()
    assert (exact <= upper + 1e-6).all()
    assert (1 - exact <= np.sqrt(np.maximum(exact_kl(*whole), 0) / 2) + 1e-3).all()


def llama_cpp(base_logits, logits, tokens):
    """The definitions in llama.cpp's tools/perplexity/perplexity.cpp (log_softmax with a kl_divergence_result).

    Transcribed from reading them: double sums over the vocabulary, the base's log-probabilities above -16 only.
    """
    kld, p_diff, same_top, nll, nll_base = [], [], 0, 0.0, 0.0
    for base_row, row, token in zip(base_logits, logits, tokens, strict=True):
        base = base_row - base_row.max() - math.log(np.exp(base_row - base_row.max()).sum())
        other = row - row.max() - math.log(np.exp(row - row.max()).sum())
        kld.append(sum(math.exp(b) * (b - o) for b, o in zip(base, other, strict=True) if b > -16))
        p_diff.append(math.exp(other[token]) - math.exp(base[token]))
        same_top += int(base.argmax() == other.argmax())
        nll, nll_base = nll - other[token], nll_base - base[token]
    n = len(tokens)
    return {
        "kld": kld,
        "mean_dp": sum(p_diff) / n,
        "rms_dp": math.sqrt(sum(d * d for d in p_diff) / n),
        "same_top": same_top / n,
        "ln_ratio": (nll - nll_base) / n,
    }


def test_llama_cpp_s_definitions_on_the_same_logits():
    logits, other_logits, tokens = drawn(300, 500, spread=4, change=0.5, seed=7)
    expected = llama_cpp(logits, other_logits, tokens)
    values = token_values(scores(logits, tokens, top_k=20), scores(other_logits, tokens, top_k=20))
    exact = exact_kl(scores(logits, tokens), scores(other_logits, tokens), ignore_below=-16)
    assert exact == pytest.approx(expected["kld"], abs=1e-6)
    assert values.delta_p.mean() == pytest.approx(expected["mean_dp"], abs=1e-6)
    assert math.sqrt((values.delta_p**2).mean()) == pytest.approx(expected["rms_dp"], abs=1e-6)
    assert values.agree.mean() == expected["same_top"]
    assert values.drop.mean() == pytest.approx(expected["ln_ratio"], abs=1e-6)
