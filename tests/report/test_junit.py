"""The JUnit file, read back by a public parser."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from fidelity.report import as_junit
from tests.report.conftest import HOSTILE, line, verdict


@pytest.fixture
def read(tmp_path):
    def read(*arguments):
        file = tmp_path / "junit.xml"
        file.write_text(as_junit(*arguments), encoding="utf-8")
        return {suite.name: suite for suite in JUnitXml.fromfile(str(file))}

    return read


def outcomes(suite):
    """Name of each case to what it came to; an empty list is passed."""
    return {case.name: [type(entry) for entry in case.result] for case in suite}


def test_a_suite_a_candidate_and_a_case_a_line(read, recordings, verdicts):
    suites = read(recordings, verdicts)
    assert list(suites) == ["bf16-serial", "bf16-eager", "w8a8-fp8"]
    assert outcomes(suites["bf16-serial"]) == {"rougeL": [], "failures": []}
    assert outcomes(suites["bf16-eager"]) == {"engine": [Skipped], "rougeL": [Skipped]}
    assert outcomes(suites["w8a8-fp8"]) == {
        "rougeL": [Failure],
        "identical": [Skipped],  # only warns: the exit code doesn't know it
        "worst 5% of rougeL": [Skipped],
        "newly broken json": [Failure],
        "failures": [],
    }
    fp8 = suites["w8a8-fp8"]
    assert (fp8.tests, fp8.failures, fp8.errors, fp8.skipped) == (5, 2, 0, 2)
    assert {p.name: p.value for p in fp8.properties()} == {
        "baseline": "bf16 (BF16)",
        "candidate": "w8a8-fp8 (W8A8-FP8)",
        "failed prompts": "0",
        "confidence": "0.95",
        "seed": "0",
    }


def test_the_reason_is_the_message(read, recordings, verdicts):
    suites = read(recordings, verdicts)
    margin, identical, *_ = suites["w8a8-fp8"]
    assert margin.result[0].message == "rougeL drifted."
    assert margin.system_out == "excess +0.580, bound ≥ +0.470, limit 0.050, n 64"
    assert identical.result[0].message == "Warns only (fail): Because."


def test_nothing_passes_that_was_not_judged(read, recordings, verdicts):
    result = replace(recordings, not_compared={"w4a16": "the engine died"})
    only = {"bf16-serial": verdicts["bf16-serial"]}
    suites = read(result, only)
    assert outcomes(suites["bf16-eager"]) == {"not judged": [Skipped]}
    assert outcomes(suites["w4a16"]) == {"not compared": [Error]}
    assert suites["w4a16"].errors == 1
    assert all(outcomes(suite) == {"not judged": [Skipped]} for suite in read(recordings).values())


def test_a_verdict_that_no_line_explains_has_a_case_of_its_own(read, recordings):
    judged = {"bf16-serial": verdict("bf16-serial", "inconclusive", line("pass"), reason="Never engaged.")}
    results = outcomes(read(recordings, judged)["bf16-serial"])
    assert results == {"rougeL": [], "verdict": [Skipped]}


def test_hostile_text_is_legal_xml(read, hostile):
    everything = "".join(map(chr, [*range(0x20), 0x7F, 0x85, 0xD800, 0xFFFE, 0xFFFF, 0x1F600])) + HOSTILE
    judged = {"quant": verdict("quant", "fail", line("fail", name=everything, reason=everything), reason=everything)}
    suites = read(hostile, judged)
    case, *_ = suites["quant"]
    assert "]]>" in case.result[0].text
    assert "␀␁␂" in case.result[0].text
    assert "<script>" in case.result[0].message
    ET.fromstring(as_junit(hostile, judged))
