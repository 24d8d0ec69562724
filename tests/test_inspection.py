"""`fidelity inspect`: a checkpoint from its files, and a run from its manifest."""

import json
from dataclasses import replace

import pytest

from fidelity.cli import main
from fidelity.config import load_run
from fidelity.engines import vllm_kernels
from fidelity.inspection import as_json, inspect, requests_that_fit
from fidelity.pipeline import generate
from fidelity.store.store import Store
from tests.checkpoints.known_layouts import LAYOUTS, M
from tests.checkpoints.layouts import Model, build, without
from tests.checkpoints.test_checkpoints import checkpoint, compressed
from tests.conftest import Silent


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


def test_a_vllm_that_can_not_be_asked_gives_the_reason(monkeypatch):
    monkeypatch.setattr(vllm_kernels, "find_spec", lambda name: object())
    monkeypatch.setattr(vllm_kernels.sys, "executable", "false")
    (answer,) = vllm_kernels.pick_kernels([vllm_kernels.Linear("INT", 4, 16, 32, 16, 64)])
    assert answer == {"kernel": None, "note": "vLLM could not be asked (no output)"}


@pytest.mark.usefixtures("fake_vllm")
def test_a_run_shows_what_ran(workspace, capsys):
    workspace.prompts("one", "two")
    config = load_run(workspace.baseline(control="none", engine={"kind": "vllm", "options": {"kv_cache_dtype": "fp8"}}))
    (run,) = generate(config, store=Store(workspace.store), listener=Silent())
    inspection = inspect(str(run.path))
    assert inspection.ran.ran_as == "BF16"
    assert inspection.anatomy is not None
    assert main(["inspect", str(run.path)]) == 0
    assert "note  the KV cache is fp8" in capsys.readouterr().out


def test_what_is_neither(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err


class TestContradictions:
    def test_what_a_run_would_be_refused_for_is_named_with_exit_code_2(self, tmp_path, capsys):
        folder = without(M, LAYOUTS["compressed-tensors W4A16"]).write(tmp_path / "m")
        assert main(["inspect", str(folder), "--no-kernels", "--json", str(tmp_path / "out.json")]) == 2
        assert "contradiction: " in (shown := " ".join(capsys.readouterr().out.split()))
        assert "it is the unquantized model with another config" in shown
        assert "none of its tensors is" in json.loads((tmp_path / "out.json").read_text())["fault"]

    def test_a_layout_that_is_not_known_is_none(self, tmp_path, capsys):
        folder = replace(LAYOUTS["awq"], quantization={"quant_method": "hqq"}).write(tmp_path / "m")
        assert main(["inspect", str(folder), "--no-kernels"]) == 0
        assert "layout not known (hqq)" in capsys.readouterr().out


class TestTwoCheckpoints:
    @pytest.fixture
    def folders(self, tmp_path):
        """The same model in BF16 and W4A16, with a tokenizer each."""
        for name, layout in (("base", LAYOUTS["plain"]), ("quant", LAYOUTS["compressed-tensors W4A16"])):
            folder = layout.write(tmp_path / name)
            write_tokenizer(folder)
        return tmp_path / "base", tmp_path / "quant"

    def differing(self, folders, tmp_path, capsys):
        file = tmp_path / "out.json"
        assert main(["inspect", *map(str, folders), "--json", str(file)]) == 0
        differences = json.loads(file.read_text())["differences"]
        return {
            one["what"]: (one["baseline"], one["other"], one["inconclusive"]) for one in differences
        }, capsys.readouterr().out

    def test_a_copy_that_is_only_quantized(self, folders, tmp_path, capsys):
        differences, shown = self.differing(folders, tmp_path, capsys)
        names = "mlp.down_proj, mlp.gate_proj, mlp.up_proj, self_attn.k_proj, self_attn.o_proj, self_attn.q_proj"
        assert differences == {f"layers: {names}, self_attn.v_proj": ("BF16", "W4A16-INT4 g64", False)}
        assert "only the format of the weights differs" in shown

    def test_everything_else_that_can_differ_is_named_and_makes_a_fail_inconclusive(self, folders, tmp_path, capsys):
        base, quant = folders
        write_tokenizer(
            quant, vocabulary={"a": 0, "b": 2, "c": 1, "<new>": 3}, end="<new>", template="{{ 'Be brief.' }}"
        )
        (base / "generation_config.json").write_text('{"eos_token_id": 0, "temperature": 0.6}')
        (quant / "generation_config.json").write_text('{"eos_token_id": [0, 3], "top_k": 20}')
        config = json.loads((quant / "config.json").read_text())
        changed = {"torch_dtype": "float16", "rope_theta": 1e6, "architectures": ["MistralForCausalLM"]}
        (quant / "config.json").write_text(json.dumps({**config, **changed, "transformers_version": "9"}))
        differences, shown = self.differing(folders, tmp_path, capsys)
        assert differences["tokens of its own"] == ("none", "<new>", True)
        assert differences["ids of 2 tokens"] == ("'b' 1, 'c' 2", "'b' 2, 'c' 1", True)
        assert differences["end tokens"] == ("0", "0, 3", True)
        assert differences["chat template, line 1"] == ("{{ '' }}", "{{ 'Be brief.' }}", True)
        assert differences["generation config: temperature"] == ("0.6", "none", True)
        assert differences["generation config: top_k"] == ("none", "20", True)
        assert differences["compute type"] == ("bfloat16", "float16", True)
        assert differences["config: rope_theta"] == ("none", "1000000.0", True)
        assert differences["architecture"] == ("LlamaForCausalLM", "MistralForCausalLM", True)
        assert not any("transformers_version" in what for what in differences)
        assert "9 of these can't be separated from drift" in " ".join(shown.split())

    def test_a_copy_that_is_the_same(self, folders, tmp_path, capsys):
        differences, _ = self.differing((folders[0], folders[0]), tmp_path, capsys)
        assert differences == {
            "layers": ("these", "the types and shapes are equal: no layer is quantized differently", False)
        }

    def test_layers_that_one_of_them_lacks(self, folders, tmp_path, capsys):
        base, _ = folders
        deeper = build(Model(experts=2), None, {}, "").write(tmp_path / "experts")
        write_tokenizer(deeper)
        differences, _ = self.differing((base, deeper), tmp_path, capsys)
        assert ("none", "BF16", True) in differences.values()


def write_tokenizer(folder, vocabulary=None, end="a", template="{{ '' }}"):
    vocabulary = vocabulary or {"a": 0, "b": 1, "c": 2}
    written = {"model": {"vocab": vocabulary, "merges": []}, "added_tokens": [{"content": end, "id": vocabulary[end]}]}
    (folder / "tokenizer.json").write_text(json.dumps(written))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": end}))
    (folder / "chat_template.jinja").write_text(template)


def test_the_requests_that_fit_by_hand():
    # 80 GB less 16 GB of weights are 64 GB; a request of rag has 1,152 tokens of 131,072 bytes: 423.9.
    fitting = requests_that_fit(memory=80 * 10**9, weights=16 * 10**9, bytes_per_token=131_072)
    assert fitting["rag"] == 423
    assert requests_that_fit(memory=10**9, weights=2 * 10**9, bytes_per_token=1)["rag"] == 0
