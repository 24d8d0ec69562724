"""A run that is killed again and again answers every prompt once."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPTS = 60


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_no_answer_is_lost_or_doubled(tmp_path, monkeypatch, kills, workspace):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import kills as campaign

    workspace.prompts(*(f"SLOW question {n}" for n in range(PROMPTS)))
    run = {
        "name": "killed",
        "model": str(workspace.folder / "model"),
        "prompts": str(workspace.folder / "prompts.jsonl"),
        "sampling": {"max_tokens": 8},
        "control": "none",
        "kl": "none",
        "engine": {"kind": "vllm", "options": {"max_num_seqs": 2}},
    }
    outcome = campaign.Campaign(tmp_path, run, stand_in=True).run(kills, seed=1, longest_s=0.1)
    assert len(outcome.answers) == kills
    assert list(outcome.answers) == sorted(outcome.answers)
    assert 0 < outcome.answers[-1] < PROMPTS
    assert (outcome.lost, outcome.doubled) == (0, 0)
    assert outcome.resumed == kills
