"""What `fidelity compare` takes without a YAML file, and `fidelity demo`."""

import json

import pytest

from fidelity.config import RecordedEngine, VllmEngine
from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts, packaged
from fidelity.runs.sources import config_of, with_options


@pytest.fixture
def recorded(workspace):
    """A baseline, its control and a candidate as bare JSONL files; the candidate changes one answer of four."""
    rows = [{"id": f"p{n}", "prompt": "Count.", "text": f"one two {n}"} for n in range(4)]
    for name, changed in (("base", 0), ("again", 0), ("quant", 1)):
        lines = [json.dumps(row | ({"text": "three"} if n < changed else {})) for n, row in enumerate(rows)]
        workspace.file(f"{name}.jsonl", "\n".join(lines))
    return ("base.jsonl", "quant.jsonl")


def test_two_recorded_files_are_compared_without_yaml(fidelity, workspace, recorded):
    options = ("--control", "again.jsonl", "--metric", "identical", "--json", "out.json")
    code, out, error = fidelity("compare", *recorded, *options)
    assert code == 0, error
    report = json.loads((workspace.folder / "out.json").read_text())
    assert report["floor"]["columns"]["identical"]["mean"] == 1.0
    assert report["comparisons"][0]["columns"]["identical"]["mean"] == 0.75
    assert "quant: 1 of 4 are worded differently (control: 0)." in out


def test_without_a_control_there_is_no_floor(fidelity, recorded):
    code, out, error = fidelity("compare", *recorded, "--control", "none", "--metric", "identical")
    assert code == 0, error
    assert "No floor" in out


def test_a_name_that_is_nothing_is_an_error_that_lists_what_can_be_compared(fidelity, recorded):
    code, _, error = fidelity("compare", "base.jsonl", "missing")
    assert code == 2
    assert "missing: no such file or directory; name a run's YAML file, a model's directory or Hub id" in error


def test_a_model_directory_is_a_run_of_vllm(tmp_path):
    folder = tmp_path / "llama-int8"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    config = config_of(folder)
    assert isinstance(config.engine, VllmEngine)
    assert (config.name, config.model) == ("llama-int8", str(folder))
    assert config_of("org/model-7b").model == "org/model-7b"
    assert isinstance(config_of("answers.jsonl").engine, RecordedEngine)


def test_options_equal_the_keys_of_the_yaml(tmp_path):
    config = with_options(
        config_of("org/model-7b"),
        prompts="starter",
        max_tokens=64,
        settings=["engine.dtype=float16", "engine.options.block_size=16", "batching={drained: 32}"],
    )
    file = tmp_path / "base.yaml"
    file.write_text(
        f"name: model-7b\nmodel: org/model-7b\nprompts: {packaged('starter')}\nsampling: {{max_tokens: 64}}\n"
        "engine: {kind: vllm, dtype: float16, options: {block_size: 16}}\nbatching: {drained: 32}\n"
    )
    assert config == config_of(file)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("engine.dtype", "--set engine.dtype: expected KEY=VALUE"),
        ("=1", "--set =1: expected KEY=VALUE"),
        ("engine.dtpye=float16", "engine: unknown key 'dtpye'; did you mean 'dtype'?"),
        ("sampling.max_tokens=none", "sampling.max_tokens"),
        ("a=[", "its value is not YAML"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(setting, reason):
    with pytest.raises(ConfigError, match=r"^(--set|command line)") as raised:
        with_options(config_of("org/model-7b"), settings=[setting])
    assert reason in str(raised.value)


@pytest.mark.parametrize(("name", "least"), [("starter", 72), ("arena-hard", 500)])
def test_packaged_prompt_sets_have_names(name, least):
    assert len(load_prompts(packaged(name))) >= least


def test_the_demo_needs_nothing_and_leaves_nothing(fidelity, workspace):
    before = list(workspace.folder.iterdir())
    code, out, _ = fidelity("demo")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("w8a8-fp8  ")] == ["FAIL"]
    assert list(workspace.folder.iterdir()) == before
