"""`fidelity inspect`: a checkpoint from its files, and a run from its manifest."""

import json

import pytest

from fidelity.cli import main
from fidelity.config import load_run
from fidelity.engines import vllm_kernels
from fidelity.inspection import as_json, inspect
from fidelity.pipeline import generate
from fidelity.store.store import Store
from tests.test_checkpoints import checkpoint, compressed
from tests.test_pipeline import Silent


@pytest.fixture
def w4a16(tmp_path):
    tensors = {
        "model.layers.0.mlp.up_proj.weight_packed": ("I32", [16, 8]),
        "model.layers.0.mlp.up_proj.weight_scale": ("BF16", [16, 2]),
        "model.embed_tokens.weight": ("BF16", [10, 4]),
    }
    return checkpoint(tmp_path / "m", tensors, quantization_config=compressed(4, group_size=32), vocab_size=10)


@pytest.fixture
def asked(monkeypatch):
    """The questions to vLLM, each answered by its number."""
    questions = []

    def pick(layers):
        questions.extend(layers)
        return [{"kernel": f"Kernel{n}", "note": None} for n in range(len(layers))]

    monkeypatch.setattr("fidelity.inspection.pick_kernels", pick)
    return questions


def test_vllm_is_asked_for_the_quantized_linear_layers_as_they_were_before_packing(w4a16, asked):
    inspection = as_json(inspect(str(w4a16)))
    assert asked == [vllm_kernels.Linear("INT", 4, 16, 32, rows=16, columns=64)]
    assert inspection["kernels"] == [{"kind": "mlp", "scheme": "INT4 g32", "kernel": "Kernel0", "note": None}]
    assert inspection["checkpoint"]["format"] == "W4A16-INT4 g32"
    assert inspection["checkpoint"]["vocabulary"] == 10
    assert inspection["checkpoint"]["unquantized"] == ["model.embed_tokens"]
    assert {layer["kind"]: layer["parameters"] for layer in inspection["checkpoint"]["layers"]} == {
        "mlp": 1024,
        "embedding": 40,
    }


def test_json_and_table_without_vllm(w4a16, tmp_path, capsys):
    file = tmp_path / "out.json"
    assert main(["inspect", str(w4a16), "--no-kernels", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "W4A16-INT4 g32" in shown
    assert "left unquantized  model.embed_tokens" in shown
    assert json.loads(file.read_text())["kernels"] is None


def test_a_machine_without_vllm_has_no_kernels(w4a16, monkeypatch):
    monkeypatch.setattr(vllm_kernels, "find_spec", lambda name: None)
    assert inspect(str(w4a16)).picks is None


def test_a_vllm_that_can_not_be_asked_says_why(monkeypatch):
    monkeypatch.setattr(vllm_kernels, "find_spec", lambda name: object())
    monkeypatch.setattr(vllm_kernels.sys, "executable", "false")
    (answer,) = vllm_kernels.pick_kernels([vllm_kernels.Linear("INT", 4, 16, 32, 16, 64)])
    assert answer == {"kernel": None, "note": "vLLM could not be asked (nothing was said)"}


@pytest.mark.usefixtures("fake_vllm")
def test_a_run_tells_what_ran(workspace, capsys):
    workspace.prompts("one", "two")
    config = load_run(workspace.baseline(control="none", engine={"kind": "vllm", "options": {"kv_cache_dtype": "fp8"}}))
    (run,) = generate(config, store=Store(workspace.store), listener=Silent())
    inspection = inspect(str(run.path))
    assert inspection.ran.ran_as == "BF16"
    assert inspection.anatomy is not None
    assert main(["inspect", str(run.path)]) == 0
    assert "note  the KV cache was kept in fp8" in capsys.readouterr().out


def test_what_is_neither(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
