"""Engines that die, hang or leave something behind; the fast ones, with a fake vLLM."""

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from fidelity.cli import main
from fidelity.config import load_run
from fidelity.engines import child, processes
from fidelity.engines.child import command_of
from fidelity.engines.processes import members, processor_seconds
from fidelity.errors import EngineError
from fidelity.pipeline import generate
from fidelity.store.store import Store
from tests.conftest import Silent

pytestmark = pytest.mark.usefixtures("fake_vllm")


def run(workspace, **engine):
    path = workspace.baseline(control="none", engine={"kind": "vllm", **engine})
    return generate(load_run(path), store=Store(workspace.store), listener=Silent())


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("SIGILL", r"a kernel uses an instruction that this CPU lacks"),
        ("SIGSEGV", r"a kernel crashed"),
        ("SIGKILL", r"it was killed by a user or by the system"),
    ],
)
def test_a_signal_is_named_with_what_it_may_mean(workspace, groups, word, hint):
    workspace.prompts("fine", word)
    with pytest.raises(EngineError, match=rf"killed by {word} \({hint}.* while generating"):
        run(workspace)
    assert not list(members(groups[0]))


def test_the_out_of_memory_killer_is_named(workspace, monkeypatch):
    kills = iter(range(9))
    for module in (child, processes):
        monkeypatch.setattr(module, "oom_kills", lambda: next(kills))
    workspace.prompts("fine", "SIGKILL")
    with pytest.raises(EngineError, match=r"killed by SIGKILL \(the system ran out of memory; use a shorter context"):
        run(workspace)


def test_a_candidate_that_dies_with_sigill_leaves_a_finished_baseline_and_exit_code_2(workspace, capsys):
    workspace.prompts("one", "two")
    dying = workspace.run("w4a8", engine={"kind": "vllm", "options": {"quantization": "SIGILL"}})
    fine = workspace.run("int8", engine={"kind": "vllm", "options": {"quantization": "compressed-tensors"}})
    files = [str(file) for file in (workspace.baseline(), dying, fine)]
    assert main(["compare", *files, "--store", str(workspace.store)]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "w4a8: not compared: the engine process was killed by SIGILL (a kernel uses an instruction" in shown
    assert {run.name for run in Store(workspace.store).runs()} == {"base", "base.control1", "int8"}


def test_what_was_finished_before_an_abort_at_the_end_is_a_finished_run(workspace, groups):
    workspace.prompts("one", "two")
    (finished,) = run(workspace, options={"quantization": "aborts"})
    assert finished.manifest.counts.generations == 2
    assert not list(members(groups[0]))


def test_an_engine_that_hangs_while_loading_is_given_up_with_its_workers(workspace, groups):
    workspace.prompts("one", "two")
    with pytest.raises(EngineError, match=r"no progress for \d+ s while loading the model.* raise engine.deadline"):
        run(workspace, options={"quantization": "hangs"}, deadline=2.5)
    assert not list(members(groups[0]))


def test_one_that_uses_the_processor_while_loading_is_not_given_up(workspace):
    workspace.prompts("one", "two")
    (finished,) = run(workspace, options={"quantization": "works"}, deadline=1.5)
    assert finished.manifest.counts.generations == 2


def test_an_engine_that_hangs_while_generating_is_given_up(workspace, groups):
    workspace.prompts("one", "HANG")
    with pytest.raises(EngineError, match=r"no progress for \d+ s while generating"):
        run(workspace, deadline=2.5)
    assert not list(members(groups[0]))


def test_the_deadline_changes_no_output_and_so_no_run(workspace):
    workspace.prompts("one", "two")
    (first,) = run(workspace, deadline=60)
    (second,) = run(workspace, deadline=70)
    assert first.path == second.path


def test_processor_time_is_that_of_the_whole_group():
    before = processor_seconds(os.getpgrp())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert processor_seconds(os.getpgrp()) - before > 0.05
    assert os.getpid() in dict(members(os.getpgrp()))


@pytest.mark.parametrize("batching", [pytest.param({"drained": 4}, marks=pytest.mark.slow), "continuous"])
def test_twenty_kills_at_random_moments_leave_nothing_behind_and_lose_nothing(workspace, groups, batching):
    """Drained, a resumed run is equal byte for byte; continuous, each prompt has one answer, of another batch."""
    workspace.prompts(*(f"SLOW question {n}" for n in range(16)))
    engine = {"kind": "vllm", "options": {"max_num_seqs": 3}}
    path = workspace.baseline(batching=batching, control="none", engine=engine)
    (whole,) = generate(load_run(path), store=Store(workspace.folder / "whole"), listener=Silent())
    draw = random.Random(20)
    deaths: list[EngineError] = []
    finished = in_this_run = 0
    while len(deaths) < 20:
        store = Store(workspace.folder / f"store{finished}")
        killer = threading.Timer(draw.uniform(0.05, 1.2), kill_the_child)
        killer.start()
        try:
            (resumed,) = generate(load_run(path), store=store, listener=Silent())
            check_resumed(resumed, whole, times=in_this_run if batching == "continuous" else None)
            finished, in_this_run = finished + 1, 0
        except EngineError as error:
            deaths.append(error)
            in_this_run += any(store.root.glob("runs/*/answers-*.jsonl"))
            assert not list(store.root.glob("runs/*/manifest.json"))
        finally:
            killer.cancel()
            killer.join()
        assert not list(members(groups[-1]))
        assert not list(store.root.glob("**/*.draft"))
    assert all("killed by SIGKILL" in str(error) for error in deaths)
    (resumed,) = generate(load_run(path), store=store, listener=Silent())
    check_resumed(resumed, whole, times=None)


def check_resumed(run, whole, *, times):
    if whole.manifest.chunk:
        assert run.outcomes() == whole.outcomes()
        return
    assert [outcome.prompt_id for outcome in run.outcomes()] == [f"p{n}" for n in range(16)]
    assert all(outcome.text for outcome in run.outcomes())
    assert times is None or run.manifest.resumed <= times


def kill_the_child():
    """Whatever it is at; none may have started yet. Other children, such as Python's resource tracker, go on."""
    for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        if b"fidelity.children" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)


def test_a_package_of_the_same_name_in_the_working_directory_is_not_run(tmp_path):
    (tmp_path / "fidelity").mkdir()
    (tmp_path / "fidelity" / "__init__.py").write_text('raise SystemExit("code of the working directory")')
    ran = subprocess.run(command_of("fidelity.errors", None), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
