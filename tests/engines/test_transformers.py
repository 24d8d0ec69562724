"""transformers as an engine, with the real demo model, held against vLLM."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fidelity.config import Drained, Sampling, load_run
from fidelity.engines import identity, open_engine
from fidelity.engines.base import TokenScoringEngine
from fidelity.errors import ConfigError
from fidelity.metrics.exact_distributions import exact_values
from fidelity.metrics.logits import log_softmax, logits
from fidelity.pipeline import generate
from fidelity.prompts import load_prompts
from fidelity.records import Failure, Prompt
from fidelity.store.heads import add_head
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.conditions import check_conditions

MODELS = ROOT / "models"
STARTER = ROOT / "prompts" / "starter.jsonl"
real = [
    pytest.mark.vllm,
    pytest.mark.skipif(not (MODELS / "smollm2-135m").exists(), reason="no demo model: python examples/make_models.py"),
]
slow_and_real = [*real, pytest.mark.slow]


def config(folder, model="smollm2-135m", **engine):
    run = {
        "name": "hf",
        "model": str(MODELS / model),
        "engine": {"kind": "transformers", "max_model_len": 1024, **engine},
        "prompts": str(STARTER),
        "sampling": {"max_tokens": 32},
        "control": "none",
    }
    (folder / "hf.yaml").write_text(json.dumps(run))
    return load_run(folder / "hf.yaml")


@pytest.fixture(scope="module")
def fp32(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fp32")
    opening = open_engine(config(folder, dtype="float32"), log=folder / "engine.log", on_progress=lambda _: None)
    with opening as engine:
        yield engine


class TestFp32:
    pytestmark = real

    def test_records_its_conditions(self, fp32):
        asked = [Prompt("p0", "Hello."), Prompt("p1", "How are you?")]
        check_conditions("transformers", fp32.info, list(fp32.generate(asked, Sampling(max_tokens=2))))

    @pytest.mark.slow
    def test_agrees_with_vllm_token_for_token(self, fp32, tmp_path):
        vllm = config(tmp_path, kind="vllm", dtype="float32", options={"enforce_eager": True})
        vllm = vllm.model_copy(update={"batching": Drained(drained=128)})  # which gives log-probabilities
        (run,) = generate(vllm, store=Store(tmp_path / "store"), listener=Silent(), limit=12)
        own = list(fp32.generate(load_prompts(STARTER, limit=12), Sampling(max_tokens=32)))
        for mine, expected in zip(own, run.outcomes(), strict=True):
            assert (mine.token_ids, mine.text, mine.finish_reason) == (
                expected.token_ids,
                expected.text,
                expected.finish_reason,
            )
            assert mine.logprobs == pytest.approx(expected.logprobs, abs=1e-3)
        assert fp32.info.tokenizer == run.manifest.engine.tokenizer
        assert fp32.info.chat_template == run.manifest.engine.chat_template

    @pytest.mark.slow
    def test_company_in_the_batch_changes_nothing(self, fp32):
        prompts = load_prompts(STARTER, limit=5)
        together = list(fp32.generate(prompts, Sampling(max_tokens=12)))
        alone = [outcome for prompt in prompts for outcome in fp32.generate([prompt], Sampling(max_tokens=12))]
        assert [o.token_ids for o in together] == [o.token_ids for o in alone]

    @pytest.mark.slow
    def test_a_seed_decides_what_is_drawn(self, fp32):
        prompts = load_prompts(STARTER, limit=3)
        how = Sampling(max_tokens=12, temperature=1.0, top_p=0.9, seed=5)
        first = [o.token_ids for o in fp32.generate(prompts, how)]
        assert first == [o.token_ids for o in fp32.generate(prompts[::-1], how)][::-1]
        other = how.model_copy(update={"seed": 6})
        assert first != [o.token_ids for o in fp32.generate(prompts, other)]

    def test_teacher_forcing_agrees_with_generating(self, fp32):
        assert isinstance(fp32, TokenScoringEngine)
        prompts = load_prompts(STARTER, limit=3)
        generations = list(fp32.generate(prompts, Sampling(max_tokens=12)))
        for generation, scores in zip(
            generations, fp32.score_tokens(prompts, [g.token_ids for g in generations], 2), strict=True
        ):
            assert scores.ranks.tolist() == [1] * len(generation.token_ids)
            assert scores.logprobs == pytest.approx(generation.logprobs, abs=1e-3)
            assert np.array_equal(scores.top_ids[:, 0], scores.token_ids)
        (whole,) = fp32.score_tokens(prompts[:1], [[100, 200]], -1)
        assert np.exp(whole.top_logprobs.astype(np.float64)).sum(1) == pytest.approx([1, 1], abs=1e-4)

    def test_hidden_states_and_the_head_are_the_whole_vocabulary(self, fp32, tmp_path):
        prompts, ids = load_prompts(STARTER, limit=2), [[100, 200, 300], [400]]
        head = add_head(tmp_path, fp32.write_head)
        assert head.matrix.shape[1] == 49152
        wholes = list(fp32.score_tokens(prompts, ids, -1))
        for whole, one in zip(wholes, fp32.score_tokens(prompts, ids, 2, exact=True), strict=True):
            own = replace(one, hidden=replace(one.hidden, head=head))
            values = exact_values(own, own)  # which proves that they are the engine's
            assert values.kl.tolist() == [0.0] * len(one.token_ids)
            computed = log_softmax(logits(own.hidden, slice(None))).numpy()
            assert np.abs(computed - whole.top_logprobs).max() < 1e-3

    def test_a_prompt_beyond_the_context_is_a_failure_and_the_others_are_answered(self, fp32):
        prompts = [Prompt("long", "word " * 2000), Prompt("short", "Why?")]
        refused, answered = fp32.generate(prompts, Sampling(max_tokens=4))
        assert isinstance(refused, Failure)
        assert "the context length is 1024" in refused.reason
        assert len(answered.token_ids) == 4
        (again, scored) = fp32.score_tokens(prompts, [[1], [1]], 1)
        assert isinstance(again, Failure)
        assert scored.token_ids.tolist() == [1]

    @pytest.mark.slow
    def test_the_checkpoint_s_generation_config_changes_nothing_but_the_end(self, fp32, tmp_path):
        """It may hold a repetition penalty, which `generate` would take over; the end token is 30 here, a full stop."""
        model = tmp_path / "model"
        model.mkdir()
        for file in (MODELS / "smollm2-135m").iterdir():
            (model / file.name).symlink_to(file)
        (model / "generation_config.json").unlink()
        own = {
            "repetition_penalty": 5.0,
            "do_sample": True,
            "temperature": 9.0,
            "min_new_tokens": 40,
            "eos_token_id": 30,
        }
        (model / "generation_config.json").write_text(json.dumps(own))
        (prompt,) = load_prompts(STARTER, limit=1)
        (plain,) = fp32.generate([prompt], Sampling(max_tokens=32))
        with open_engine(
            config(tmp_path, str(model), dtype="float32"), log=tmp_path / "engine.log", on_progress=lambda _: None
        ) as engine:
            (ended,) = engine.generate([prompt], Sampling(max_tokens=32))
        until = plain.token_ids.index(30) + 1
        assert (ended.token_ids, ended.finish_reason) == (plain.token_ids[:until], "stop")

    def test_a_note_mentions_that_it_is_slower(self, fp32):
        assert any("slower" in note for note in fp32.info.notes)
        assert (fp32.info.ran_as, fp32.info.quantized_layers, fp32.info.unquantized_layers) == ("FP32", 0, 210)


def opened(folder, model="smollm2-135m", **engine):
    """What ran, its answers to two prompts, and their logprobs."""
    with open_engine(config(folder, model, **engine), log=folder / "engine.log", on_progress=lambda _: None) as hf:
        generations = list(hf.generate(load_prompts(STARTER, limit=2), Sampling(max_tokens=8)))
        return hf.info, [outcome.logprobs for outcome in generations]


class TestQuantized:
    pytestmark = slow_and_real

    @pytest.mark.parametrize(
        ("model", "ran_as"), [("smollm2-135m-w8a8-int8", "W8A8-INT8"), ("smollm2-135m-w4a16", "W4A16-INT4 g64")]
    )
    def test_a_checkpoint_of_compressed_tensors(self, tmp_path, model, ran_as):
        info, logprobs = opened(tmp_path, model)
        assert (info.ran_as, info.quantized_layers, info.unquantized_layers) == (ran_as, 210, 0)
        assert not any("not active" in note for note in info.notes)
        assert logprobs != opened(tmp_path)[1]

    def test_torchao_while_loading(self, tmp_path):
        info, _ = opened(tmp_path, torchao={"scheme": "8da4w"})
        assert (info.ran_as, info.quantized_layers) == ("8da4w g32 (linear only)", 210)
        assert info.layers[0].kind == "linear"


def test_options_at_the_wrong_place_are_refused(tmp_path):
    for option, place in {"torch_dtype": "engine.dtype", "device_map": "engine.device"}.items():
        with pytest.raises(ConfigError, match=f"write it as '{place}'"):
            identity(config(tmp_path, options={option: "x"}), remembered=tmp_path / "hashes.json")
    with pytest.raises(ConfigError, match=r"can't be combined with engine.torchao"):
        identity(
            config(tmp_path, torchao={"scheme": "int8wo"}, options={"quantization_config": {}}),
            remembered=tmp_path / "hashes.json",
        )
    (tmp_path / "bare.yaml").write_text("{name: a, engine: {kind: transformers}}")
    with pytest.raises(ConfigError, match="'model' is missing: the engine 'transformers' needs"):
        load_run(tmp_path / "bare.yaml")


def test_what_decides_an_output_is_in_the_identity_and_the_deadline_is_not(tmp_path):
    def known_by(**engine):
        return identity(config(tmp_path, **engine), remembered=tmp_path / "hashes.json")

    assert known_by() == known_by(deadline=7)
    assert len({json.dumps(known_by(**engine)) for engine in ({}, {"batch": 4}, {"dtype": "float16"})}) == 3
