"""Checkpoints of benchmarks/shapes.py: marked as random, in the layout that is read, with the sizes of the table."""

import importlib.util
import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MODEL = ROOT / "models" / "smollm2-135m"
SCRIPT = ROOT / "benchmarks" / "shapes.py"


@pytest.mark.skipif(
    not (MODEL.exists() and importlib.util.find_spec("torch")), reason="no demo model, or torch is not installed"
)
def test_a_checkpoint_is_marked_as_random_and_inspect_names_it(tmp_path, fidelity):
    made = [sys.executable, str(SCRIPT), str(tmp_path), "tiny", "w4a16", "--tokenizer", str(MODEL)]
    subprocess.run(made, check=True, capture_output=True, cwd=ROOT)
    assert json.loads((tmp_path / "tiny-w4a16" / "config.json").read_text())["fidelity_random_weights"] is True
    code, out, err = fidelity("inspect", tmp_path / "tiny-w4a16", "--no-kernels", "--memory", "1")
    assert code == 0, err
    assert "random weights: price only, never drift" in out
    assert "Requests that fit into 1 GB besides the weights" in out
    # 2 layers, 2 heads of keys and of values with 64 numbers of 2 bytes: 1,024 bytes a token; rag has 1,152 tokens.
    weights = sum(file.stat().st_size for file in (tmp_path / "tiny-w4a16").glob("*.safetensors"))
    assert f"rag {(10**9 - weights) // (1152 * 1024)}," in out
