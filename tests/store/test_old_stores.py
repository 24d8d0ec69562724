"""Stores that earlier versions wrote are read with the numbers that they had (tests/fixtures/make_store.py)."""

import json
import re
import shutil

import pytest

from fidelity.baselines import adopt, check
from fidelity.comparison.evidence import verdicts
from fidelity.comparison.stored import load_comparison
from fidelity.config import RunConfig
from fidelity.gate import load_gate
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.report import as_json, as_markdown
from fidelity.store.store import Store
from fidelity.store.studies import read_study
from tests.conftest import ROOT, Silent

OLD = ROOT / "tests" / "fixtures" / "store-v1"
COMPARISONS = sorted(file.stem for file in (OLD / "expected").glob("*.json"))
KINDS = ("identical", "rouge", "diversity", "tokens")

ESTIMATES = {"prompts_needed", "reason"}
"""The number of prompts that would decide, and its sentence: the estimate may improve."""


@pytest.fixture
def old(tmp_path):
    """A copy of the old store: a test that writes by mistake must change nothing in version control."""
    return Store(shutil.copytree(OLD / "store", tmp_path / "old"))


def expected(name):
    return (OLD / "expected" / name).read_text(encoding="utf-8")


def differences(expected, actual, place="$"):
    """Where a JSON document lacks something of an earlier one, or has another value; what was added since is fine."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            d
            for key in expected
            if key not in ESTIMATES
            for d in differences(expected[key], actual.get(key), f"{place}.{key}")
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [d for n, (before, now) in pairs for d in differences(before, now, f"{place}[{n}]")]
    return [] if expected == actual else [f"{place}: {expected} became {actual}"]


def table_numbers(text):
    """The numbers of each row of a report's tables: words may be edited, and columns may be added."""
    rows = [re.findall(r"[+-]?\d+(?:\.\d+)?", line) for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row]


def is_within(numbers, whole):
    rest = iter(whole)
    return all(number in rest for number in numbers)


def test_the_listing(fidelity, old):
    code, out, _ = fidelity("list", "--store", old.root)
    assert code == 0
    lines = [re.split(r"\s*[│]\s*", line.strip()) for line in out.splitlines()]
    for line in expected("listing.txt").splitlines():
        if "│" in line:
            assert re.split(r"\s*[│]\s*", line.strip()) in lines


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_numbers_of_a_comparison_and_its_report(old, name):
    result = load_comparison(old.root / "comparisons" / name)
    judged = verdicts(result, load_gate(OLD / "gate.yaml"))
    assert differences(json.loads(expected(f"{name}.json")), json.loads(json.dumps(as_json(result, judged)))) == []
    shown = table_numbers(as_markdown(result, judged))
    missing = [
        row for row in table_numbers(expected(f"{name}.md")) if not any(is_within(row, other) for other in shown)
    ]
    assert missing == []


def test_stored_runs_compared_anew_have_the_same_values(old, tmp_path):
    def stored(name):
        [path] = (old.root / "runs").glob(f"{name}-*")
        return RunConfig.model_validate({"name": name, "engine": {"kind": "stored", "path": str(path)}})

    metrics = [metric_of_kind(kind) for kind in KINDS]
    store = Store(tmp_path / "new")
    [anew] = compare(
        ComparisonRequest(stored("base"), [stored("int8")], metrics), store=store, listener=Silent()
    ).candidates
    [name] = (old.root / "comparisons").glob("base--int8-*")
    [before] = load_comparison(name).candidates
    assert anew.columns.keys() >= before.columns.keys()
    assert {n: anew.columns[n].column for n in before.columns} == {n: c.column for n, c in before.columns.items()}
    assert anew.comparison.path.name == before.comparison.path.name  # the digests are those of the old store


def test_a_study_and_the_reasons_in_it(old):
    study = read_study(old.root / "studies" / "towns")
    assert study.gate == {"margins": {"rougeL": 0.1}}
    assert [(cell.candidate, cell.format) for cell in study.cells if cell.comparison] == [
        ("town-fp8", "W8A8-FP8"), ("town-int4", "W4A16-INT4")
    ]  # fmt: skip
    [lost] = [cell for cell in study.cells if not cell.comparison]
    assert "town-lost.jsonl: can't be read" in lost.why


def test_an_exported_baseline(old, tmp_path):
    base, control = adopt(OLD / "exported", Store(tmp_path / "new"))
    [stored] = (old.root / "runs").glob("base-*")
    assert (base.id, control.name) == (stored.name, "base.control1")
    assert base.outcomes() == next(run for run in old.runs() if run.id == base.id).outcomes()
    findings = {f.what: f.fits for f in check(OLD / "exported", remembered=tmp_path / "hashes.json")}
    assert findings["controls"]
