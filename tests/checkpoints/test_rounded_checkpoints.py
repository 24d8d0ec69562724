"""The checkpoints that `benchmarks/formats_gpu.py` makes for a GPU are read right, and its table is written."""

import json
import os
import subprocess
import sys

import pytest

from fidelity.checkpoints import dissect, refuse_faults
from tests.checkpoints.layouts import Model
from tests.conftest import FAKE_VLLM, ROOT

torch = pytest.importorskip("torch")
MODEL = ROOT / "models" / "smollm2-135m"
FORMATS = {
    "w4a16": "W4A16-INT4 g128",
    "w8a16": "W8A16-INT8",
    "w4a8-fp8": "W4A8-INT4 g128",
    "nvfp4": "W4A4-NVFP4 g16",
    "nvfp4a16": "W4A16-NVFP4 g16",
    "mxfp4": "W4A16-MXFP4 g32",
    "awq": "W4A16-INT4 g128",
    "gptq": "W4A16-INT4 g128",
    "fp8-block": "W8A8-FP8 block 128x128",
    "kv-fp8-scales": None,
}


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A tiny Llama with random weights and the demo model's tokenizer."""
    if not MODEL.exists():
        pytest.skip("no demo models: python examples/make_models.py")
    from safetensors.torch import save_file

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    folder = tmp_path / "tiny"
    folder.mkdir()
    for file in MODEL.iterdir():
        if file.suffix != ".safetensors" and file.name != "config.json":
            (folder / file.name).symlink_to(file)
    model = Model(hidden=96, intermediate=192, heads=3, kv_heads=1, vocabulary=49152, tied=True)
    config = {**model.config, "head_dim": 32, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {name: shape for name, (_, shape, _) in model.others.items()}
    shapes |= {f"{name}.weight": [rows, columns] for name, rows, columns in model.linears}
    generator = torch.Generator().manual_seed(1)
    weights = {name: (torch.randn(shape, generator=generator) * 0.05).bfloat16() for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_each_is_read_as_what_it_is(base, tmp_path):
    import rounded_checkpoints

    rounded_checkpoints.pad(base, tmp_path / "base")
    parameters = dissect(tmp_path / "base").checkpoint.parameters
    assert tuple(FORMATS) == rounded_checkpoints.NAMES
    for name, right in FORMATS.items():
        rounded_checkpoints.write(tmp_path / "base", tmp_path / name, name)
        anatomy = dissect(tmp_path / name)
        refuse_faults(tmp_path / name)
        quantized = [scheme for scheme, _ in anatomy.shares if scheme != "BF16"]
        assert (quantized, anatomy.checkpoint.parameters) == ([right] if right else [], parameters)
    assert (anatomy.kv_cache.dtype, anatomy.kv_cache.scales) == ("FP8", "calibrated")


def test_the_table_is_written_and_a_refusal_costs_no_other_row(base, tmp_path):
    names = ["w4a16", "fp8-online"]
    script = [sys.executable, str(ROOT / "benchmarks" / "formats_gpu.py"), str(tmp_path / "work"), *names]
    environment = {**os.environ, "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{ROOT}", "OUT": str(tmp_path / "out")}
    done = subprocess.run(
        [*script, "--model", str(base), "--jobs", "2"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "formats.json").read_text())["formats"]
    assert rows["w4a16"]["outcome"] == "ran", rows["w4a16"]
    assert rows["w4a16"]["checkpoint"].startswith("W4A16-INT4 g128")
    assert len(rows["w4a16"]["answers"]) == 3
    assert rows["w4a16"]["values"]["identical"] >= 0
    assert "fp8" in rows["fp8-online"]["outcome"]
    assert (tmp_path / "out" / "formats.md").read_text().count("\n| ") == 3
