"""A label that contradicts what ran, in any spelling."""

import json

import pytest

from fidelity.gate import mislabeled
from tests.gate.test_controls import real
from tests.manifests import run_manifest

UNQUANTIZED = real("BF16", layers=0)
NAMES = (
    "NVFP4",
    "nvfp4",
    "MXFP4",
    "AWQ",
    "awq",
    "GPTQ",
    "GPTQ-Int4",
    "HQQ",
    "AQLM",
    "QuIP#",
    "EETQ",
    "AutoRound",
    "bnb-4bit",
    "NF4",
    "LLM.int8()",
    "SmoothQuant",
    "EXL2 4.0bpw",
    "8-bit",
    "8bit",
    "4 bits",
    "four-bit",
    "1.58-bit",
    "w4a16",
    "w8a8",
    "A16W4",
    "W4_A16",
    "int8",
    "Float8",
    "E4M3",
    "q4_k_m",
    "IQ4_XS",
    "Q8",
    "8da4w",
    "quantized",
    "quantised",
    "my model, quantized",
    "Meta-Llama-3.1-8B-Instruct-quantized.w4a16",
)
"""Names of formats and methods."""
UNICODE = (
    "8\u2011bit",
    "INT\u20138",
    "W4A16\u2010INT4",
    "4\u2212bit",
    "\uff29\uff2e\uff34\uff14",
    "W4\u200bA16",
    "IN\u00adT8",
    "\ufeffAWQ",
    "W4A16\u00a0g128",
)
"""Other hyphens, letters and invisible characters."""
CONTRADICTIONS = {
    "W4A16-INT4 g128": (real("FP32", layers=0), "FP32, 0 quantized layers"),
    "W4A16": (real("W8A8-INT8", "W8A8-INT8"), "W8A8-INT8"),
    "INT4": (real("W8A8-FP8"), "W8A8-FP8"),
    "FP8": (real("BF16"), "BF16"),
    "Q4_K_M": (real("GGUF Q8_0"), "GGUF Q8_0"),
    "4-bit AWQ": (real(layers=0), "0 quantized layers"),
    "BF16": (real("W4A16-INT4 g64"), "W4A16-INT4 g64"),
    "BF16, compiled": (real("BF16", "W8A8-FP8", layers=120), "BF16, W8A8-FP8, 120 quantized layers"),
    "bf16": (real("FP16", "FP16"), "FP16"),
    **dict.fromkeys((*NAMES, *UNICODE), (UNQUANTIZED, "BF16, 0 quantized layers")),
    # other bits, groups, numbers or methods than the checkpoint's
    "AWQ-8bit": (real("W4A16-INT4 g128 (awq)"), "W4A16-INT4 g128 (awq)"),
    "GPTQ": (real("W4A16-INT4 g128 (awq)"), "W4A16-INT4 g128 (awq)"),
    "awq": (real("W4A16-INT4 g128 (gptq)"), "W4A16-INT4 g128 (gptq)"),
    "W4A16 g32": (real("W4A16-INT4 g128"), "W4A16-INT4 g128"),
    "INT4 group 64": (real("W4A16-INT4 g128"), "W4A16-INT4 g128"),
    "fp8": (real("W8A8-INT8"), "W8A8-INT8"),
    "8 bit": (real("W4A16-INT4 g128"), "W4A16-INT4 g128"),
    "NVFP4 w4a4": (real("W4A4-MXFP4 g32"), "W4A4-MXFP4 g32"),
    "INT8": (real("W8A8-FP8"), "W8A8-FP8"),
    "W8A16": (real("W8A8-INT8"), "W8A8-INT8"),
    "unquantized": (real("W8A8-INT8"), "W8A8-INT8"),
    "16-bit": (real("W8A8-INT8"), "W8A8-INT8"),
}


@pytest.mark.parametrize("label", CONTRADICTIONS)
def test_a_label_that_contradicts_what_ran(label):
    keys, what_ran = CONTRADICTIONS[label]
    manifest = run_manifest("quant", label=label, **keys)
    assert mislabeled(manifest) == f"quant is labeled {label!r}, but what ran is {what_ran}"


