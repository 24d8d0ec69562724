"""What a user gets for a mistake: one or two lines with the file, the key and the repair, exit code 2, no traceback."""

import json

import pytest

RUN = "name: b\nmodel: m\nengine: {kind: vllm}\nprompts: starter\n"
RECORDED = "name: base\nengine: {kind: recorded, path: base.jsonl}\ncontrol: {path: again.jsonl}\n"
COMPARE = ("compare", "x.yaml", "quant.yaml", "--metric", "identical")
GATED = ("compare", "base.yaml", "quant.yaml", "--metric", "identical", "--gate", "x.yaml")


@pytest.fixture
def folder(workspace):
    """A baseline, its control and a candidate as recorded runs, and a folder that looks like a model."""
    for name in ("base", "again", "quant"):
        rows = [json.dumps({"id": f"p{n}", "prompt": "Count.", "text": f"one two {n}"}) for n in range(4)]
        workspace.file(f"{name}.jsonl", "\n".join(rows))
    workspace.file("base.yaml", RECORDED)
    workspace.file("quant.yaml", "name: quant\nengine: {kind: recorded, path: quant.jsonl}\n")
    (workspace.folder / "m").mkdir()
    workspace.file("m/config.json", '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    return workspace.folder


IN_THE_RUN = {
    RUN.replace("{kind: vllm}", "vllm"): 'engine: expected a mapping, got "vllm"; write engine: {kind: vllm}',
    RUN.replace("name: b\n", ""): "'name' is missing; add name: llama-8b-w4a16",
    RUN.replace("engine: {kind: vllm}\n", ""): "'engine' is missing; add engine: {kind: vllm}",
    RUN.replace("model: m\n", ""): "'model' is missing: the engine 'vllm' needs a directory or a Hub id",
    RUN.replace("kind: vllm", "dtype: float16"): "engine: 'kind' is missing; write {kind: ..., dtype: float16}",
    RUN.replace("kind: vllm", "kind: vlm"): "engine: unknown kind 'vlm'; did you mean 'vllm'?",
    RECORDED.replace(", path: base.jsonl", ""): "'engine.path' is missing; add path: ...",
    RUN.replace("name: b", "name: org/b"): (
        "name: 'org/b' is invalid; use letters, digits and . _ + -, and begin with a letter or digit; such as name: b"
    ),
    RUN.replace("name: b", "name: 8"): "name: expected a text, got 8; put it in quotes: name: '8'",
    RUN + "control: false": (
        "control: expected a mapping or none, got false; write control: none, or control: {repeats: 1}"
    ),
    RUN + "control: 2": "control: expected a mapping or none, got 2; write control: {repeats: 2}",
    RUN + "control: again.jsonl": (
        'control: expected a mapping or none, got "again.jsonl"; write control: {path: again.jsonl}'
    ),
    RUN + "control: {repeat: 2}": "control: unknown key 'repeat'; did you mean 'repeats'?",
    RUN + "kl: off": "kl: expected a mapping or none, got false; write kl: none, or kl: {top_k: 20}",
    RUN + "metrics: rouge": 'metrics: expected a list, got "rouge"; write metrics: [rouge]',
    RUN + "metrics: [{rouge: {stemmer: true}}]": ("metrics.0: 'kind' is missing; write {kind: rouge, stemmer: true}"),
    RUN.replace("starter", "[Hi]"): (
        "prompts: expected the name of a prompt set or its path; write the prompts into a file, one per line "
        "(prompts.txt)"
    ),
    RUN.replace("kind: vllm", "kind: vllm, tensor_parallel_size: 2"): (
        "engine: unknown key 'tensor_parallel_size'; put it under options: "
        "engine: {kind: vllm, options: {tensor_parallel_size: 2}}"
    ),
    RUN + "tensor_parallel_size: 2": (
        "unknown key 'tensor_parallel_size'; put it under options: "
        "engine: {kind: vllm, options: {tensor_parallel_size: 2}}"
    ),
    RUN.replace("kind: vllm", "kind: vllm, quantization: fp8"): (
        "engine: unknown key 'quantization'; put it under options: engine: {kind: vllm, options: {quantization: fp8}}"
    ),
    RUN + "max_model_len: 2048": (
        "unknown key 'max_model_len'; put it under engine: engine: {kind: vllm, max_model_len: 2048}"
    ),
    RUN + "temperature: 0.5": "unknown key 'temperature'; put it under sampling: sampling: {temperature: 0.5}",
    RUN.replace("kind: vllm", "kind: vllm, dtype: bf16"): "engine.dtype: unknown type 'bf16'; write bfloat16",
    RUN.replace("kind: vllm", "kind: transformers, dtype: fp16"): "engine.dtype: unknown type 'fp16'; write float16",
    RUN.replace("kind: vllm", "kind: vllm, dtype: fp8"): (
        "engine.dtype: 'fp8' is no compute type; to quantize while loading: options: {quantization: fp8}"
    ),
    RUN.replace("kind: vllm", "kind: vllm, dtype: bfloat-16"): (
        "engine.dtype: unknown type 'bfloat-16'; did you mean 'bfloat16'?"
    ),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("text", IN_THE_RUN)
def test_a_mistake_in_the_yaml_of_a_run(fidelity, workspace, text):
    workspace.file("x.yaml", text)
    code, out, error = fidelity(*COMPARE)
    assert (code, out, error) == (2, "", f"fidelity: x.yaml: {IN_THE_RUN[text]}\n")
    assert not (workspace.folder / "fidelity-store").exists()


IN_THE_GATE = {
    "confidence: 95\nmargins: {identical: 0.3}": (
        "confidence: Input should be less than 1: for 0.95 of all, or 95%, write 0.95"
    ),
    "breaks: {break_loop: {max: 0.1}}": 'breaks.break_loop: Input should be a valid number, got {"max": 0.1}',
    "breaks: {break_loop: 0.1}": ("breaks.break_loop: the name is without 'break_' here; write breaks: {loop: 0.1}"),
    "conflicts: {conflict_number: 0.1}": (
        "conflicts.conflict_number: the name is without 'conflict_' here; write conflicts: {number: 0.1}"
    ),
    "margins: {identical: small}": 'margins.identical: Input should be a valid number, got "small"',
    "margins: [identical]": 'margins: expected a mapping, got ["identical"]',
    "margins: {rougeL: 0.3}": (
        "margins.rougeL: rougeL is not scored; add `- rouge` to 'metrics:' in the baseline's YAML, "
        "or use --metric rouge"
    ),
    "margins: {sts: 0.3}": (
        "margins.sts: sts is not scored; add `- sts` to 'metrics:' in the baseline's YAML, or use --metric sts; first: "
        "the metric 'sts' needs the package 'sentence-transformers', which is not installed: "
        "pip install 'llm-fidelity[semantic]'"
    ),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("text", IN_THE_GATE)
def test_a_mistake_in_the_gate(fidelity, workspace, monkeypatch, text):
    monkeypatch.setattr("fidelity.metrics.base._version", lambda p: None if p == "sentence-transformers" else "1.0")
    workspace.file("x.yaml", text)
    code, out, error = fidelity(*GATED)
    assert (code, out, error) == (2, "", f"fidelity: x.yaml: {IN_THE_GATE[text]}\n")


ON_THE_COMMAND_LINE = {
    ("generate", "candidate.yaml"): (
        "candidate.yaml: 'prompts' is missing; add prompts: starter, or generate it as a candidate with --baseline "
        "base.yaml"
    ),
    ("compare", "base.yaml", "quant.yaml", "--metric", "identical,length"): (
        "--metric identical,length: an option names one metric; write --metric identical --metric length"
    ),
    ("compare", "base.yaml", "quant.yaml", "--metric", "identcal"): (
        "there is no metric 'identcal'; did you mean 'identical'?"
    ),
    ("compare", "base.yaml", "quant.yaml", "--prompts", "startr", "--metric", "identical"): (
        "startr: no such file; did you mean the prompt set 'starter'?"
    ),
    ("baseline", "export", "base.yaml", "base.jsonl"): (
        "base.jsonl: is a file; name a directory to write the baseline to"
    ),
    ("history", "--gate", "gate.yaml", "--store", "none"): (
        "none: no such store; run fidelity compare, or name another store with --store DIR"
    ),
    ("compare", "fp9.yaml", "quant.yaml", "--metric", "identical"): (
        "fp9.yaml: engine.options.quantization: the installed vLLM has no method 'fp9'; did you mean 'fp8'?"
    ),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", ON_THE_COMMAND_LINE, ids=" ".join)
def test_a_mistake_on_the_command_line(fidelity, workspace, monkeypatch, arguments):
    methods = frozenset({"fp8", "awq"})
    monkeypatch.setattr("fidelity.engines.vllm_settings.quantization_methods", lambda: methods)
    workspace.file("candidate.yaml", "name: quant\nmodel: m\nengine: {kind: vllm}\n")
    workspace.file("fp9.yaml", RUN.replace("kind: vllm", "kind: vllm, options: {quantization: fp9}"))
    workspace.file("gate.yaml", "margins: {identical: 0.3}")
    code, out, error = fidelity(*arguments)
    error = error.replace(f"{workspace.folder}/", "")
    assert (code, out, error) == (2, "", f"fidelity: {ON_THE_COMMAND_LINE[arguments]}\n")


def test_the_methods_of_the_installed_vllm():
    """They are read from its source; other builds of the tests have a stand-in without that file."""
    from importlib.util import find_spec
    from pathlib import Path

    from fidelity.engines.vllm_settings import quantization_methods

    spec = find_spec("vllm")
    source = Path(spec.origin).parent / "model_executor/layers/quantization" if spec and spec.origin else Path("none")
    if not source.exists():
        pytest.skip("no vLLM")
    assert {"fp8", "compressed-tensors", "gguf"} <= quantization_methods()
