"""Generating, resuming and comparing, with a fake vLLM that depends on the batch as the real one does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.config import load_run
from fidelity.errors import ConfigError, EngineError, StoreError
from fidelity.metrics.identical import Identical
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.records import Failure
from fidelity.runs.jobs import chunks
from fidelity.store.journal import Journal
from fidelity.store.store import Store
from tests.conftest import Silent
from tests.manifests import edited

METRICS = (Identical(),)


def run_all(workspace, path, listener=None, **keys):
    return generate(load_run(path), store=Store(workspace.store), listener=listener or Silent(), **keys)


def texts(run):
    return {outcome.prompt_id: getattr(outcome, "text", None) for outcome in run.outcomes()}


class TestChunks:
    @given(st.integers(1, 300), st.integers(2, 200), st.integers(0, 1 << 40))
    def test_every_prompt_is_in_one_chunk_and_no_chunk_is_too_large(self, count, largest, seed):
        plan = chunks(count, largest=largest, seed=seed)
        assert sorted(n for chunk in plan for n in chunk) == list(range(count))
        assert all(1 <= len(chunk) <= max(1, min(largest, count // 2)) for chunk in plan)

    def test_a_seed_gives_the_same_plan_for_ever(self):
        # Written down from a run: another plan would make every stored run's digest wrong.
        assert chunks(6, largest=4, seed=0) == [[4, 2], [1, 0], [5, 3]]

    def test_two_seeds_differ_in_order_and_in_sizes(self):
        one, two = (chunks(200, largest=64, seed=seed) for seed in (0, 1))
        assert one != two
        assert [len(c) for c in one] != [len(c) for c in two]


@pytest.mark.usefixtures("fake_vllm")
class TestGenerate:
    @pytest.fixture(autouse=True)
    def _prompts(self, workspace):
        workspace.prompts(*(f"question number {n}" for n in range(20)))

    def test_a_baseline_comes_with_a_control_in_the_same_engine_load(self, workspace):
        listener = Silent()
        base, control = run_all(workspace, workspace.baseline(), listener)
        assert (base.name, control.name) == ("base", "base.control1")
        assert sum("opening" in str(line) for line in listener.messages) == 1
        assert (base.manifest.seed, control.manifest.seed) == (0, 1)
        assert control.manifest.control_of == base.manifest.digest
        assert texts(base) != texts(control)  # the batch decides near ties: that is the floor

    def test_in_fp32_baseline_and_control_agree(self, workspace):
        base, control = run_all(workspace, workspace.baseline(engine={"kind": "vllm", "dtype": "float32"}))
        assert texts(base) == texts(control)

    def test_asked_again_nothing_is_generated(self, workspace):
        path = workspace.baseline()
        first = run_all(workspace, path)
        listener = Silent()
        assert [run.path for run in run_all(workspace, path, listener)] == [run.path for run in first]
        assert listener.messages == []

    @pytest.mark.parametrize(
        "change",
        [
            {"sampling": {"max_tokens": 9}},
            {"chunk": 7},
            {"batching": {"drained": 8}},
            {"engine": {"kind": "vllm", "options": {"enforce_eager": True}}},
        ],
    )
    def test_what_can_change_an_output_makes_another_run(self, workspace, change):
        first, *_ = run_all(workspace, workspace.baseline())
        second, *_ = run_all(workspace, workspace.baseline(**change))
        assert first.path != second.path

    def test_another_model_makes_another_run(self, workspace):
        first, *_ = run_all(workspace, workspace.baseline(control="none"))
        (workspace.folder / "model" / "chat_template.jinja").write_text("x")
        second, *_ = run_all(workspace, workspace.baseline(control="none"))
        assert first.path != second.path

    def test_limit_takes_the_first_prompts(self, workspace):
        base, *_ = run_all(workspace, workspace.baseline(), limit=5)
        assert [p.id for p in base.prompts()] == ["p0", "p1", "p2", "p3", "p4"]

    def test_a_prompt_that_fails_does_not_stop_the_others(self, workspace):
        workspace.prompts("fine", "LONG", "REFUSED", "fine too")
        base, *_ = run_all(workspace, workspace.baseline())
        failures = {o.prompt_id: o.reason for o in base.outcomes() if isinstance(o, Failure)}
        assert failures == {
            "p1": "the prompt has 10000 tokens, but the context length is 512, answer included",
            "p2": "the chat template refuses the prompt: ValueError: System role not supported",
        }

    def test_a_model_that_does_not_load_says_why(self, workspace):
        path = workspace.baseline(engine={"kind": "vllm", "options": {"quantization": "mxfp4"}})
        with pytest.raises(EngineError, match="no kernel for mxfp4") as caught:
            run_all(workspace, path)
        assert "RuntimeError: no kernel for mxfp4" in str(caught.value).partition("last lines")[2]

    def test_an_engine_that_dies_keeps_its_answers(self, workspace):
        workspace.prompts(*(["fine"] * 19), "SIGILL")
        with pytest.raises(EngineError, match=r"killed by SIGILL .* while generating; finished answers are saved"):
            run_all(workspace, workspace.baseline(control="none"))
        (journal,) = workspace.store.glob("runs/*/answers-*.jsonl")
        assert 0 < len(list(Journal(journal).outcomes())) < 19

    def test_an_engine_that_dies_keeps_its_chunks_and_names_the_signal(self, workspace):
        workspace.prompts(*(["fine"] * 19), "SIGILL")
        path = workspace.baseline(control="none", batching={"drained": 128})
        with pytest.raises(EngineError, match=r"killed by SIGILL .* while generating; finished answers are saved"):
            run_all(workspace, path)
        plan = chunks(20, largest=128, seed=0)
        dead = next(number for number, chunk in enumerate(plan) if 19 in chunk)
        assert len(list(workspace.store.glob("runs/*/chunk-*"))) == dead


def hear_ctrl_c():
    """What runs in the background of a shell script is started deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.usefixtures("fake_vllm")
