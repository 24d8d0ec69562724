"""Benchmarks' own judgments in recorded files: lm-eval's samples of a real run, and logs of Inspect."""

import json
import zipfile

import pytest

from fidelity.engines.recordings import read_recorded
from fidelity.errors import ConfigError
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.report.expected import expected_json
from fidelity.runs.sources import config_of
from fidelity.stats import sign_test
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.test_recorded_formats import sample

SAMPLES = ROOT / "tests" / "fixtures" / "lm_eval"
"""`lm_eval --model hf --tasks little_sums --log_samples` with SmolLM2-135M and its INT8 copy, lm-eval 0.4.13, CPU."""


def scores(path):
    return [row.get("score") for _, row in read_recorded(path).rows]


def write(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_a_real_run_of_lm_eval_is_judged_as_it_judged_itself(tmp_path):
    # lm-eval's own table: flexible-extract 0.20 and 0.10 of 20, strict-match 0 of 20 (it extracts nothing).
    baseline, candidate = (config_of(SAMPLES / f"{name}.jsonl") for name in ("bf16", "int8"))
    result = compare(
        ComparisonRequest(baseline, [candidate], [metric_of_kind("expected")]),
        store=Store(tmp_path / "store"),
        listener=Silent(),
    )
    expected = expected_json(result, result.candidates[0])
    assert (expected["baseline_right"], expected["right"], expected["prompts"]) == (4, 2, 20)
    assert (expected["drops"], expected["gains"]) == (2, 0)


def test_filters_that_disagree_leave_an_answer_unclear(tmp_path):
    def of(strict, flexible, *, extracted="4"):
        return [
            sample(0, "2 + 2?", "4", filter="strict-match", filtered_resps=[extracted], exact_match=strict),
            sample(0, "2 + 2?", "4", filter="flexible-extract", exact_match=flexible),
        ]

    assert scores(write(tmp_path / "a.jsonl", *of(1.0, 1.0))) == ["right"]
    assert scores(write(tmp_path / "b.jsonl", *of(0.0, 1.0))) == ["unclear"]
    assert scores(write(tmp_path / "c.jsonl", *of(0.0, 1.0, extracted="[invalid]"))) == ["right"]
    assert scores(write(tmp_path / "d.jsonl", sample(0, "2 + 2?", "4", exact_match=0.5))) == [None]
    assert scores(write(tmp_path / "e.jsonl", sample(0, "2 + 2?", "4", metrics=["bleu"], bleu=0.3))) == [None]
    assert scores(write(tmp_path / "f.jsonl", sample(0, "2 + 2?", "4", "5"))) == [None, None]  # scored together


def inspect_sample(number, answer, value, **more):
    return {
        "id": number,
        "epoch": 1,
        "input": "2 + 2?",
        "target": "4",
        "messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": answer}],
        "output": {"model": "m", "choices": [{"message": {"content": answer}, "stop_reason": "stop"}]},
        "scores": {"match": {"value": value, "answer": answer}},
        **more,
    }


VALUES = {"C": "right", "I": "wrong", "N": "wrong", "P": "unclear", 1: "right", 0.0: "wrong", 0.5: None}


def inspect_samples():
    return [inspect_sample(n, "4", value) for n, value in enumerate(VALUES)]


def test_a_log_of_inspect_as_json(tmp_path):
    file = write(tmp_path / "log.json", {"version": 2, "eval": {"task": "t"}, "samples": inspect_samples()})
    recording = read_recorded(file)
    assert recording.format == "a log of Inspect"
    assert scores(file) == list(VALUES.values())
    assert recording.rows[0][1]["prompt"] == [{"role": "user", "content": "2 + 2?"}]


def test_a_log_of_inspect_as_an_archive(tmp_path):
    file = tmp_path / "log.eval"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        for n, one in enumerate(inspect_samples()):
            archive.writestr(f"samples/{n}_epoch_1.json", json.dumps(one))
    assert sorted(map(str, scores(file))) == sorted(map(str, VALUES.values()))


def test_an_inspect_sample_that_failed_or_has_two_scorers(tmp_path):
    failed = inspect_sample(1, "", "I", error={"message": "timeout", "traceback": "..."})
    two = inspect_sample(2, "4", "C", scores={"a": {"value": "C"}, "b": {"value": "I"}})
    long = inspect_sample(3, "attachment://x", "C", attachments={"x": "a long answer"})
    rows = [
        row for _, row in read_recorded(write(tmp_path / "l.json", {"eval": {}, "samples": [failed, two, long]})).rows
    ]
    assert rows[0]["failure"] == "timeout"
    assert rows[1]["score"] == "unclear"
    assert rows[2]["text"] == "a long answer"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_a_damaged_archive_is_refused(tmp_path, content):
    file = tmp_path / "log.eval"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="not a log of Inspect, or damaged"):
        read_recorded(file)


def test_the_demos_p_values_by_hand():
    # INT8: 10 of 13 discordant prompts lost: 2 (C(13,10) + C(13,11) + C(13,12) + 1) / 2^13 = 2 * 378 / 8192.
    assert sign_test(10, 13) == pytest.approx(756 / 8192)
    # INT4: 23 of 31.
    assert sign_test(23, 31) == pytest.approx(22921898 / 2**31)
