"""A study while it runs, in a real headless Chromium: its grid fills in by cell. The engine is the fake vLLM."""

import os
import subprocess
import sys
import time

import pytest
import yaml

from tests.conftest import ROOT, Workspace
from tests.dashboard.test_browser import cells, page, served, terminals

__all__ = ["page", "served", "terminals"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONGEST = 240
"""Seconds that the study may take on a busy machine."""


@pytest.fixture
def running(tmp_path):
    """A study of two models with two candidates each, on a slow engine; its store and its process."""
    workspace = Workspace(tmp_path)
    workspace.prompts(*(f"SLOW question {n}" for n in range(8)))

    def run(name, **engine):
        return {"name": name, "model": "model", "engine": {"kind": "vllm", **engine}}

    families = [
        {
            "baseline": run(f"{name}-base"),
            "candidates": [run(f"{name}-a", max_model_len=400), run(f"{name}-b", max_model_len=300)],
        }
        for name in ("small", "large")
    ]
    study = {"name": "sizes", "prompts": "prompts.jsonl", "sampling": {"max_tokens": 8}, "chunk": 2}
    study |= {"metrics": ["identical", "rouge"], "gate": {"margins": {"rougeL": 0.1}}, "families": families}
    file = workspace.file("study.yaml", yaml.safe_dump(study))
    command = [sys.executable, "-m", "fidelity", "study", str(file), "--store", str(workspace.store)]
    path = os.pathsep.join([str(ROOT / "tests" / "fake_vllm"), str(ROOT)])
    with (tmp_path / "terminal.txt").open("wb") as terminal:
        environment = {**os.environ, "PYTHONPATH": path, "FAKE_VLLM_SLOW_S": "0.4"}
        environment["FAKE_VLLM_HELD"] = str(tmp_path / "seen")  # candidates wait until the page shows them generating
        process = subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment, cwd=tmp_path)
    yield workspace.store, process
    process.terminate()
    process.wait(timeout=60)


def test_the_grid_of_a_running_study_fills_in_by_cell(running, served, page):
    store, process = running
    deadline = time.monotonic() + LONGEST
    while not (store / "studies").is_dir():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    page.goto(served(store))
    page.get_by_text("This study is running").wait_for()
    grid = page.locator(".cell")
    grid.nth(3).wait_for()
    counts, words = [], set()
    while process.poll() is None:
        assert time.monotonic() < deadline
        texts = grid.all_inner_texts()
        words.update(text.split("\n")[0] for text in texts)
        if "generating" in words:
            (store.parent / "seen").touch()
        counts.append(cells(page).count())  # a cell with a comparison is a button
        page.wait_for_timeout(250)
    assert process.returncode in (0, 1, 2)
    cells(page).nth(3).wait_for()
    counts.append(cells(page).count())
    assert counts == sorted(counts)  # nobody reloaded the page
    assert counts[0] < counts[-1] == 4
    assert len(set(counts)) > 2
    assert {"waiting", "generating"} <= words
