"""Every Python example of docs/python.md runs, in the order of the page, in one folder."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("python")


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(folder, number):
    code = EXAMPLES[number]
    if "models/" in code:
        if not (ROOT / "models" / "all-MiniLM-L6-v2").is_dir():
            pytest.skip("the demo's models are not here: make test fetches them")
        if not (folder / "models").exists():
            (folder / "models").symlink_to(ROOT / "models")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
