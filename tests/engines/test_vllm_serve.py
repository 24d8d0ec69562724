"""A server of our own: started, used, and gone afterwards in every case."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fidelity.checkpoints import vocabulary_id
from fidelity.config import VllmServeEngine, load_run
from fidelity.engines.processes import members
from fidelity.engines.vllm_serve import command
from fidelity.errors import ConfigError, EngineError
from fidelity.pipeline import generate
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.conditions import CONDITIONS, OF_ANSWERS, check_conditions
from tests.test_pipeline import texts

MODEL = ROOT / "models" / "smollm2-135m"


def run(workspace, **engine):
    path = workspace.baseline(control="none", kl="none", engine={"kind": "vllm-serve", **engine})
    return generate(load_run(path), store=Store(workspace.store), listener=Silent())[0]


@pytest.mark.usefixtures("fake_vllm")
class TestLifetime:
    def test_it_is_started_with_the_settings_of_the_run_and_leaves_nothing(self, workspace, groups):
        workspace.prompts("one", "two")
        finished = run(workspace, options={"enforce_eager": True})
        flags = "--no-enable-prefix-caching --enforce-eager"
        assert texts(finished) == {"p0": f"one {flags}", "p1": f"two {flags}"}
        assert not list(members(groups[0]))
        engine = finished.manifest.engine
        assert (engine.kind, engine.mode) == ("vllm-serve", "eager")
        assert engine.version
        assert engine.device
        assert finished.manifest.checkpoint.format == "BF16"

    def test_one_that_cannot_start_gives_the_reason(self, workspace, groups):
        workspace.prompts("one")
        with pytest.raises(EngineError, match=r"(?s)vllm serve ended with exit code 1.*no kernel for mxfp4"):
            run(workspace, options={"quantization": "mxfp4"})
        assert not list(members(groups[0]))

    def test_one_that_dies_of_a_signal_while_it_starts(self, workspace, groups):
        workspace.prompts("one")
        with pytest.raises(EngineError, match=r"vllm serve was killed by SIGILL \(a kernel uses an instruction"):
            run(workspace, options={"quantization": "SIGILL"})
        assert not list(members(groups[0]))

    def test_one_that_hangs_while_it_starts_is_given_up(self, workspace, groups):
        workspace.prompts("one")
        with pytest.raises(EngineError, match=r"did nothing for \d+ s while starting.* raise engine.deadline"):
            run(workspace, options={"quantization": "hangs"}, deadline=2.5)
        assert not list(members(groups[0]))

    def test_one_that_dies_while_it_answers_leaves_what_it_had_answered(self, workspace, groups):
        workspace.prompts("one", "two", "three", "SIGSEGV")
        with pytest.raises(EngineError, match=r"vllm serve was killed by SIGSEGV .*finished answers are saved"):
            run(workspace, concurrency=1)
        assert not list(members(groups[0]))
        workspace.prompts("one", "two")
        assert run(workspace).manifest.counts.generations == 2

    def test_it_does_not_outlive_a_command_that_is_killed(self, workspace):
        workspace.prompts("SLOW")
        path = workspace.baseline(control="none", engine={"kind": "vllm-serve"})
        fidelity = [sys.executable, "-m", "fidelity", "generate", str(path), "--store", str(workspace.store)]
        killed = subprocess.Popen(fidelity, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            group = until(lambda: started_by(killed.pid))
            until(lambda: len(list(members(group))) >= 3)  # its keeper, the server, and the server's own child
        finally:
            killed.kill()
            killed.wait()
        until(lambda: not list(members(group)))


def until(ready):
    """What `found` gives, once it gives something."""
    last = time.monotonic() + 60
    while not (value := ready()):
        assert time.monotonic() < last
        time.sleep(0.05)
    return value


def started_by(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return next((int(child) for child in children), None)


class TestCommand:
    def test_options_become_flags(self):
        options = {"enforce_eager": True, "hf_overrides": {"a": 1}, "seed": None, "quantization": "fp8", "ids": [1, 2]}
        engine = VllmServeEngine(kind="vllm-serve", dtype="bfloat16", options=options | {"enable_prefix_caching": True})
        words = command(MODEL, "name", engine, 1234)
        assert words[1:6] == ["-P", "-m", "fidelity.children.vllm_cli", "serve", str(MODEL)]
        assert {"--dtype=bfloat16", "--port=1234", "--host=127.0.0.1", "--served-model-name=name"} <= set(words)
        assert {"--enforce-eager", "--enable-prefix-caching", "--quantization=fp8"} <= set(words)
        assert words[words.index("--hf-overrides") + 1] == '{"a": 1}'
        assert words[words.index("--ids") + 1 :][:2] == ["1", "2"]
        assert not any("seed" in word for word in words)

    @pytest.mark.parametrize("option", ["port", "api_key", "enforce_eeger"])
    def test_options_that_fidelity_sets_and_unknown_ones_are_refused(self, workspace, option):
        workspace.prompts("one")
        with pytest.raises(ConfigError, match=f"engine.options.{option}"):
            run(workspace, options={option: 1})

    def test_a_vocabulary_is_known_without_loading_it(self, tmp_path):
        assert vocabulary_id(tmp_path) is None
        written = {"model": {"vocab": [["a", -1.0], ["b", -2.0]]}, "added_tokens": [{"content": "<e>", "id": 2}]}
        (tmp_path / "tokenizer.json").write_text(json.dumps(written))
        unigram = vocabulary_id(tmp_path)
        (tmp_path / "tokenizer.json").write_text(
            json.dumps({"model": {"vocab": {"<e>": 2, "b": 1, "a": 0}}, "added_tokens": []})
        )
        assert vocabulary_id(tmp_path) == unigram


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(not MODEL.exists(), reason="no demo model: python examples/make_models.py")
def test_the_real_one(tmp_path, groups):
    """In FP32 the batch changes nothing: server and engine must agree token for token."""
    engine = "dtype: float32, max_model_len: 1024, options: {enforce_eager: true}, env: {VLLM_CPU_KVCACHE_SPACE: '2'}"
    runs = []
    for kind in ("vllm-serve", "vllm"):
        (tmp_path / f"{kind}.yaml").write_text(
            f"name: {kind}\nmodel: {MODEL}\nengine: {{kind: {kind}, {engine}}}\ncontrol: none\n"
            f"prompts: {ROOT}/prompts/starter.jsonl\nsampling: {{max_tokens: 12}}\n"
            + ("batching: {drained: 128}\n" if kind == "vllm" else "")  # which gives log-probabilities
        )
        config = load_run(tmp_path / f"{kind}.yaml")
        runs += generate(config, store=Store(tmp_path / "store"), listener=Silent(), limit=6)
    served, inside = runs
    assert [o.token_ids for o in served.outcomes()] == [o.token_ids for o in inside.outcomes()]
    assert texts(served) == texts(inside)
    for own, expected in zip(served.outcomes(), inside.outcomes(), strict=True):
        assert own.logprobs == pytest.approx(expected.logprobs, abs=1e-3)
    check_conditions("vllm-serve", served.manifest.engine, served.outcomes())
    alike = (*CONDITIONS.values(), "tokenizer", "tensor_parallel")
    for key in {*alike} - {*OF_ANSWERS, "kind", "bos_tokens", "quantized_layers"}:
        assert getattr(served.manifest.engine, key) == getattr(inside.manifest.engine, key), key
    assert not any(list(members(group)) for group in groups)
