"""The honest study, for every test of a false pass."""

import pytest

from tests.gate.study import BASE, CONTROL, COPY, GATE, Study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture
def study(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    study = Study(folder, capsys)
    study.rows("base", BASE)
    study.rows("again", CONTROL)
    study.base()
    study.copy(COPY)
    study.gate(GATE)
    return study
