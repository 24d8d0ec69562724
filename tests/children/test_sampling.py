"""How tokens are chosen from logits where no engine does it: by hand-made logits of six tokens."""

import base64
import math

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from fidelity.children.sampling import Answer, token_score_record  # noqa: E402
from fidelity.config import Sampling  # noqa: E402

LOGITS = [math.log(share) for share in (0.4, 0.3, 0.15, 0.1, 0.04, 0.01)]
WORDS = ["a", "b", "c", "d", "e", "."]
END = 5


def answer(prompt=(0,), context=100, **sampling):
    return Answer(
        prompt,
        Sampling(**sampling).model_dump(mode="json"),
        ends=frozenset({END}),
        context=context,
        decode=lambda ids: "".join(WORDS[i] for i in ids if i != END),
    )


def drawn(count=400, **sampling):
    """The tokens that come up."""
    growing = answer(max_tokens=count + 1, **{"temperature": 1.0, **sampling})
    return {growing.choose(torch.tensor(LOGITS)) for _ in range(count)}


def test_greedy_takes_the_likeliest_and_reports_its_probability():
    growing = answer(max_tokens=3)
    assert [growing.choose(torch.tensor(LOGITS)) for _ in range(3)] == [0, 0, 0]
    assert growing.logprobs == pytest.approx([math.log(0.4)] * 3)
    assert (growing.text, growing.finish_reason) == ("aaa", "length")


def test_what_is_cut_off_never_comes_up():
    assert drawn() == {0, 1, 2, 3, 4, 5}
    assert drawn(top_k=2) == {0, 1}
    assert drawn(top_p=0.6) == {0, 1}  # 0.4 alone is less than 0.6, with 0.3 it is enough
    assert drawn(min_p=0.3) == {0, 1, 2}  # 0.3 x 0.4 = 0.12
    assert drawn(temperature=0.01) == {0}


def test_top_p_is_taken_of_what_top_k_left():
    """Of 0.4 and 0.3 alone the first is 0.57, enough for top_p 0.5; of all, 0.4 is not."""
    assert drawn(top_k=2, top_p=0.5) == {0}
    assert drawn(top_p=0.5) == {0, 1}


def test_draws_follow_the_probabilities_and_the_seed():
    def draws(seed):
        growing = answer(max_tokens=4001, temperature=1.0, seed=seed)
        return [growing.choose(torch.tensor(LOGITS)) for _ in range(4000)]

    first = draws(7)
    assert first == draws(7)
    assert first != draws(8)
    assert first.count(0) / 4000 == pytest.approx(0.4, abs=0.03)  # four standard errors


def test_a_repetition_penalty_weighs_on_prompt_and_answer_and_not_on_the_logprobs():
    """Logits below zero are multiplied: log 0.4 x 2 = log 0.16, below log 0.3; then log 0.09, below log 0.15."""
    growing = answer(prompt=[0], max_tokens=3, repetition_penalty=2.0)
    assert [growing.choose(torch.tensor(LOGITS)) for _ in range(2)] == [1, 0]
    assert growing.logprobs == pytest.approx([math.log(0.3), math.log(0.4)])
    positive = answer(prompt=[0], max_tokens=3, repetition_penalty=2.0)
    assert positive.choose(torch.tensor([4.0, 3.0, 1.0, 0.0, 0.0, 0.0])) == 1  # 4 / 2 = 2


def test_an_answer_ends_at_the_end_token_which_is_kept_and_not_shown():
    growing = answer(max_tokens=9)
    growing.choose(torch.tensor(LOGITS))
    growing.choose(torch.tensor(LOGITS[::-1]))
    assert growing.record("p")["token_ids"] == [0, END]
    assert (growing.text, growing.finish_reason) == ("a", "stop")


def test_an_answer_ends_at_a_stop_string_which_is_not_shown():
    growing = answer(max_tokens=9, stop=["ab", "zz"])
    for likeliest in (2, 0, 1):
        growing.choose(torch.eye(6)[likeliest])
    assert (growing.text, growing.finish_reason, growing.token_ids) == ("c", "stop", [2, 0, 1])


def test_an_answer_ends_where_the_context_ends():
    growing = answer(prompt=[0] * 8, context=10, max_tokens=9)
    growing.choose(torch.tensor(LOGITS))
    assert growing.finish_reason is None
    growing.choose(torch.tensor(LOGITS))
    assert growing.finish_reason == "length"


def test_half_a_character_at_the_end_is_not_shown():
    """As vLLM does it: a poem in Hindi that was cut off by max_tokens read differently in both."""
    sampling = Sampling(max_tokens=3).model_dump(mode="json")
    growing = Answer([], sampling, ends=frozenset(), context=9, decode=lambda ids: bytes(ids).decode(errors="replace"))
    for byte in "aह".encode()[:3]:  # a real one has such bytes, or " " and a byte, in one token
        growing.choose(torch.nn.functional.one_hot(torch.tensor(byte), 256))
    assert (growing.text, len(growing.token_ids)) == ("a", 3)


def test_forcing_gives_each_token_its_logprob_rank_and_rivals():
    record = token_score_record("p", [1, 0], torch.tensor([LOGITS, LOGITS]), top_k=2)
    unpacked = {
        k: np.frombuffer(base64.b64decode(v), "<f4" if "logprobs" in k else "<i4")
        for k, v in record.items()
        if k != "prompt_id"
    }
    assert unpacked["token_ids"].tolist() == [1, 0]
    assert unpacked["ranks"].tolist() == [2, 1]
    assert unpacked["top_ids"].tolist() == [0, 1, 0, 1]
    assert unpacked["logprobs"] == pytest.approx([math.log(0.3), math.log(0.4)])
    whole = token_score_record("p", [1], torch.tensor([LOGITS]), top_k=-1)
    assert whole["top_ids"] is None
    assert np.frombuffer(base64.b64decode(whole["top_logprobs"]), "<f4") == pytest.approx(LOGITS, abs=1e-6)


def test_forcing_nothing_gives_nothing():
    record = token_score_record("p", [], torch.zeros((0, 6)), top_k=3)
    assert record["token_ids"] == record["logprobs"] == record["top_logprobs"] == ""
