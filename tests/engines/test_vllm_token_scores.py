"""Teacher forcing in the real vLLM with the real demo model, against transformers and against itself."""

from dataclasses import replace

import numpy as np
import pytest

from fidelity.config import Sampling, VllmEngine, load_run
from fidelity.engines import open_engine
from fidelity.metrics.exact_distributions import exact_values
from fidelity.metrics.token_divergence import acceptance, exact_acceptance, exact_kl, kl_lower_bound, token_values
from fidelity.prompts import load_prompts
from fidelity.store.heads import add_head
from tests.conftest import ROOT

MODELS = ROOT / "models"
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(not (MODELS / "smollm2-135m").exists(), reason="no demo model: python examples/make_models.py"),
]
PROMPTS = load_prompts(ROOT / "prompts" / "starter.jsonl", limit=6)


def scored(folder, model, *, dtype, answers=None, top_k=(20,)):
    """The model's answers, or those it is handed, and its scores of them at each depth; last with hidden states."""
    (folder / "run.yaml").write_text(
        f"name: run\nmodel: {MODELS / model}\nprompts: {ROOT}/prompts/starter.jsonl\n"
        f"engine: {{kind: vllm, dtype: {dtype}, max_model_len: 512, options: {{enforce_eager: true}}}}\n"
    )
    with open_engine(load_run(folder / "run.yaml"), log=folder / "log", on_progress=lambda _: None) as engine:
        if answers is None:
            answers = [list(o.token_ids) for o in engine.generate(PROMPTS, Sampling(max_tokens=24))]
        scores = [list(engine.score_tokens(PROMPTS, answers, k)) for k in top_k]
        head = add_head(folder, engine.write_head)
        exact = [with_head(one, head) for one in engine.score_tokens(PROMPTS, answers, 20, exact=True)]
        again = list(engine.score_tokens(PROMPTS, answers, 20))
        assert [one.top_logprobs.tolist() for one in again] == [one.top_logprobs.tolist() for one in exact]
        return answers, *scores, exact


def with_head(scores, head):
    return replace(scores, hidden=replace(scores.hidden, head=head))


@pytest.fixture(scope="module")
def fp32(tmp_path_factory):
    return scored(tmp_path_factory.mktemp("fp32"), "smollm2-135m", dtype="float32", top_k=(20, -1, 20))


@pytest.fixture(scope="module")
def rounded_model(tmp_path_factory):
    """The demo model with its linear weights rounded to 5 bits, as a checkpoint that transformers can read too."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("rounded") / "model"
    model = AutoModelForCausalLM.from_pretrained(MODELS / "smollm2-135m", dtype=torch.bfloat16)
    with torch.no_grad():
        for layer in model.model.layers.modules():
            if isinstance(layer, torch.nn.Linear):
                scale = layer.weight.abs().amax(dim=1, keepdim=True) / 15
                layer.weight.copy_((layer.weight / scale).round() * scale)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(MODELS / "smollm2-135m").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rounded(tmp_path_factory, fp32, rounded_model):
    folder = tmp_path_factory.mktemp("fp32-rounded")
    return scored(folder, rounded_model, dtype="float32", answers=fp32[0], top_k=(20, -1))


def reference(model, answers):
    """Log-probabilities over the whole vocabulary at each token of the answers, by transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    opened = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    logprobs = []
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        with torch.no_grad():
            logits = opened(torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1]
        logprobs.append(torch.log_softmax(logits.double(), dim=-1).numpy())
    return logprobs


@pytest.fixture(scope="module")
def by_transformers(fp32):
    return reference(MODELS / "smollm2-135m", fp32[0])


def test_log_probabilities_and_most_likely_tokens_are_those_of_transformers(fp32, by_transformers):
    answers, top, whole, *_ = fp32
    for answer, some, every, log_p in zip(answers, top, whole, by_transformers, strict=True):
        assert some.token_ids.tolist() == answer
        assert some.logprobs == pytest.approx(log_p[np.arange(len(answer)), answer], abs=1e-3)
        assert some.top_ids[:, 0].tolist() == log_p.argmax(axis=1).tolist()
        assert np.abs(every.top_logprobs - log_p[:, : every.top_logprobs.shape[1]]).max() < 1e-3
        assert np.abs(some.top_logprobs - np.sort(log_p, axis=1)[:, :-21:-1]).max() < 1e-3
        own = log_p[np.arange(len(answer)), answer]
        assert some.ranks.tolist() == (1 + (log_p > own[:, None]).sum(axis=1)).tolist()


def test_top1_agreement_and_exact_kl_are_what_transformers_finds(fp32, rounded, rounded_model, by_transformers):
    answers, tops, wholes, *_ = fp32
    of_candidate = reference(rounded_model, answers)
    agreed, tokens, kl = 0, 0, []
    for row, (log_p, log_q) in enumerate(zip(by_transformers, of_candidate, strict=True)):
        agree = log_p.argmax(axis=1) == log_q.argmax(axis=1)
        assert token_values(tops[row], rounded[1][row]).agree.tolist() == agree.tolist()
        independent = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
        assert exact_kl(wholes[row], rounded[2][row]) == pytest.approx(independent, abs=1e-4)
        agreed, tokens, kl = agreed + agree.sum(), tokens + len(agree), [*kl, *independent]
    assert 0 < agreed < tokens  # the candidate is another model, so the test can fail
    assert np.mean(kl) > 1e-3


def test_the_lower_bound_is_below_the_exact_kl_of_a_real_model(fp32, rounded):
    for own, whole, top, other in zip(fp32[1], fp32[2], rounded[1], rounded[2], strict=True):
        bound, _ = kl_lower_bound(own, top)
        assert (bound <= exact_kl(whole, other) + 1e-6).all()


def test_hidden_states_and_the_head_are_the_whole_vocabulary(fp32, rounded):
    """In single precision sums differ by their order, which moves a log-probability by some 1e-5."""
    for whole, other_whole, own, other in zip(fp32[2], rounded[2], fp32[-1], rounded[-1], strict=True):
        values = exact_values(own, other)  # which proves that they are the engine's
        assert values.kl == pytest.approx(exact_kl(whole, other_whole), abs=1e-4)
        assert values.acceptance == pytest.approx(exact_acceptance(whole, other_whole), abs=1e-4)
        lower, upper = acceptance(own, other)
        assert (lower <= values.acceptance + 1e-5).all()
        assert (values.acceptance <= upper + 1e-5).all()
        assert exact_values(own, own).kl.tolist() == [0.0] * len(own.token_ids)


def test_a_model_that_scores_its_own_tokens_twice_has_kl_0_in_fp32(fp32):
    _, top, _, again, _ = fp32
    for one, two in zip(top, again, strict=True):
        values = token_values(one, two)
        assert values.agree.all()
        assert values.kl_lower_bound.tolist() == values.drop.tolist() == [0.0] * len(one.token_ids)
        assert exact_kl(one, one).tolist() == [0.0] * len(one.token_ids)


def test_the_models_own_greedy_tokens_are_its_most_likely_ones(fp32):
    assert all((one.ranks == 1).all() for one in fp32[1])


def test_teacher_forcing_changes_nothing_that_is_loaded():
    """A limit on logprobs is raised when it is needed, never where the engine is opened: no digest knows of it."""
    from fidelity.engines.vllm_settings import settings

    config = load_run(ROOT / "examples" / "base.yaml")
    assert isinstance(config.engine, VllmEngine)
    assert "max_logprobs" not in settings(config, config.engine)["arguments"]
