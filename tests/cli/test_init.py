"""`fidelity init` writes the YAML files of the comparison that the command line would run without them."""

import json

import pytest

from fidelity.comparison.offered import columns_of
from fidelity.config import candidate_of
from fidelity.gate import load_gate, out_of_reach
from fidelity.metrics import default_metrics
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.runs.sources import config_of, with_options
from fidelity.store.store import Store

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1}
INT8 = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True},
            "input_activations": {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True},
        }
    },
}


@pytest.fixture
def models(workspace):
    """A model, its quantized copy, another model's copy, and an encoder."""
    configs = {
        "models/llama": LLAMA | {"torch_dtype": "bfloat16"},
        "models/llama-int8": LLAMA | {"quantization_config": INT8},
        "models/other-int8": LLAMA | {"hidden_size": 16, "quantization_config": INT8},
        "models/encoder": {"architectures": ["BertModel"], "torch_dtype": "float32"},
    }
    for name, config in configs.items():
        (workspace.folder / name).mkdir(parents=True)
        workspace.file(f"{name}/config.json", json.dumps(config))
    return workspace.folder


@pytest.fixture
def outputs(workspace):
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Count to {n}.", "text": f"one two {n}"}) for n in range(60)]
    for name in ("bf16", "int8"):
        workspace.file(f"{name}.jsonl", "\n".join(rows))
    return workspace.folder


def jobs(baseline, candidate, store):
    """The digests of the runs of a comparison."""
    prompts = prompts_of(baseline, None)
    other = candidate_of(baseline, candidate)
    planned = [
        *jobs_of(baseline, store=store, prompts=prompts, as_baseline=True),
        *jobs_of(other, store=store, prompts=prompts, as_baseline=False),
    ]
    return [(job.name, job.digest) for job in planned]


def test_the_files_are_the_run_of_the_flags(fidelity, models, workspace, monkeypatch):
    code, out, error = fidelity("init")
    assert (code, error) == (0, "")
    assert out == (
        "written: base.yaml, quant.yaml, gate.yaml\nnext: fidelity compare base.yaml quant.yaml --gate gate.yaml\n"
    )
    flags = with_options(config_of("models/llama"), prompts="starter"), config_of("models/llama-int8")
    files = config_of("base.yaml"), config_of("quant.yaml")
    assert files == flags
    monkeypatch.setattr("fidelity.runs.jobs.identity", lambda config, remembered: {"model": config.model})
    store = Store(workspace.store)
    assert jobs(*files, store) == jobs(*flags, store)
    written = (models / "base.yaml").read_text()
    assert "model: models/llama\n" in written
    assert "prompts: starter   # 72 prompts\n" in written
    assert "no GPU on this machine" in written or "this machine has" in written


def test_what_is_called_the_default_changes_no_run(fidelity, models, workspace, monkeypatch):
    fidelity("init")
    monkeypatch.setattr("fidelity.runs.jobs.identity", lambda config, remembered: {"model": config.model})
    store, file = Store(workspace.store), models / "base.yaml"
    before = jobs(config_of("base.yaml"), config_of("quant.yaml"), store)
    lines = file.read_text().splitlines()
    stated = [line.removeprefix("# ") if "# the default" in line else line for line in lines]
    assert len(set(stated) - set(lines)) == 2
    file.write_text("\n".join(stated))
    assert jobs(config_of("base.yaml"), config_of("quant.yaml"), store) == before


def test_files_of_outputs(fidelity, outputs, workspace):
    code, out, error = fidelity("init")
    assert (code, error) == (0, "")
    flags = config_of("bf16.jsonl"), config_of("int8.jsonl")
    files = config_of("base.yaml"), config_of("quant.yaml")
    assert files == flags
    store = Store(workspace.store)
    assert jobs(*files, store) == jobs(*flags, store)
    options = ("--metric", "conflicts", "--metric", "breaks")
    code, out, error = fidelity("compare", "base.yaml", "quant.yaml", "--gate", "gate.yaml", *options)
    assert "INCONCLUSIVE" in out, error  # without a control there is no floor
    assert code == 2


def test_the_gate_can_be_passed_with_so_many_prompts(fidelity, models):
    fidelity("init")
    gate = load_gate(models / "gate.yaml")
    columns = columns_of(default_metrics())
    assert {limit.column for limit in gate.limits} <= columns.keys()
    assert out_of_reach(gate, columns, prompts=72) == []
    assert len(out_of_reach(gate, columns, prompts=50)) == len(gate.limits)


def test_prompts_of_the_folder_are_used(fidelity, models, workspace):
    workspace.file("mine.jsonl", "\n".join(json.dumps({"question": f"What is {n}?"}) for n in range(200)))
    assert fidelity("init")[0] == 0
    assert "prompts: mine.jsonl   # 200 prompts\n" in (models / "base.yaml").read_text()
    assert "conflicts: {number: 0.02, negation: 0.02, any: 0.05}" in (models / "gate.yaml").read_text()


def test_models_can_be_named(fidelity, workspace):
    (workspace.folder / "here").mkdir()
    options = ("--model", "org/llama", "--quantized", "org/llama-fp8", "--quantized", "org/llama-int4")
    code, out, _ = fidelity("init", "here", *options)
    assert code == 0
    assert out.endswith(
        "next: fidelity compare here/base.yaml here/quant.yaml here/quant2.yaml --gate here/gate.yaml\n"
    )
    assert config_of(workspace.folder / "here/quant2.yaml") == config_of("org/llama-int4")


def test_nothing_is_replaced_without_force(fidelity, models, workspace):
    workspace.file("quant.yaml", "mine")
    code, _, error = fidelity("init")
    assert (code, error) == (2, "fidelity: quant.yaml: already exists; move it away, or replace it with --force\n")
    assert not (models / "base.yaml").exists()
    assert (models / "quant.yaml").read_text() == "mine"
    assert fidelity("init", "--force")[0] == 0
    assert (models / "quant.yaml").read_text() != "mine"


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), ".: can't tell a baseline and its quantized copies (no models and no outputs); name them: fidelity init"),
        (
            ("--model", "m"),
            "--model and --quantized belong together: fidelity init --model MODEL",
        ),
        (("none",), "none: no such directory; create it, or name another"),
    ],
)
def test_what_is_wrong(fidelity, arguments, message):
    code, _, error = fidelity("init", *arguments)
    assert code == 2
    assert error.startswith(f"fidelity: {message}")
