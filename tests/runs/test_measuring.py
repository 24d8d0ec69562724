"""Measurements are stored next to a run and change nothing in it; with a fake vLLM."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from fidelity.config import load_run
from fidelity.engines import memory
from fidelity.engines.machine import MachineWatch
from fidelity.engines.memory import MemoryWatch
from fidelity.engines.processes import processor_seconds
from fidelity.errors import ConfigError
from fidelity.pipeline import generate
from fidelity.price.measures import ratios_of, remarks, values_of
from fidelity.records import MachineLoad
from fidelity.runs.measure import read_serving
from fidelity.store.measurements import Measurement
from fidelity.store.store import Store
from tests.conftest import Silent

TIMED = {"prompts": 3, "repeats": 2, "max_tokens": 4, "prefill": [5, 9], "use_cases": ["instruction_following"]}
NO_GROUP = 2**30  # larger than any process id


@pytest.fixture
def made(workspace, fake_vllm):
    """Generate with these keys in the baseline's YAML; in a store of its own if it has a name."""

    def run(store="store", listener=None, **keys):
        path = workspace.baseline(**keys)
        return generate(load_run(path), store=Store(workspace.folder / store), listener=listener or Silent())

    workspace.prompts(*(f"question number {n}" for n in range(12)))
    return run


class TestTimingsDoNotChangeARun:
    def test_with_them_and_without_a_run_is_the_same(self, made):
        plain = made("plain")
        timed = made("timed", latency=TIMED, price_per_hour=2.5)
        for one, other in zip(plain, timed, strict=True):
            assert one.id == other.id
            assert one.outcomes() == other.outcomes()
            assert one.manifest.replace(created="") == other.manifest.replace(created="")
        assert plain[0].measurement.latency is None
        assert timed[0].measurement.latency

    def test_asked_for_later_they_are_made_up_for_without_generating(self, made):
        (first, _), listener = made(), Silent()
        created = first.measurement.created
        (again, _) = made(listener=listener, latency=TIMED)
        assert again.path == first.path
        assert again.measurement.created == created
        assert len(again.measurement.latency.requests) == 4 * 2 * 3
        assert any("timed" in str(message) for message in listener.messages)

    def test_once_made_they_stay(self, made):
        (first, _), listener = made(latency=TIMED), Silent()
        (again, _) = made(listener=listener, latency=TIMED)
        assert listener.messages == []
        assert again.measurement == first.measurement
        assert made()[0].measurement == first.measurement  # nothing was asked for, and nothing is forgotten

    def test_a_price_can_change_at_any_time(self, made):
        made(price_per_hour=2.5)
        listener = Silent()
        (run, _) = made(listener=listener, price_per_hour=3.0)
        assert run.measurement.price_per_hour == 3.0
        assert listener.messages == []

    def test_they_come_along_into_another_store(self, made, workspace):
        (run, _) = made()
        assert Store(workspace.folder / "other").adopt(run).measurement == run.measurement


