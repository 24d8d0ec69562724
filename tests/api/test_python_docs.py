"""Every Python example of docs/python.md runs, in the order of the page, in one folder."""

import re

import pytest

from tests.conftest import ROOT

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("python")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(folder, number, monkeypatch, capsys):
    code = EXAMPLES[number]
    if "models/" in code:
        if not (ROOT / "models" / "all-MiniLM-L6-v2").is_dir():
            pytest.skip("the demo's models are not here: make test fetches them")
        if not (folder / "models").exists():
            (folder / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    exec(compile(code, f"docs/python.md, example {number + 1}", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
