"""Scoring by several processes: the same numbers as by one, and nothing is lost with a process that dies."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fidelity.cli import main
from fidelity.comparison import batches, workers
from fidelity.comparison.batches import Batch, MetricJob, Work
from fidelity.comparison.workers import score_jobs, scored_by_processes
from fidelity.errors import FidelityError
from fidelity.files import read_parquet
from fidelity.metrics import Metric, default_metrics
from fidelity.metrics.base import EncoderMetric
from fidelity.metrics.length import Length
from fidelity.records import Column
from tests import laws

PAIRS = [laws.pair(f"The answer is {n}.", f"The answer is {n % 7}, or so.", prompt_id=str(n)) for n in range(40)]


class Recorder:
    """In place of a comparison in a store."""

    def __init__(self):
        self.columns = {}

    def add_columns(self, signature, columns):
        self.columns[signature] = list(columns)


class Deadly(Metric):
    """Kills its process when it reads a certain prompt, as often as there are files to delete."""

    kind: Literal["deadly"] = "deadly"
    folder: str
    prompt: str

    def score(self, pairs):
        for pair in pairs:
            lives = sorted(Path(self.folder).iterdir())
            if pair.prompt.id == self.prompt and lives:
                lives[0].unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return [Column("deadly", tuple(float(len(pair.baseline.text)) for pair in pairs), bounds=None)]


def work_of(*metrics, pairs=PAIRS):
    recorder = Recorder()
    return recorder, Work([MetricJob(metric, (Batch(recorder, metric.kind, pairs),)) for metric in metrics])


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(batches, "PAIRS_OF_A_CHUNK", 4)


def test_a_dead_process_loses_no_pair(tmp_path, small_chunks):
    for n in range(2):
        (tmp_path / str(n)).touch()
    recorder, work = work_of(Deadly(folder=str(tmp_path), prompt="13"), Length())
    work.store(scored_by_processes(work.chunks(), 2))
    assert recorder.columns["deadly"][0].values == tuple(float(len(pair.baseline.text)) for pair in PAIRS)
    assert recorder.columns["length"] == Length().score(PAIRS)
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_that_kills_every_process_is_named(tmp_path, small_chunks):
    for n in range(3):
        (tmp_path / str(n)).touch()
    _, work = work_of(Deadly(folder=str(tmp_path), prompt="2"))
    with pytest.raises(FidelityError, match="killed 3 times, at prompt '0' or soon after it"):
        list(scored_by_processes(work.chunks(), 1))


def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import time
        from typing import Literal
        from fidelity.comparison.batches import Batch, MetricJob, Work
        from fidelity.comparison.workers import scored_by_processes
        from fidelity.metrics import Metric
        from fidelity.records import Column, Generation, Pair, Prompt

        class Slow(Metric):
            kind: Literal["slow"] = "slow"

            def score(self, pairs):
                import os, pathlib
                (pathlib.Path(__file__).parent / f"pid-{os.getpid()}").touch()
                time.sleep(60)
                return [Column("slow", (1.0,) * len(pairs))]

        if __name__ == "__main__":
            pairs = [Pair(Prompt(str(n), ""), Generation(str(n), ""), Generation(str(n), "")) for n in range(2000)]
            work = Work([MetricJob(Slow(), (Batch(None, "slow", pairs),))])
            list(scored_by_processes(work.chunks(), 2))
        """)
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    children = waited_for(lambda: [int(p.name[4:]) for p in tmp_path.glob("pid-*")], lambda pids: len(pids) == 2)
    parent.kill()
    parent.wait()
    waited_for(lambda: [pid for pid in children if is_running(pid)], lambda pids: not pids)


def waited_for(measure, is_enough):
    for _ in range(600):
        if is_enough(result := measure()):
            return result
        time.sleep(0.1)
    raise AssertionError(result)


def is_running(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@settings(max_examples=20, deadline=None)
@given(st.lists(st.builds(laws.pair, laws.texts, laws.texts), max_size=9), st.integers(1, 5), st.integers(1, 60))
def test_chunks_change_no_number(pairs, most_pairs, most_characters):
    metrics = [m for m in default_metrics() if not isinstance(m, EncoderMetric) and not m.reads_token_scores]
    recorder, work = work_of(*metrics, pairs=pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "PAIRS_OF_A_CHUNK", most_pairs)
        patch.setattr(batches, "CHARACTERS_OF_A_CHUNK", most_characters)
        work.store(chunk.score() for chunk in work.chunks())
    assert recorder.columns == {metric.kind: metric.score(pairs) for metric in metrics}


def test_long_texts_come_in_smaller_chunks(monkeypatch):
    monkeypatch.setattr(batches, "CHARACTERS_OF_A_CHUNK", 100)
    pairs = [laws.pair("x" * n, "") for n in (10, 10, 90, 300, 1, 1)]
    _, work = work_of(Length(), pairs=pairs)
    assert [len(chunk.tables[0]) for chunk in work.chunks()] == [3, 1, 2]


def test_small_work_starts_no_process(monkeypatch):
    monkeypatch.setattr(workers, "scored_by_processes", None)
    recorder, work = work_of(Length())
    score_jobs(work.jobs, workers=8)
    assert len(recorder.columns["length"][0].values) == len(PAIRS)


def test_a_class_that_other_processes_do_not_know_is_scored_here(monkeypatch):
    class Local(Length):
        pass

    monkeypatch.setattr(workers, "_scored", lambda work, workers: iter([]) if not work.jobs else pytest.fail("moved"))
    recorder, work = work_of(Local())
    score_jobs(work.jobs, workers=8)
    assert recorder.columns["length"] == Length().score(PAIRS)


def test_compare_stores_the_same_with_any_number_of_workers(workspace, monkeypatch, small_chunks, capsys):
    """Candidates, controls and chance levels, by the command line."""
    monkeypatch.chdir(workspace.folder)
    texts = {"base": "The cat sat on 3 mats.", "control": "The cat sat on three mats.", "quant": "A cat is -3."}
    for name, text in texts.items():
        rows = (f'{{"id": "{n}", "prompt": "p{n}", "text": "{text} {n}"}}' for n in range(30))
        Path(f"{name}.jsonl").write_text("\n".join(rows))
    calls = []

    def counted(*given):
        calls.append(given)
        return scored_by_processes(*given)

    monkeypatch.setattr(workers, "scored_by_processes", counted)
    kinds = [f"--metric={kind}" for kind in ("conflicts", "rouge", "chrf", "breaks", "length", "prefix_agreement")]
    for number in ("1", "2"):
        monkeypatch.setattr(workers, "WORTH_SECONDS", 0.0)
        store = ["--store", f"store{number}", "--workers", number]
        assert main(["compare", "base.jsonl", "quant.jsonl", "--control", "control.jsonl", *kinds, *store]) == 0
    assert len(calls) == 1
    one, two = (sorted(Path(f"store{n}").glob("comparisons/*/*.parquet")) for n in (1, 2))
    assert [file.relative_to("store1") for file in one] == [file.relative_to("store2") for file in two]
    assert len(one) > 20
    for file, other in zip(one, two, strict=True):
        assert read_parquet(file).equals(read_parquet(other), check_metadata=True)
