"""Checkpoints that the installed libraries write themselves are read as these libraries state."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import ROOT

LIBRARIES = ("compressed_tensors", "torchao", "bitsandbytes", "auto_round", "modelopt", "gguf")
MODEL = ROOT / "models" / "smollm2-135m"


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_bits_and_parameters_agree(library, tmp_path):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if not MODEL.exists():
        pytest.skip("no demo models: python examples/make_models.py")
    script = [sys.executable, str(ROOT / "benchmarks" / "real_checkpoints.py"), str(tmp_path), library]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, capture_output=True, text=True, env=environment, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "real.json").read_text())
