"""Runs with vLLM's batch-invariant kernels, which prove that their answers don't depend on the batch."""

import json
import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from fidelity.config import load_run
from fidelity.engines import vllm
from fidelity.engines.platforms import why_not_invariant
from fidelity.engines.vllm_settings import settings
from fidelity.errors import ConfigError
from fidelity.gate import Gate
from fidelity.gate.comparability import differences
from fidelity.metrics.rouge import Rouge
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.runs.invariance import prove
from fidelity.runs.jobs import jobs_of
from fidelity.store.manifests import Invariance
from fidelity.store.store import Store
from tests.conftest import RECORDINGS, Silent

TEXTS = [f"question number {n}" for n in range(40)]


@pytest.fixture
def on_gpu(fake_vllm, monkeypatch, workspace):
    """A vLLM with batch-invariant kernels, and a store."""
    monkeypatch.setattr(vllm, "vllm_version", lambda: "0.33.0")
    workspace.prompts(*TEXTS)
    return Store(workspace.store)


def runs(workspace, store, **keys):
    config = load_run(workspace.baseline(batching="invariant", **{"control": None, **keys}))
    return generate(config, store=store, listener=Silent())


def compared(workspace, store, gate):
    base = load_run(workspace.baseline(batching="invariant", control=None))
    engine = {"kind": "vllm", "options": {"quantization": "compressed-tensors"}}
    other = load_run(workspace.run("quantized", engine=engine))
    request = ComparisonRequest(baseline=base, candidates=(other,), metrics=(Rouge(),), gate=gate)
    return compare(request, store=store, listener=Silent())


def test_a_proven_run_needs_no_control(workspace, on_gpu):
    (run,) = runs(workspace, on_gpu)
    assert run.manifest.invariance == Invariance(prompts=14, tokens=14 * 8, same_tokens=14, same_logprobs=14)
    assert run.manifest.batch_invariant
    assert sum(outcome.logprobs is not None for outcome in run.outcomes()) == 14  # of 40, every third: at full speed
    assert run.manifest.engine.environment["VLLM_BATCH_INVARIANT"] == "1"
    assert run.manifest.engine.environment["VLLM_USE_FLASHINFER_SAMPLER"] == "0"


def test_a_control_can_be_had_and_equals_the_baseline_in_every_token(workspace, on_gpu):
    base, control = runs(workspace, on_gpu, control={"repeats": 1})
    ids = [[outcome.token_ids for outcome in run.outcomes()] for run in (base, control)]
    assert ids[0] == ids[1]
    assert base.manifest.digest != control.manifest.digest


def test_where_the_proof_fails_the_run_counts_as_continuous_and_has_controls(workspace, on_gpu, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM_NOT_INVARIANT", "1")
    base, *controls = runs(workspace, on_gpu)
    assert len(controls) == 2
    assert not base.manifest.batch_invariant
    assert base.manifest.batching == "continuous"
    assert base.manifest.invariance.same_tokens < base.manifest.invariance.prompts == 14


def test_the_floor_is_zero_by_proof(workspace, on_gpu):
    result = compared(workspace, on_gpu, Gate(margins={"rougeL": 0.05}))
    (control,) = result.controls
    assert control.run.id == result.baseline.id
    rouge = control.columns["rougeL"].column.values
    assert set(rouge) == {1.0}


def test_a_candidate_without_the_proof_is_no_candidate_of_a_baseline_with_it(workspace, on_gpu, monkeypatch):
    (base,) = runs(workspace, on_gpu)
    unproven = base.manifest.replace(invariance=base.manifest.invariance.replace(same_logprobs=13))
    (difference,) = differences(base.manifest, unproven)
    assert difference.sentence == "batching is continuous (the baseline's: invariant)"
    assert difference.kinds == ("engine",)


def test_a_killed_run_is_resumed_and_proven(workspace, on_gpu):
    workspace.prompts(*TEXTS[:-1], "SIGKILL")
    with pytest.raises(Exception, match="killed"):
        runs(workspace, on_gpu)
    workspace.prompts(*TEXTS)
    (run,) = runs(workspace, on_gpu)
    assert run.manifest.batch_invariant


def test_an_answer_that_ends_earlier_alone_is_another_one(workspace, on_gpu):
    (run,) = runs(workspace, on_gpu)
    config = load_run(workspace.folder / "base.yaml")
    (job,) = jobs_of(
        config.model_copy(update={"control": "none"}), store=on_gpu, prompts=run.prompts(), as_baseline=True
    )
    outcomes = {one.prompt_id: one for one in run.outcomes()}

    def ending_earlier(prompts, sampling, repeats, *, by=1):
        one = outcomes[prompts[0].id]
        return [replace(one, token_ids=one.token_ids[:-by], logprobs=one.logprobs[:-by])]

    proof = prove(job, SimpleNamespace(generate=ending_earlier), run.outcomes())
    assert (proof.prompts, proof.same_tokens, proof.same_logprobs, proof.holds) == (14, 0, 0, False)
    nothing = SimpleNamespace(generate=partial(ending_earlier, by=8))
    assert not prove(job, nothing, run.outcomes()).holds


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("0.33.0", None),
        ("0.26.0", None),
        ("0.32.0+cpu", "for GPUs only"),
        ("0.10.2", "install 0.12 or later"),
    ],
)
def test_which_vllm_has_batch_invariant_kernels(version, why):
    reason = why_not_invariant(version)
    assert reason is None if why is None else why in reason


