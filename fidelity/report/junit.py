"""The verdicts as JUnit XML, for CI systems: one test suite per candidate, one test case per gate line.

A failed line is a failure; an inconclusive line is skipped, with the reason. Neither counts as passed. A line that
only warns (the gate has a `primary`) can't fail the pipeline, so it is skipped unless it passes. A candidate that
could not be compared is an error.
"""

from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.gate import Line, Outcome, Verdict
from fidelity.outside.strings import one_line, visible
from fidelity.report.content import NOT_QUALITY, describe_run, difference_in_words, differences_of
from fidelity.report.expected import expected_headlines
from fidelity.report.verdicts import NO_GATE, NOT_JUDGED, line_cells
from fidelity.report.votes import vote_lines
from fidelity.store.runs import Run


def as_junit(result: ComparisonSet, verdicts: Mapping[str, Verdict] = NO_GATE) -> str:
    """Return the whole file, with only characters that XML 1.0 allows."""
    root = ET.Element("testsuites", name="fidelity")
    runs = {candidate.run.name: candidate for candidate in result.candidates}
    for name in dict.fromkeys([*runs, *verdicts, *result.not_compared]):
        suite = _suite(root, name, result.baseline, runs.get(name))
        for word in _differences(result, name, verdicts):
            ET.SubElement(suite[0], "property", name="difference", value=one_line(word))
        own = replace(result, candidates=tuple(filter(None, [runs.get(name)])))
        lines = {"expected answers": expected_headlines(own), "votes": vote_lines(own)}
        for title, of_title in lines.items():
            for line in of_title:
                ET.SubElement(suite[0], "property", name=title, value=one_line(line))
        if verdict := verdicts.get(name):
            _judged(suite, verdict)
        elif name in result.not_compared:
            _case(suite, name, "not compared", "error", result.not_compared[name])
        else:
            _case(suite, name, "not judged", "skipped", NOT_JUDGED)
        ET.SubElement(suite, "system-out").text = NOT_QUALITY
    for element in (*root, root):
        _count(element)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _differences(result: ComparisonSet, name: str, verdicts: Mapping[str, Verdict]) -> list[str]:
    """The differences in conditions between a candidate and the baseline."""
    candidates = [candidate for candidate in result.candidates if candidate.run.name == name]
    return [difference_in_words(d) for scores in candidates for d in differences_of(result, scores, verdicts)]


def _suite(root: ET.Element, name: str, baseline: Run, scores: Scores | None) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=one_line(name))
    about = {"baseline": f"{baseline.name} ({describe_run(baseline)})"}
    if scores:
        about["candidate"] = f"{scores.run.name} ({describe_run(scores.run)})"
        about["failed prompts"] = str(len(scores.failed_prompts))
    properties = ET.SubElement(suite, "properties")
    for key, value in about.items():
        ET.SubElement(properties, "property", name=key, value=one_line(value))
    return suite


def _judged(suite: ET.Element, verdict: Verdict) -> None:
    together = {"candidates": verdict.candidates} if verdict.candidates > 1 else {}
    for key, value in {"confidence": verdict.confidence, "seed": verdict.seed, **together}.items():
        ET.SubElement(suite[0], "property", name=key, value=f"{value:g}")
    for line in verdict.lines:
        _line(suite, verdict.candidate, line)
    if verdict.outcome != "pass" and verdict.outcome not in {line.outcome for line in verdict.lines if line.decides}:
        _case(
            suite, verdict.candidate, "verdict", _KINDS[verdict.outcome], verdict.reason
        )  # no line has this by itself


_KINDS: Mapping[Outcome, str] = {"pass": "", "fail": "failure", "inconclusive": "skipped"}


def _line(suite: ET.Element, candidate: str, line: Line) -> None:
    kind, reason = _KINDS[line.outcome], line.reason
    if not line.decides and kind:
        kind, reason = "skipped", f"Warns only ({line.outcome}): {reason}"
    case = _case(suite, candidate, line.title, kind, reason)
    _, value, floor, excess, bound, limit, n = line_cells(line, None, None)
    cells = {"value": value, "floor": floor, "excess": excess, "bound": bound, "limit": limit, "n": n}
    if numbers := ", ".join(f"{key} {text}" for key, text in cells.items() if text):
        ET.SubElement(case, "system-out").text = numbers


def _case(suite: ET.Element, candidate: str, name: str, kind: str, reason: str) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=one_line(f"fidelity.{candidate}"), name=one_line(name), time="0")
    if kind:
        outcome = ET.SubElement(case, kind, message=one_line(reason))
        outcome.text = visible(reason)
    return case


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(element.findall(".//testcase"))))
    for kind in ("failure", "error", "skipped"):
        element.set(kind if kind == "skipped" else f"{kind}s", str(len(element.findall(f".//testcase/{kind}"))))
    element.set("time", "0")