class TestKilled:
    """`kill -9` in the middle of a run: whole chunks stay, and the end is that of an uninterrupted run."""

    @pytest.fixture
    def command(self, workspace):
        workspace.prompts(*(f"SLOW question {n}" for n in range(12)))
        path = workspace.baseline(chunk=4)
        return [sys.executable, "-m", "fidelity", "generate", str(path), "--store", str(workspace.store)]

    @pytest.fixture
    def start(self, command):
        """Starts the command; whatever is still running at the end of the test is ended."""
        started = []

        def start():
            process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=hear_ctrl_c)
            started.append(process)
            return process

        yield start
        for process in started:
            process.kill()
            process.communicate()

    @pytest.fixture
    def running(self, workspace, start):
        """The command with at least one chunk on disk, and its engine child."""
        process = start()
        deadline = time.monotonic() + 60
        while not list(workspace.store.glob("runs/*/chunk-*")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return process, int(children[0])

    @pytest.fixture
    def finish_and_compare(self, workspace, command, monkeypatch):
        def finish_and_compare():
            monkeypatch.setenv("FAKE_VLLM_SLOW_S", "0")  # nothing else has to be interrupted
            self.check_the_end(workspace, command)

        return finish_and_compare

    def check_the_end(self, workspace, command):
        chunks = {file: file.stat().st_mtime_ns for file in workspace.store.glob("runs/base-*/chunk-*")}
        assert chunks
        subprocess.run(command, check=True, capture_output=True)
        resumed = Store(workspace.store).runs()
        whole = Store(workspace.folder / "whole")
        uninterrupted = generate(load_run(workspace.folder / "base.yaml"), store=whole, listener=Silent())
        assert [run.outcomes() for run in resumed] == [run.outcomes() for run in uninterrupted]
        assert not list(workspace.store.glob("**/*.draft"))

    def test_the_command(self, running, finish_and_compare):
        process, child = running
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 10  # the child sees its stdin close, and ends itself
        while Path(f"/proc/{child}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finish_and_compare()

    def test_the_engine_child(self, running, finish_and_compare):
        process, child = running
        os.kill(child, signal.SIGKILL)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 2
        assert b"killed by SIGKILL" in error
        assert b"while generating" in error
        finish_and_compare()

    def test_ctrl_c(self, running):
        process, child = running
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"Traceback" not in error
        assert not Path(f"/proc/{child}").exists()

    def test_two_commands_on_one_store(self, workspace, start):
        both = [start(), start()]
        said = [process.communicate(timeout=120)[1].decode() for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert len(Store(workspace.store).runs()) == 2


@pytest.mark.usefixtures("fake_vllm")
class TestCompare:
    @pytest.fixture(autouse=True)
    def _prompts(self, workspace):
        workspace.prompts(*(f"question number {n}" for n in range(20)))

    def compare(self, workspace, *paths, metrics=METRICS, **keys):
        base, *candidates = [load_run(path) for path in paths]
        keys = {"store": Store(workspace.store), "listener": Silent(), **keys}
        return compare(ComparisonRequest(base, candidates, metrics), **keys)

    def test_a_candidate_goes_its_own_way_through_the_prompts(self, workspace):
        result = self.compare(workspace, workspace.baseline(), workspace.run("quant"))
        (quant,) = result.candidates
        assert quant.run.manifest.seed > 1
        assert quant.run.manifest.prompts_digest == result.baseline.manifest.prompts_digest
        assert len(quant.columns["identical"].column.values) == 20

    def test_a_candidate_that_dies_does_not_stop_the_others(self, workspace):
        broken = workspace.run("broken", engine={"kind": "vllm", "options": {"quantization": "mxfp4"}})
        result = self.compare(workspace, workspace.baseline(), broken, workspace.run("quant"))
        assert [scores.run.name for scores in result.candidates] == ["quant"]
        assert "no kernel for mxfp4" in result.not_compared["broken"]

    def test_a_finished_run_is_compared_without_an_engine(self, workspace, monkeypatch):
        first = self.compare(workspace, workspace.baseline(), workspace.run("quant"))
        monkeypatch.setattr("fidelity.runs.shared_engine.open_engine", None)
        stored = [
            workspace.run(f"stored-{run.name}", model=None, engine={"kind": "stored", "path": str(run.path)})
            for run in (first.baseline, first.candidates[0].run)
        ]
        again = self.compare(workspace, *stored, store=Store(workspace.folder / "elsewhere"))
        assert again.candidates[0].columns == first.candidates[0].columns
        assert [scores.run.name for scores in again.controls] == ["base.control1"]

    def test_a_candidates_own_control_comes_from_the_same_engine_load(self, workspace):
        listener = Silent()
        quant = workspace.run("quant", control={"repeats": 2})
        result = self.compare(workspace, workspace.baseline(), quant, listener=listener)
        assert sum("opening" in str(line) for line in listener.messages) == 2
        (scores,) = result.candidates
        assert [own.run.name for own in scores.own_controls] == ["quant.control1", "quant.control2"]
        manifests = [scores.run.manifest, *(own.run.manifest for own in scores.own_controls)]
        assert len({manifest.seed for manifest in manifests}) == 3
        assert {manifest.control_of for manifest in manifests[1:]} == {scores.run.manifest.digest}

    def test_a_stored_candidate_brings_its_own_control_if_asked(self, workspace):
        first = self.compare(workspace, workspace.baseline(), workspace.run("quant", control={"repeats": 1}))
        engine = {"kind": "stored", "path": str(first.candidates[0].run.path)}
        for control, owned in ((None, []), ({"repeats": 1}, ["quant.control1"])):
            stored = workspace.run("again", model=None, engine=engine, control=control)
            (scores,) = self.compare(workspace, workspace.baseline(), stored).candidates
            assert [own.run.name for own in scores.own_controls] == owned

    def test_two_runs_of_one_name(self, workspace):
        with pytest.raises(ConfigError, match="'base' is used in two files"):
            self.compare(workspace, workspace.baseline(), workspace.folder / "base.yaml")

    def test_a_stored_run_that_is_not_there(self, workspace):
        path = workspace.run("gone", model=None, engine={"kind": "stored", "path": "nowhere"})
        with pytest.raises(StoreError, match=r"manifest\.json is missing"):
            self.compare(workspace, path, workspace.run("quant"))

    def test_different_tokenizers_leave_token_metrics_unscored(self, workspace):
        from fidelity.metrics.prefix_agreement import PrefixAgreement

        result = self.compare(workspace, workspace.baseline(), workspace.run("quant"))
        manifest = result.candidates[0].run.path / "manifest.json"
        edited(manifest, lambda data: {**data, "engine": {**data["engine"], "tokenizer": "another"}})
        again = self.compare(
            workspace, workspace.baseline(), workspace.folder / "quant.yaml", metrics=[PrefixAgreement(), Identical()]
        )
        (quant,) = again.candidates
        assert set(quant.columns) == {"prefix_agreement_chars", "identical"}
        assert "different tokenizers" in quant.unscored["prefix_agreement"]


@pytest.mark.usefixtures("fake_vllm")
class TestWhatRan:
    @pytest.fixture
    def engine(self, workspace):
        """The engine of a finished run, as its manifest has it."""

        def engine(stored="BF16", **keys):
            workspace.prompts("one", "two")
            quantized = {"quant_method": "fp8"} if stored == "W8A8-FP8" else None
            workspace.file("model/config.json", json.dumps({"dtype": "bfloat16", "quantization_config": quantized}))
            path = workspace.baseline(control="none", engine={"kind": "vllm", **keys})
            (run,) = run_all(workspace, path)
            return run.manifest.engine

        return engine

    def test_a_plain_model_has_nothing_to_tell(self, engine):
        ran = engine()
        assert (ran.ran_as, ran.quantized_layers, ran.unquantized_layers) == ("BF16", 0, 30)
        assert list(ran.notes) == []

    def test_a_model_that_was_quantized_while_loading(self, engine):
        ran = engine(options={"quantization": "compressed-tensors"})
        assert (ran.ran_as, ran.quantized_layers, ran.unquantized_layers) == ("W8A8-INT8", 29, 1)
        assert ran.layers[0].kernel == "CPUInt8ScaledMMLinearKernel"
        assert list(ran.notes) == [
            "the checkpoint is BF16, and was quantized to W8A8-INT8 while loading (CPUInt8ScaledMMLinearKernel)"
        ]

    def test_a_checkpoint_that_ran_as_something_else(self, engine):
        ran = engine("W8A8-FP8", options={"quantization": "compressed-tensors"})
        assert list(ran.notes) == [
            "the checkpoint is W8A8-FP8, but its kernel (CPUInt8ScaledMMLinearKernel) ran it as W8A8-INT8"
        ]

    def test_quantization_that_silently_did_nothing(self, engine):
        ran = engine(options={"quantization": "int8_per_channel_weight_only"})
        assert list(ran.notes) == [
            "quantization was not active: no layer is quantized, and all layers computed in BF16"
        ]
        assert engine("W8A8-FP8").notes == ran.notes

    def test_what_the_user_should_know_beside_the_layers(self, engine):
        ran = engine(options={"kv_cache_dtype": "fp8", "trust_remote_code": True})
        assert ran.kv_cache == "fp8"
        assert list(ran.notes) == [
            "the KV cache is fp8",
            "the checkpoint's own code was allowed to run (trust_remote_code)",
        ]

    def test_a_candidate_is_generated_alone_with_the_prompts_of_its_baseline(self, workspace):
        workspace.prompts(*(f"question number {n}" for n in range(20)))
        base = load_run(workspace.baseline())
        (quant,) = generate(
            load_run(workspace.run("quant")), store=Store(workspace.store), listener=Silent(), baseline=base
        )
        result = compare(
            ComparisonRequest(base, [load_run(workspace.folder / "quant.yaml")], [Identical()]),
            store=Store(workspace.store),
            listener=Silent(),
        )
        assert result.candidates[0].run.path == quant.path
