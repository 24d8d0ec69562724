"""A run that is killed again and again answers every prompt once."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPTS, KILLS = 60, 20


@pytest.mark.slow
def test_twenty_kills_of_the_command_or_its_engine_lose_and_double_nothing(tmp_path, monkeypatch, workspace):
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
    outcome = campaign.Campaign(tmp_path, run, fake=True).run(KILLS, seed=1, longest_s=0.1)
    assert len(outcome.answers) == KILLS
    assert list(outcome.answers) == sorted(outcome.answers)
    assert 0 < outcome.answers[-1] < PROMPTS
    assert (outcome.lost, outcome.doubled) == (0, 0)
    assert outcome.resumed == KILLS
