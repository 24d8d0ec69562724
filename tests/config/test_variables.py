"""Environment variables in YAML."""

import pytest
import yaml

from fidelity.config import load_run
from fidelity.errors import ConfigError
from fidelity.gate import load_gate
from tests.reliability.test_secrets import files_with

HEAD = "name: run\nengine: {kind: vllm}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("SIZE", "7b")
    monkeypatch.setenv("TOKENS", "64")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("INJECTED", "x, seed: 1}\nname: other")

    def run(text, head=HEAD):
        (tmp_path / "run.yaml").write_text(head + text)
        return load_run(tmp_path / "run.yaml")

    return run


def test_values_are_replaced_and_typed_as_if_they_were_written_there(run):
    config = run("model: org/llama-${SIZE}\nsampling:\n  max_tokens: ${TOKENS}\n  stop: ['${TOKENS}', '$${SIZE}']\n")
    assert config.model == "org/llama-7b"
    assert config.sampling.max_tokens == 64
    assert config.sampling.stop == ("64", "${SIZE}")  # in quotes a text; $${ is a literal ${


@pytest.mark.parametrize(("value", "model"), [("${NOT_SET:-org/x}", "org/x"), ("${EMPTY:-org/x}", "org/x")])
def test_a_default(run, value, model):
    assert run(f"model: {value}\n").model == model


def test_a_missing_one_is_named_with_file_line_and_key(run, tmp_path):
    with pytest.raises(
        ConfigError, match=r"run.yaml, line 4: sampling.max_tokens: the environment variable NOT_SET is not set"
    ):
        run("model: org/x\nsampling: {max_tokens: '${NOT_SET}'}\n")


def test_a_value_adds_no_key(run):
    assert run("model: org/x\nlabel: ${INJECTED}\n").label == "x, seed: 1}\nname: other"
    assert run("model: org/x\nlabel: ${INJECTED}\n").name == "run"


def test_keys_and_aliases(run):
    config = run("model: org/x\nsampling: &s {stop: ['${SIZE}']}\n")
    assert config.sampling.stop == ("7b",)
    with pytest.raises(ConfigError, match="unknown key"):
        run("model: org/x\n'${SIZE}': 1\n")


def test_a_gate_has_them_too(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMIT", "0.02")
    (tmp_path / "gate.yaml").write_text("conflicts:\n  any: ${LIMIT}\n")
    assert load_gate(tmp_path / "gate.yaml").conflicts == {"any": 0.02}


SECRET = "s3cret-value-of-42-characters"


@pytest.mark.parametrize("key", ["model: 'org/${HF_TOKEN}'", "label: '${HF_TOKEN}'", "revision: '${API_KEY:-x}'"])
def test_a_secret_where_the_store_would_keep_it_is_refused(run, monkeypatch, key):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with pytest.raises(ConfigError, match="holds a secret, and this value is written to the store") as raised:
        run(f"{key}\n" if key.startswith("model") else f"model: org/x\n{key}\n")
    assert SECRET not in str(raised.value)


def test_a_secret_of_another_name_is_recognized_by_its_form(run, monkeypatch):
    monkeypatch.setenv("HARMLESS", "hf_" + "a1" * 16)
    with pytest.raises(ConfigError, match="HARMLESS holds a secret"):
        run("model: org/x\nlabel: ${HARMLESS}\n")


@pytest.mark.usefixtures("fake_vllm")
def test_a_secret_for_the_engine_reaches_no_file(workspace, fidelity, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    workspace.prompts("one")
    data = {"name": "base", "model": "model", "engine": {"kind": "vllm", "env": {"HF_TOKEN": "${HF_TOKEN}"}}}
    data |= {"prompts": "prompts.jsonl", "control": "none", "kl": "none"}
    code, out, error = fidelity("generate", workspace.file("base.yaml", yaml.safe_dump(data)), "-v")
    assert code == 0, error
    assert SECRET not in out + error
    assert files_with(workspace.folder, SECRET) == []
    assert list(workspace.folder.glob("fidelity-store/runs/*/manifest.json"))
