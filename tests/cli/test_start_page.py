"""The transcripts of docs/index.md are what the commands print."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").partition("### Two files of outputs")[2]
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^`fidelity (.*?)`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("number", [0, 1])
def test_two_files_of_outputs(fidelity, workspace, monkeypatch, number):
    base, quant, *printed = BLOCKS
    workspace.file("base.jsonl", base)
    workspace.file("quant.jsonl", quant)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, error = fidelity(*COMMANDS[number].split())
    assert code == 0, error
    assert [line.rstrip() for line in out.splitlines()] == printed[number].splitlines()
