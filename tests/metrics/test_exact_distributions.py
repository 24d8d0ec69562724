"""Exact KL, EAR and agreement from hidden states and heads, against the whole vocabulary and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fidelity.metrics import logits as of_logits
from fidelity.metrics.exact_distributions import UnprovenError, exact_values
from fidelity.metrics.kl import Kl
from fidelity.metrics.logits import logits, numbers, rounded
from fidelity.metrics.token_divergence import acceptance, exact_acceptance, exact_kl
from fidelity.records import Generation, Head, HiddenStates, Pair, Prompt
from tests.token_scores import scores

torch = pytest.importorskip("torch")
N, WIDTH, VOCABULARY = 300, 16, 400


def bits(values, dtype):
    """A float32 array as it is stored in a dtype."""
    if dtype == "bfloat16":
        return (rounded(values.astype(np.float32), dtype).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(dtype)


def head_of(seed, *, dtype="bfloat16", **keys):
    matrix = np.random.default_rng(seed).normal(0, 1, (WIDTH, VOCABULARY))
    return Head(f"{seed}", bits(matrix, dtype), dtype, **keys)


def scored(hidden, *, top_k=20):
    """Token scores as an engine returns them, with its hidden states, and over the whole vocabulary."""
    values = numbers(logits(hidden, slice(None)))
    tokens = np.random.default_rng(5).integers(0, VOCABULARY, len(values))
    return replace(scores(values, tokens, top_k=top_k), hidden=hidden), scores(values, tokens)


def model(seed, *, dtype="bfloat16", noise=0.0, **keys):
    values = np.random.default_rng(1).normal(0, 1, (N, WIDTH)) + noise * np.random.default_rng(seed).normal(
        0, 1, (N, WIDTH)
    )
    return HiddenStates(bits(values, dtype), dtype, head_of(1, dtype=dtype, **keys))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("keys", [{}, {"soft_cap": 5.0}, {"scale": 0.25}, {"soft_cap": 4.0, "scale": 2.0}])
def test_the_numbers_are_those_of_the_whole_vocabulary(dtype, keys):
    (p, whole_p), (q, whole_q) = scored(model(2, dtype=dtype, **keys)), scored(model(3, dtype=dtype, noise=0.2, **keys))
    values = exact_values(p, q)
    assert values.kl == pytest.approx(exact_kl(whole_p, whole_q), abs=2e-6)
    assert values.acceptance == pytest.approx(exact_acceptance(whole_p, whole_q), abs=2e-6)
    of_old = exact_values(whole_p, whole_q)
    assert values.agree.tolist() == of_old.agree.tolist()
    assert 0 < values.agree.sum() < N
    assert values.confidence == pytest.approx(of_old.confidence, rel=1e-5)
    lower, upper = acceptance(p, q)
    assert (lower <= values.acceptance + 1e-5).all()
    assert (values.acceptance <= upper + 1e-5).all()
    assert values.kl.min() > -1e-6


def test_a_run_and_itself():
    p, _ = scored(model(2))
    values = exact_values(p, p)
    assert values.kl.tolist() == [0.0] * N
    assert values.acceptance == pytest.approx(1, abs=1e-6)
    assert values.agree.all()


def test_by_hand():
    # p = (1/2, 1/2), q = (1/4, 3/4), as logits: KL = 1/2 ln 2 + 1/2 ln(2/3) = 0.1438, EAR = 1/4 + 1/2. p is a tie, so
    # both of its tokens are most likely ones.
    def one(p):
        values = np.log(np.array([p], np.float32))
        return replace(scores(values, [0], top_k=2), hidden=HiddenStates(values, "float32"))

    values = exact_values(one([0.5, 0.5]), one([0.25, 0.75]))
    assert values.kl[0] == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-6)
    assert values.acceptance[0] == pytest.approx(0.75, abs=1e-6)
    assert values.agree.tolist() == [True]
    assert values.confidence[0] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_numpy_computes_what_torch_computes(dtype, monkeypatch):
    hidden = model(2, dtype=dtype, soft_cap=5.0, scale=1.5)
    by_torch = numbers(logits(hidden, slice(0, N)))
    p, q = scored(hidden)[0], scored(model(3, dtype=dtype, noise=0.1))[0]
    of_torch = exact_values(p, q)
    monkeypatch.setattr(of_logits, "find_spec", lambda name: None)
    by_numpy = numbers(logits(hidden, slice(0, N)))
    ulp = {"bfloat16": 2**-7, "float16": 2**-10, "float32": 2**-18}[dtype]
    assert np.abs(by_numpy - by_torch).max() <= ulp * np.abs(by_torch).max()
    assert (by_numpy == by_torch).mean() > (0.2 if dtype == "float32" else 0.98)
    of_numpy = exact_values(p, q)
    assert of_numpy.kl == pytest.approx(of_torch.kl, abs=0.05 if dtype == "bfloat16" else 0.01)
    assert of_numpy.kl.mean() == pytest.approx(of_torch.kl.mean(), rel=1e-3)


def test_bfloat16_is_rounded_as_in_torch():
    values = np.random.default_rng(0).normal(0, 10, 10_000).astype(np.float32)
    assert rounded(values, "bfloat16").tolist() == torch.from_numpy(values).bfloat16().float().tolist()


def test_blocks_change_nothing(monkeypatch):
    p, q = scored(model(2))[0], scored(model(3, noise=0.2))[0]
    whole = exact_values(p, q)
    monkeypatch.setattr("fidelity.metrics.exact_distributions.BLOCK_ELEMENTS", (7 * VOCABULARY, 7 * VOCABULARY))
    assert exact_values(p, q).kl == pytest.approx(whole.kl, abs=1e-6)


class TestProof:
    """The engine's own log-probabilities must come out of hidden states and head."""

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
    def test_rows_that_are_off_by_one(self, dtype):
        p, _ = scored(model(2, dtype=dtype))
        shifted = replace(p, hidden=replace(p.hidden, values=np.roll(p.hidden.values, 1, axis=0)))
        with pytest.raises(UnprovenError, match="don't reproduce the engine's log-probabilities of the answer to 'p'"):
            exact_values(p, shifted)

    @pytest.mark.parametrize(
        "change", [{"soft_cap": 5.0}, {"scale": 0.9}, {"matrix": np.roll(head_of(1).matrix, 1, axis=0)}]
    )
    def test_another_head(self, change):
        p, _ = scored(model(2))
        with pytest.raises(UnprovenError, match="rounding explains"):
            exact_values(replace(p, hidden=replace(p.hidden, head=replace(p.hidden.head, **change))), p)

    def test_a_head_with_quantized_activations(self):
        p, _ = scored(model(2))
        values = (p.hidden.values.astype(np.uint32) << 16).view(np.float32)
        step = np.abs(values).max(axis=1, keepdims=True) / 127
        of_engine = replace(p.hidden, values=bits(np.round(values / step) * step, "bfloat16"))
        engine, _ = scored(of_engine)
        with pytest.raises(UnprovenError, match="on average"):
            exact_values(replace(engine, hidden=p.hidden), p)

    def test_other_vocabularies(self):
        p, _ = scored(model(2))
        larger = replace(p.hidden.head, matrix=np.zeros((WIDTH, VOCABULARY + 1), np.uint16))
        with pytest.raises(UnprovenError, match="different sizes: 400 and 401 tokens"):
            exact_values(p, replace(p, hidden=replace(p.hidden, head=larger)))

    def test_an_engine_that_has_none(self):
        p, _ = scored(model(2))
        with pytest.raises(UnprovenError, match="spread over 2 processes"):
            exact_values(p, replace(p, hidden="the model is spread over 2 processes"))


def test_an_answer_without_tokens_is_unscored():
    p, _ = scored(model(2))
    none = replace(p, **{key: getattr(p, key)[:0] for key in ("token_ids", "logprobs", "ranks", "top_ids")})
    none = replace(none, top_logprobs=p.top_logprobs[:0], hidden=replace(p.hidden, values=p.hidden.values[:0]))
    generation = Generation("p", "")
    columns = Kl().score([Pair(Prompt("p", ""), generation, generation, token_scores=(none, none))])
    assert {column.name: column.values for column in columns[:2]} == {"kl": (None,), "ear_exact": (None,)}