def test_a_cpu_refuses_before_anything_is_loaded(workspace, fake_vllm, monkeypatch):
    monkeypatch.setattr(vllm, "vllm_version", lambda: "0.32.0+cpu")
    workspace.prompts("one", "two")
    with pytest.raises(ConfigError, match="batching: invariant is not possible here: vLLM has batch-invariant kernels"):
        runs(workspace, Store(workspace.store))


@pytest.mark.parametrize("kind", ["transformers", "vllm-serve", "executorch"])
def test_only_vllm_in_a_child_process_has_them(workspace, kind):
    workspace.prompts("one", "two")
    engine = {"kind": kind, **({"path": "model.pte", "tokenizer": "t.json"} if kind == "executorch" else {})}
    with pytest.raises(ConfigError, match=r"batching: invariant needs the engine 'vllm', but this one is"):
        load_run(workspace.baseline(batching="invariant", engine=engine))


def test_latent_attention_gets_its_own_kernel(workspace, on_gpu):
    config = load_run(workspace.baseline(batching="invariant"))
    assert settings(config, config.engine)["arguments"]["attention_backend"] == "TRITON_ATTN"
    (workspace.folder / "model" / "config.json").write_text(
        json.dumps({"model_type": "deepseek_v3", "kv_lora_rank": 512})
    )
    assert settings(config, config.engine)["arguments"]["attention_backend"] == "TRITON_MLA"


class TestBothModes:
    @pytest.fixture
    def both(self, workspace, on_gpu, fidelity):
        base = workspace.baseline(control=None, metrics=["identical", "rouge"])
        engine = {"kind": "vllm", "options": {"quantization": "compressed-tensors"}}
        sources = [base, workspace.run("quantized", engine=engine)]
        return lambda *more: fidelity("compare", *map(str, sources), "--store", str(workspace.store), "--both", *more)

    def test_both_are_compared_and_their_difference_is_printed(self, both, workspace):
        code, out, _ = both("--html", "report.html")
        assert code == 0
        assert "Batch-invariant kernels: the floor is zero by proof." in out
        assert "base (floor by proof)" in out
        last = out[out.index("what users see, what the format changes") :]
        assert re.search(r"quantized +rougeL +[+-]0\.\d{3} +[+-]0\.\d{3} +[+-]0\.\d{3}", last)
        assert {file.name for file in workspace.folder.glob("*.html")} == {
            "report-continuous.html",
            "report-invariant.html",
        }

    def test_where_the_kernels_are_not_invariant_the_report_has_a_warning(self, both, monkeypatch):
        monkeypatch.setenv("FAKE_VLLM_NOT_INVARIANT", "1")
        _, out, _ = both()
        assert re.search(r"base: batch-invariant kernels were asked for, but .* of 14 answers are not bit-equal", out)

    @pytest.mark.parametrize("more", [["--json", "-"], ["--format", "json"], ["--set", "batching=continuous"]])
    def test_what_cannot_be_printed_twice_is_refused(self, both, more):
        code, _, err = both(*more)
        assert code == 2
        assert "--both" in err

    def test_recordings_have_one_way_of_batching(self, fidelity, workspace):
        files = [RECORDINGS / f"{name}.jsonl" for name in ("bf16", "w8a8-fp8")]
        code, _, err = fidelity("compare", *files, "--both", "--store", workspace.store)
        assert code == 2
        assert "--both: needs the engine 'vllm', which has both ways of batching; the baseline's is 'recorded'" in err
