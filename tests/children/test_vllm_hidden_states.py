"""Which rows of `compute_logits` belong to which answer, whatever the order and the blocks of vLLM's runner."""

from types import SimpleNamespace

import numpy as np
import pytest

from fidelity.children.vllm_hidden_states import StateRecorder, why_not, write_head

torch = pytest.importorskip("torch")
WIDTH, VOCABULARY, TOP_K = 8, 60, 5


class Model:
    def __init__(self, **processor):
        draw = torch.Generator().manual_seed(1)
        self.matrix = torch.randn(WIDTH, VOCABULARY, generator=draw).bfloat16()
        self.processor = SimpleNamespace(**processor) if processor else None

    def compute_logits(self, hidden_states):
        logits = hidden_states @ self.matrix
        if self.processor and self.processor.soft_cap:
            logits = torch.tanh(logits / self.processor.soft_cap) * self.processor.soft_cap
        return logits * self.processor.scale if self.processor else logits

    def modules(self):
        return iter([self.processor] if self.processor else [])

    def parameters(self):
        return iter([self.matrix])


def llm_of(model, **parallel):
    config = SimpleNamespace(get_hidden_size=lambda: WIDTH, dtype=torch.bfloat16)
    engine = SimpleNamespace(
        vllm_config=SimpleNamespace(parallel_config=SimpleNamespace(**parallel)),
        model_executor=object(),
        model_config=config,
    )
    return SimpleNamespace(apply_model=lambda function: [function(model)], llm_engine=engine)


def answer(seed, n):
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed)).bfloat16()


def returned(model, hidden):
    """What vLLM returns of these rows."""
    return (hidden @ model.matrix).float().log_softmax(-1).topk(TOP_K).values.numpy()


def values_of(record):
    from base64 import b64decode

    assert record["dtype"] == "bfloat16"
    return np.frombuffer(b64decode(record["values"]), np.uint16).reshape(-1, record["width"])


def same(record, hidden):
    return values_of(record).tolist() == hidden.view(torch.uint16).tolist()


@pytest.fixture
def model():
    return Model()


def test_a_call_for_each_request_between_calls_for_sampling(model):
    states, answers = StateRecorder(llm_of(model), TOP_K), [answer(seed, 9 + seed) for seed in range(3)]
    with states.recording():
        model.compute_logits(torch.stack([own[-1] for own in answers]))  # the rows from which tokens are sampled
        for own in answers:
            model.compute_logits(own)
        for own in answers:
            assert same(states.record(returned(model, own)), own)
            assert same(states.record(returned(model, own[4:])), own[4:])  # without the prompt's rows


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_calls_for_all_rows_of_a_step_in_blocks(model, size):
    states, answers = StateRecorder(llm_of(model), TOP_K), [answer(seed, 9 + seed) for seed in range(3)]
    with states.recording():
        for block in torch.cat(answers).split(size):
            model.compute_logits(block)
        for own in reversed(answers):
            assert same(states.record(returned(model, own)), own)


def test_an_answer_cut_by_others(model):
    states, one, two = StateRecorder(llm_of(model), TOP_K), answer(1, 12), answer(2, 12)
    with states.recording():
        for first in range(0, 12, 4):
            model.compute_logits(torch.cat([one[first : first + 4], two[first : first + 4]]))
        assert same(states.record(returned(model, one)), one)
        assert same(states.record(returned(model, two)), two)


def test_answers_with_the_same_beginning_and_the_same_answer_twice(model):
    states, one = StateRecorder(llm_of(model), TOP_K), answer(1, 12)
    two = torch.cat([one[:6], answer(2, 6)])
    with states.recording():
        for own in (one, two, one):
            model.compute_logits(own)
        assert same(states.record(returned(model, one)), one)
        assert same(states.record(returned(model, two)), two)


def test_a_row_that_was_not_recorded_is_refused(model):
    states, own = StateRecorder(llm_of(model), TOP_K), answer(1, 12)
    with states.recording():
        model.compute_logits(own[:8])
        assert "don't reproduce" in states.record(returned(model, own))["refused"]


def test_the_model_is_as_before(model):
    with StateRecorder(llm_of(model), TOP_K).recording():
        assert "compute_logits" in vars(model)
    assert "compute_logits" not in vars(model)
    states = StateRecorder(llm_of(model), TOP_K)
    with pytest.raises(KeyError), states.recording():
        raise KeyError("the engine failed")
    assert "compute_logits" not in vars(model)


def test_buffers_that_vllm_reuses_are_copied(model):
    states, buffer = StateRecorder(llm_of(model), TOP_K), answer(1, 5)
    expected, top = buffer.clone(), returned(model, buffer)
    with states.recording():
        model.compute_logits(buffer)
        buffer.zero_()
        assert same(states.record(top), expected)


@pytest.mark.parametrize("processor", [{}, {"soft_cap": 30.0, "scale": 1.0}, {"soft_cap": None, "scale": 0.5}])
def test_the_head_is_a_matrix_without_soft_cap_and_scale(tmp_path, processor):
    from safetensors.torch import load_file

    model = Model(**processor)
    record = write_head(llm_of(model), str(tmp_path / "head"))
    assert torch.equal(load_file(tmp_path / "head")["head"], model.matrix)
    assert record == {"dtype": "bfloat16", "soft_cap": processor.get("soft_cap"), "scale": processor.get("scale", 1.0)}
    if processor:
        assert vars(model.processor) == processor


def test_a_head_with_a_bias_is_refused(model, tmp_path):
    model.compute_logits = lambda hidden: hidden @ model.matrix + 1
    assert "adds a bias" in write_head(llm_of(model), str(tmp_path / "head"))["refused"]


def test_engines_that_are_refused(model):
    assert why_not(llm_of(model, world_size=1), 20) is None
    assert "spread over 2 processes" in why_not(llm_of(model, world_size=2), 20)
    assert "spread over 4 processes" in why_not(llm_of(model, world_size=2, data_parallel_size=2), 20)
    assert "top_k of at least 2" in why_not(llm_of(model, world_size=1), 1)
    elsewhere = llm_of(model, world_size=1)
    del elsewhere.llm_engine.model_executor
    assert "VLLM_ENABLE_V1_MULTIPROCESSING=0" in why_not(elsewhere, 20)