def test_a_run_that_was_resumed_has_no_speed(made, workspace, monkeypatch):
    path = workspace.baseline(control="none", chunk=4)
    workspace.prompts(*(f"SLOW question {n}" for n in range(12)))
    command = [sys.executable, "-m", "fidelity", "generate", str(path), "--store", str(workspace.store)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(workspace.store.glob("runs/*/chunk-*.parquet")) and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (run,) = generate(load_run(path), store=Store(workspace.store), listener=Silent())
    assert run.measurement is None
    assert "tokens_per_s" not in values_of(run)


def test_the_measurements_of_a_run(made):
    run, control = made()
    measured = run.measurement
    assert sum(chunk.prompts for chunk in measured.chunks) == measured.prompts == 12
    assert sum(chunk.tokens for chunk in measured.chunks) == measured.tokens == run.manifest.counts.tokens
    assert sum(chunk.seconds for chunk in measured.chunks) <= measured.seconds
    assert {"import", "load", "compile", "warm-up", "write"} <= set(measured.profile)
    assert measured.memory.pss > 1e6
    assert measured.memory.weights is None  # the fake vLLM has no such number
    # The engine adds up over both runs; each has its own share.
    assert control.measurement.profile["load"] == measured.profile["load"]
    assert control.measurement.step_seconds == pytest.approx(control.measurement.profile["prefill and decode"])


def test_requests_are_timed_one_at_a_time_and_go_on_to_the_last_token(made):
    (run, _) = made(latency=TIMED)
    requests = run.measurement.latency.requests
    kinds = {request.kind: request for request in requests}
    assert set(kinds) == {"prompts", "prefill 5", "prefill 9", "instruction_following"}
    assert len({request.prompt_id for request in requests}) == 3
    assert {len(r.seconds) for r in requests if r.kind == "prompts"} == {4}
    assert (kinds["prefill 9"].prompt_tokens, len(kinds["prefill 9"].seconds)) == (9, 1)
    assert (kinds["instruction_following"].prompt_tokens, len(kinds["instruction_following"].seconds)) == (
        256,
        128,
    )
    assert run.measurement.latency.failed == {}


def test_what_does_not_fit_is_named_and_the_rest_is_timed(made):
    engine = {"kind": "vllm", "max_model_len": 300}
    (run, _) = made(latency=TIMED, engine=engine)
    failed = run.measurement.latency.failed
    assert set(failed.values()) == {"256 tokens and an answer of 128: the context length is 300"}
    assert "first_token" in values_of(run)
    assert "answer[instruction_following]" not in values_of(run)


def test_an_engine_that_dies_while_it_is_timed_leaves_the_run(made, workspace):
    listener = Silent()
    workspace.prompts("one", "two", "DIES ALONE")
    (run, _) = made(listener=listener, latency={"prompts": 3})
    assert run.manifest.counts.generations == 3
    assert any("not timed: the engine process was killed by SIGILL" in str(message) for message in listener.messages)


def test_generate_shows_where_the_time_went(made, fidelity, workspace):
    path = workspace.baseline(control="none")
    code, out, err = fidelity("generate", path, "--store", workspace.store, "--profile")
    assert (code, err.count("Traceback")) == (0, 0), err
    phases = [line.split()[0] for line in out.splitlines()[2:-1]]
    assert phases == ["import", "load", "compile", "warm-up", "prefill", "write", "rest"]
    shutil.rmtree(workspace.store / "measurements")
    assert (
        "time profile unknown: the run was resumed"
        in fidelity("generate", path, "--store", workspace.store, "--profile")[1]
    )


def test_measured_in_turn(made, fidelity, workspace):
    files = [workspace.baseline(latency={"prompts": 2}), workspace.run("quant")]
    code, out, err = fidelity("compare", *files, "--store", workspace.store, "--interleave", 2, "--full")
    assert code == 0, err
    turns = [line for line in err.splitlines() if "in turn" in line and "prompts" not in line]
    assert [line.partition(":")[0] for line in turns] == ["base", "quant", "base", "quant"]
    base, _, quant = Store(workspace.store).runs()
    assert [turn.turn for turn in base.measurement.turns] == [turn.turn for turn in quant.measurement.turns]
    assert {"tokens_per_s", "first_token", "answer"} <= set(base.measurement.turns[0].values)
    assert ratios_of(base, quant)["tokens_per_s"].n == 2
    assert "tokens/s" in out


def test_what_has_no_engine_can_not_be_measured_in_turn(fidelity, workspace):
    files = [workspace.recorded(name, [{"id": "a", "text": "x"}]) for name in ("one", "two")]
    code, _, err = fidelity("compare", *files, "--store", workspace.store, "--metric", "identical", "--interleave")
    assert (code, "one: the engine kind 'recorded' has nothing to time" in err) == (2, True)


class TestMemory:
    def test_of_a_process_that_holds_a_known_amount(self):
        with holding(200_000_000) as process, watching(process.pid) as watch:
            peak = watch.peak()
        assert peak.pss == pytest.approx(200e6, abs=20e6)
        assert peak.pss <= peak.rss

    def test_the_peak_stays_when_the_memory_is_given_back(self):
        with holding(200_000_000) as process, watching(process.pid) as watch:
            process.stdin.write(b"drop it\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"dropped\n"
            peak = watch.peak()
        assert peak.rss > 200e6

    @pytest.mark.parametrize(
        ("protection", "counts"), [("mmap.PROT_READ", True), ("mmap.PROT_READ | mmap.PROT_EXEC", False)]
    )
    def test_weights_that_are_mapped_count_and_libraries_do_not(self, tmp_path, protection, counts):
        """How much of a library is in memory depends on what else the machine reads: up to 0.5 GB with vLLM."""
        file = tmp_path / "file"
        file.write_bytes(b"x" * 50_000_000)
        given = f"mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, {protection})"
        with (
            holding(100_000_000, f"import mmap; f = open({str(file)!r}); m = {given}; sum(m[::4096])") as process,
            watching(process.pid) as watch,
        ):
            peak = watch.peak()
        assert 100e6 < peak.own - 50e6 * counts < 120e6
        assert peak.pss > 150e6

    def test_the_driver_counts_our_processes_or_what_the_gpus_use_more(self, monkeypatch):
        replies = {"--query-gpu=memory.used": [["100"], ["50"]], "--query-compute-apps=pid,used_memory": []}
        monkeypatch.setattr(memory.shutil, "which", lambda name: name)
        monkeypatch.setattr(memory, "_query", lambda *what: replies[what[0]])
        watch = MemoryWatch(os.getpgrp())
        replies["--query-gpu=memory.used"] = [["1100"], ["1050"]]
        assert (watch.peak().gpu, watch.peak().gpu_by) == (2000 << 20, "total")
        replies["--query-compute-apps=pid,used_memory"] = [
            ["1", "9"],
            [str(os.getpid()), "700"],
            [str(os.getpid()), "300"],
        ]
        assert (watch.peak().gpu, watch.peak().gpu_by) == (1000 << 20, "process")
        watch.stop()


@contextmanager
def holding(size, also="pass"):
    """A process that holds as many bytes until it gets a line."""
    code = (
        f"{also}; x = b'x' * {size}; print('held', flush=True); input(); del x; print('dropped', flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@contextmanager
def watching(group):
    watch = MemoryWatch(group)
    yield watch
    watch.stop()


def test_other_work_is_seen_and_the_engines_is_not():
    """All of the machine's work but a busy process is less than all of it."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) as process:
        everything, besides = MachineWatch(NO_GROUP), MachineWatch(process.pid)
        before = processor_seconds(process.pid)
        while processor_seconds(process.pid) - before < 0.5:
            time.sleep(0.05)
        difference = everything.load().busy_with_others - besides.load().busy_with_others
        process.kill()
    assert difference > 0.02


@pytest.mark.parametrize(("busy", "disturbed"), [(None, False), (0.19, False), (0.21, True)])
def test_a_tenth_of_the_machine_is_worth_a_warning(busy, disturbed):
    assert MachineLoad(2, busy, 1.0).disturbed is disturbed


def test_times_of_a_shared_machine_have_a_warning(made, workspace):
    (run, _) = made()
    busy = MachineLoad(processors=2, busy_with_others=1.25, load_average=2.0)
    other_day = Measurement(machine=busy, created="2020-01-01T00:00:00+00:00")
    Store(workspace.store).add_measurement(run, other_day)
    (_, other) = made("other")
    notes = remarks([run, other])
    assert any("other processes used 1.2 of 2 CPUs while it was generated" in note for note in notes)
    assert any(note.startswith("Not measured on the same day: base 2020-01-01T00:00:00+00:00") for note in notes)


SERVED = {
    "date": "20261122-093000",
    "model_id": "m",
    "request_rate": 4.0,
    "completed": 100,
    "duration": 25.5,
    "request_throughput": 3.9,
    "output_throughput": 512.5,
    "median_ttft_ms": 31.5,
    "p99_ttft_ms": 80.0,
    "median_itl_ms": 6.5,
}


class TestServing:
    def test_vllms_files_become_rows_by_rate(self, tmp_path):
        for name, rate in (("a", "inf"), ("b", 4.0), ("c", 1)):
            (tmp_path / name).write_text(json.dumps({**SERVED, "request_rate": rate}))
        rows = read_serving([tmp_path / name for name in "abc"])
        assert [row.request_rate for row in rows] == [1.0, 4.0, None]
        assert rows[0].requests_per_s == 3.9
        assert rows[0].first_token_ms == 31.5
        assert rows[0].answer_ms is None

    @pytest.mark.parametrize(
        "text",
        ["{}", "[]", "no JSON", json.dumps(SERVED)[:-1] + ', "date": 1}', json.dumps({"date": "x", "model_id": "m"})],
    )
    def test_what_is_no_such_file_is_refused(self, tmp_path, text):
        (tmp_path / "a").write_text(text)
        with pytest.raises(ConfigError, match="not a result of `vllm bench serve"):
            read_serving([tmp_path / "a"])

    def test_they_are_stored_with_the_run(self, made, workspace):
        workspace.file("rate4.json", json.dumps(SERVED))
        (run, _) = made(serving=["rate4.json"])
        assert run.measurement.serving[0].tokens_per_s == 512.5
