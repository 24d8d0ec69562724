"""The child's `stream` always fills the engine; a fake vLLM counts its steps."""

from types import SimpleNamespace

import pytest

from fidelity.children import vllm as child
from fidelity.config import DEFAULT_BATCH, load_run
from fidelity.errors import ConfigError
from fidelity.runs.jobs import FEWEST, RAMP, Job
from fidelity.runs.measure import RunWatch
from fidelity.store.measurements import ChunkTime

SAMPLING = {"temperature": 0.0, "max_tokens": 4}


class Engine:
    """Each request needs as many steps as its prompt has tokens."""

    def __init__(self):
        self.running, self.levels, self.aborted = {}, [], []
        self.vllm_config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=4))

    def add_request(self, name, prompt, params):
        self.running[name] = len(prompt["prompt_token_ids"])

    def step(self):
        self.levels.append(len(self.running))
        self.running = {name: steps - 1 for name, steps in self.running.items()}
        ended = [name for name, steps in self.running.items() if steps == 0]
        for name in ended:
            del self.running[name]
        output = SimpleNamespace(text="x", token_ids=[1], logprobs=None, finish_reason="stop")
        return [SimpleNamespace(request_id=name, outputs=[output]) for name in ended]

    def abort_request(self, names):
        self.aborted = names


@pytest.fixture
def model(monkeypatch):
    made = object.__new__(child.VllmInProcess)
    made._llm = SimpleNamespace(llm_engine=Engine(), reset_prefix_cache=lambda: None)
    made._tokenizer, made._context, made._seats = None, 100, 4
    made._on_cpu, made._tool_calls = True, None
    made._phases, made.step_seconds = child.vllm_speed.Phases(), 0.0
    monkeypatch.setattr(
        child, "tokenized", lambda _, row, __: row["text"] if isinstance(row["text"], str) else [1] * row["text"]
    )
    monkeypatch.setattr(child, "_sampling_params", lambda sampling, logprobs: sampling)
    return made


def stream(model, lengths, *, at_once=None, share=1.0, ramp=()):
    rows = [{"id": f"p{n}", "text": length, "seed": 0} for n, length in enumerate(lengths)]
    return model.stream(rows, SAMPLING, at_once, share, list(ramp), 0, lambda *_: None)


def test_a_seat_is_taken_again_as_soon_as_it_is_free(model):
    # One long answer and seven short ones in four seats: in drained batches of four it would take 9 + 1 steps.
    records = list(stream(model, [9, 1, 1, 1, 1, 1, 1, 1]))
    assert [record["place"] for record in records] == [1, 2, 3, 4, 5, 6, 7, 0]
    assert model._llm.llm_engine.levels == [4, 4, 2, 1, 1, 1, 1, 1, 1]


def test_it_is_filled_in_steps(model):
    list(stream(model, [3] * 6, ramp=[0.25, 0.3, 0.9]))
    assert model._llm.llm_engine.levels[:4] == [1, 2, 4, 4]  # ceil(4 x share), then all seats


def test_no_more_than_asked_for_are_under_way(model):
    list(stream(model, [2] * 6, at_once=2))
    assert max(model._llm.llm_engine.levels) == 2


def test_a_run_uses_a_share_of_the_seats(model):
    list(stream(model, [2] * 6, share=0.7))
    assert max(model._llm.llm_engine.levels) == 3  # ceil(0.7 x 4)
    list(stream(model, [2] * 3, share=0.5))
    assert max(model._llm.llm_engine.levels[4:]) == 2  # of three prompts: ceil(0.5 x 3)


def test_a_gpu_takes_all_prompts_at_once_if_they_fit(model):
    model._on_cpu = False
    list(stream(model, [2] * 3, share=0.5))
    assert max(model._llm.llm_engine.levels) == 3
    list(stream(model, [2] * 6, share=0.7))
    assert max(model._llm.llm_engine.levels[2:]) == 3  # ceil(0.7 x 4): these don't fit


def test_a_prompt_that_cannot_be_asked_takes_no_seat(model):
    records = list(stream(model, [1, "the prompt is too long", 1]))
    assert {record["place"]: record.get("failure") for record in records} == {
        0: None,
        1: "the prompt is too long",
        2: None,
    }


def test_nothing_at_all(model):
    assert list(stream(model, [])) == []
    assert [record["failure"] for record in stream(model, ["no", "no"])] == ["no", "no"]


def test_what_nobody_waits_for_is_aborted(model):
    records = stream(model, [1, 9, 9])
    next(records)
    records.close()
    assert sorted(model._llm.llm_engine.aborted) == ["stream-1", "stream-2"]


class TestBatching:
    def load(self, workspace, **keys):
        workspace.prompts("one", "two")
        return load_run(workspace.baseline(**keys))

    def test_vllm_is_kept_full_unless_it_is_drained(self, workspace):
        assert self.load(workspace).drained is None
        assert self.load(workspace, batching="continuous").drained is None
        assert self.load(workspace, batching={"drained": 8}).drained == 8
        assert self.load(workspace, chunk=9).drained == 9
        assert self.load(workspace, engine={"kind": "transformers"}).drained == DEFAULT_BATCH

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"batching": {"drained": 8}, "chunk": 8}, "'batching' and 'chunk' are both set"),
            ({"batching": "continuous", "engine": {"kind": "transformers"}}, "'transformers' takes batches"),
            ({"batching": {"drained": 1}}, "greater than or equal to 2"),
            ({"batching": "full"}, "continuous"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, workspace, keys, message):
        with pytest.raises(ConfigError, match=message):
            self.load(workspace, **keys)

    def test_each_run_fills_the_engine_by_its_own_seed(self, workspace):
        config = self.load(workspace)
        one, two = (Job("run", config, (), None, 1, seed, "", {}).admission for seed in (0, 1))
        assert len(one.ramp) == RAMP
        assert list(one.ramp) == sorted(one.ramp)
        assert one.ramp != two.ramp
        assert FEWEST <= one.share <= 1
        assert one.share != two.share
        assert one == Job("run", config, (), None, 1, 0, "", {}).admission


def test_the_speed_of_an_uninterrupted_run_has_stretches():
    def done(prompts, tokens, seconds):
        return ChunkTime(prompts=prompts, tokens=tokens, seconds=seconds)

    watch = RunWatch(SimpleNamespace(step_seconds=0.0))
    reports = [done(n, 10 * n, float(n)) for n in range(1, 31)]
    watch.stream_finished(reports, done(31, 305, 31.0))
    assert len(watch._chunks) == 12
    assert sum(stretch.prompts for stretch in watch._chunks) == 31
    assert sum(stretch.tokens for stretch in watch._chunks) == 305
    assert sum(stretch.seconds for stretch in watch._chunks) == pytest.approx(31)
    short = RunWatch(SimpleNamespace(step_seconds=0.0))
    short.stream_finished([], done(2, 8, 0.5))
    assert short._chunks == [done(2, 8, 0.5)]