@pytest.mark.parametrize(
    ("label", "keys"),
    [
        ("W4A16", real("W4A16-INT4 g64", "W4A8-INT4 g64", layers=120)),
        ("W4A8", real("W4A16-INT4 g64", "W4A8-INT4 g64", layers=120)),
        ("8da4w g32 (linear only)", real("BF16", "8da4w g32 (linear only)", layers=72)),
        ("int8wo (linear only)", real("BF16", "int8wo (linear only)", layers=72)),
        ("BF16 with KV-FP8", real("BF16", "BF16", layers=0, kv_cache="fp8")),
        ("W4A16 with KV-FP8", real("W4A16-INT4 g64", kv_cache="fp8")),
        ("W4A16, FP8-KV", real("W4A16-INT4 g64", kv_cache="fp8")),
        ("INT8 KV", real("BF16", layers=0)),
        ("BF16", real("FP32", "BF16", layers=0)),
        ("W8A8-FP8", real()),
        ("my copy", UNQUANTIZED),
        ("llama-3-8b", UNQUANTIZED),
        ("BF16 (dequantized from Q4_1)", UNQUANTIZED),
        ("not quantized", UNQUANTIZED),
        ("full precision", UNQUANTIZED),
        ("16-bit", UNQUANTIZED),
        ("bfloat16", UNQUANTIZED),
        ("NVFP4", real("modelopt", layers=120)),
        ("NVFP4", real("W4A4-NVFP4 g16")),
        ("FP4", real("W4A4-NVFP4 g16")),
        ("Q4_K_M", real("GGUF Q4_K")),
        ("AWQ", real("W4A16-INT4 g128 (awq)")),
        ("AWQ", real("W4A16-INT4 g128")),
        ("auto-round", real("W4A16-INT4 g128 (gptq)")),
        ("INT4 weights, BF16 activations", real("W4A16-INT4 g128")),
        ("FP8 (BF16 base)", real("W8A8-FP8")),
        ("BF16 -> INT4", real("W4A16-INT4 g128")),
        ("w4a16\u2011int4\u00a0g128", real("W4A16-INT4 g128")),
        ("4-bit", real("W4A16-INT4 g128 (12% of the weights; most are BF16)")),
        ("4-bit", real("mixed: W4A16-INT4 g128 (mlp), W8A16-INT8 (attention)")),
        ("HQQ", real("layout not known (hqq)")),
        (None, real("BF16")),
    ],
)
def test_a_label_that_does_not(label, keys):
    assert mislabeled(run_manifest("quant", label=label, **keys)) == ""


@pytest.mark.parametrize("label", ["NVFP4", "awq", "8\u2011bit", "gptq 4bit", "w8a8", "Q8_0"])
def test_by_the_command_it_is_inconclusive(fidelity, workspace, label):
    """The same weights by their recorded conditions: no layer is quantized, whatever the label."""
    rows = [{"id": f"p{n}", "text": f"answer {n}"} for n in range(60)]
    ran = {"engine": "vllm", "version": "0.26.0", "device": "H100", "quantized_layers": 0, "ran_as": "BF16"}
    workspace.recorded("again", [{**rows[0], "text": "again"}, *rows[1:]])
    workspace.recorded("quant", [{**rows[1], "text": "so"}, rows[0], *rows[2:]])
    engine = {"kind": "recorded", "ran": ran}
    base = workspace.file("base.jsonl", "\n".join(map(json.dumps, rows))).with_suffix(".yaml")
    workspace.run(
        "base", model=None, engine={**engine, "path": "base.jsonl"}, control={"path": "again.jsonl"},
        metrics=["identical"], label="BF16",
    )  # fmt: skip
    quant = workspace.run("quant", model=None, engine={**engine, "path": "quant.jsonl"}, label=label)
    gate = workspace.file("gate.yaml", "margins: {identical: 0.3}")
    code, out, _ = fidelity("compare", base, quant, "--gate", gate)
    assert code == 2
    printed = " ".join(out.split())
    assert "quant: INCONCLUSIVE. Quantization was not active" in printed
    assert "The label is wrong: quant is labeled" in printed
    assert "but what ran is BF16, 0 quantized layers" in printed
