"""The real vLLM with the real demo model: what the floor is made of (docs/decisions/002-control.md)."""

import importlib.util
import json

import pytest

from fidelity.config import Control, Sampling, load_run
from fidelity.pipeline import generate
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.conditions import check_conditions

MODEL = ROOT / "models" / "smollm2-135m"
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not MODEL.exists(), reason="no demo model: python examples/make_models.py"),
]


def run(folder, dtype, **keys):
    """32 starter prompts, 40 tokens each: long enough for near ties; in FP32 the engine is always full."""
    batching = "continuous" if dtype == "float32" else "{drained: 128}"
    text = (
        f"name: base\nmodel: {MODEL}\nprompts: {ROOT}/prompts/starter.jsonl\nsampling: {{max_tokens: 40}}\n"
        f"batching: {batching}\n"
        f"engine: {{kind: vllm, dtype: {dtype}, max_model_len: 1024, options: {{enforce_eager: true}}}}\n"
    )
    folder.mkdir()
    (folder / "base.yaml").write_text(text)
    config = load_run(folder / "base.yaml").model_copy(update={"control": Control(repeats=1), **keys})
    return generate(config, store=Store(folder / "store"), listener=Silent(), limit=32)


@pytest.fixture(scope="module")
def bf16(tmp_path_factory):
    return run(tmp_path_factory.mktemp("bf16") / "first", "bfloat16")


@pytest.mark.slow
def test_two_bf16_runs_under_different_seeds_differ(bf16):
    base, control = bf16
    # Whether a text differs depends on the processor; the last bits of the log-probabilities always do.
    assert [o.logprobs for o in base.outcomes()] != [o.logprobs for o in control.outcomes()]


@pytest.mark.slow
def test_the_same_bf16_run_twice_does_not_differ(bf16, tmp_path):
    base, _ = bf16
    (again,) = run(tmp_path / "again", "bfloat16", control="none")
    assert again.outcomes() == base.outcomes()


@pytest.mark.slow
def test_two_fp32_runs_under_different_seeds_do_not_differ(tmp_path):
    base, control = run(tmp_path / "fp32", "float32")
    assert [o.token_ids for o in base.outcomes()] == [o.token_ids for o in control.outcomes()]


def test_what_ran_is_recorded(tmp_path):
    """The one start of a real vLLM in `make test`."""
    base = short(tmp_path, "smollm2-135m", dtype="bfloat16")
    engine = base.manifest.engine
    assert (engine.kind, engine.mode, engine.dtype) == ("vllm", "eager", "bfloat16")
    assert engine.quantized_layers == 0
    assert engine.unquantized_layers > 0
    assert engine.chat_template
    check_conditions("vllm", engine, base.outcomes())
    assert base.manifest.checkpoint.format == "BF16"
    assert 130e6 < base.manifest.checkpoint.parameters < 140e6
    outcome = base.outcomes()[0]
    assert len(outcome.token_ids) == len(outcome.logprobs) > 0
    assert all(logprob <= 0 for logprob in outcome.logprobs)


@pytest.mark.slow
def test_timings_change_no_output_of_the_real_engine_either(tmp_path):
    keys = {"name": "short", "model": str(MODEL), "prompts": str(ROOT / "prompts" / "starter.jsonl"), "chunk": 4}
    keys |= {"engine": {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 512, "options": {"enforce_eager": True}}}
    keys |= {"sampling": {"max_tokens": 12}}
    plain, timed = tmp_path / "plain.yaml", tmp_path / "timed.yaml"
    plain.write_text(json.dumps(keys))
    asked = {"prompts": 2, "repeats": 2, "max_tokens": 4, "prefill": [64], "use_cases": ["summarisation"]}
    timed.write_text(json.dumps({**keys, "latency": asked, "price_per_hour": 2}))
    made = [generate(load_run(y), store=Store(tmp_path / y.stem), listener=Silent(), limit=8) for y in (plain, timed)]
    for one, other in zip(*made, strict=True):
        assert one.id == other.id
        assert one.outcomes() == other.outcomes()
    measured = made[1][0].measurement
    requests = measured.latency.requests
    assert {r.kind: (r.prompt_tokens, len(r.seconds)) for r in requests}["prefill 64"] == (64, 1)
    assert all(list(r.seconds) == sorted(r.seconds) for r in requests)
    assert set(measured.latency.failed.values()) == {"4096 tokens and an answer of 512: the context length is 512"}
    assert {"prefill", "decode"} <= set(measured.profile)
    # Keys and values of a token as config.json has them, and what vLLM reserves, in whole tokens.
    assert measured.memory.kv_cache % measured.size.kv_cache.bytes_per_token == 0
    assert measured.memory.pss > measured.memory.kv_cache


def short(folder, model, **engine):
    """Two prompts, four tokens: enough to see what runs."""
    keys = {"kind": "vllm", "max_model_len": 512, **engine}
    keys["options"] = {"enforce_eager": True, **keys.get("options", {})}
    run = {
        "name": "short",
        "model": str(MODEL.parent / model),
        "prompts": str(ROOT / "prompts" / "starter.jsonl"),
        "sampling": {"max_tokens": 4},
        "batching": {"drained": 128},  # which gives log-probabilities
        "engine": keys,
        "control": "none",
    }
    (folder / "short.yaml").write_text(json.dumps(run))
    (made,) = generate(load_run(folder / "short.yaml"), store=Store(folder / "store"), listener=Silent(), limit=2)
    return made


@pytest.mark.slow
def test_weights_of_4_bits_run_with_the_activations_that_the_kernel_takes(tmp_path):
    import torch

    engine = short(tmp_path, "smollm2-135m-w4a16").manifest.engine
    on_cpu = engine.version.endswith("+cpu")
    activations = 8 if on_cpu and torch.cpu._is_amx_tile_supported() else 16
    assert engine.ran_as == f"W4A{activations}-INT4 g64"
    assert engine.quantized_layers == 120  # of 210: vLLM fuses q, k and v, and gate and up
    assert engine.kernels
    assert bool(engine.notes) is (activations == 8)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
def test_metas_mobile_scheme(tmp_path):
    engine = short(tmp_path, "smollm2-135m", torchao={"scheme": "8da4w"}).manifest.engine
    assert engine.ran_as == "8da4w g32 (linear only)"
    plain = {group.kind for group in engine.layers if not group.quantized}
    assert plain == {"embedding", "lm_head"}


@pytest.mark.slow
def test_quantization_that_silently_does_nothing_to_a_dense_model(tmp_path):
    engine = short(tmp_path, "smollm2-135m", options={"quantization": "int8_per_channel_weight_only"}).manifest.engine
    assert engine.quantized_layers == 0
    assert engine.notes == ("quantization was not active: no layer is quantized, and all layers computed in BF16",)


@pytest.mark.slow
def test_sampled_answers_depend_on_their_seeds_and_their_batch_alone(tmp_path):
    """FP32, in which batches change nothing: the control shares the baseline's seeds and gives the same answers."""
    sampling = Sampling(temperature=0.8, max_tokens=16, repeats=2)
    base, control = run(tmp_path / "fp32", "float32", sampling=sampling)
    answers = {(o.prompt_id, o.repeat): o.token_ids for o in base.outcomes()}
    assert len(answers) == 64
    assert {(o.prompt_id, o.repeat): o.token_ids for o in control.outcomes()} == answers
    assert (
        sum(answers[p.id, 0] != answers[p.id, 1] for p in base.prompts()) > 28
    )  # of 32: a few have one obvious answer
    again, _ = run(tmp_path / "again", "float32", sampling=sampling)
    assert again.outcomes() == base.outcomes()
