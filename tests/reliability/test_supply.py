"""What runs with the project's name on it is pinned: other actions by commit."""

import re

import pytest

from tests.conftest import ROOT

FILES = [ROOT / "action.yml", *sorted((ROOT / ".github").rglob("*.yml"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_that_is_used_is_pinned_by_its_commit(file):
    used = re.findall(r"^\s*-?\s*uses:\s*(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    assert [name for name in used if name != "./" and not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name)] == []
