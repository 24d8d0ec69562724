"""Answers, pairs and columns in small batches from temporary files: every number is that of one large batch."""

import json
from importlib.resources import files

import pytest

import fidelity
from fidelity import spool
from fidelity.comparison import batches
from fidelity.files import read_parquet
from fidelity.store import run_chunks

RECORDINGS = files("fidelity") / "sample_data" / "h100-smollm2-135m"
METRICS = ["identical", "rouge", "chrf", "edit", "length", "conflicts", "breaks"]


def compared(store):
    """All tables and manifests of a comparison with a control, by path."""
    fidelity.compare(
        RECORDINGS / "bf16.jsonl",
        RECORDINGS / "w4a16.jsonl",
        control=RECORDINGS / "bf16-rev.jsonl",
        metrics=METRICS,
        limit=23,
        store=store,
    )
    tables = {path.relative_to(store): read_parquet(path) for path in store.glob("comparisons/*/*.parquet")}
    manifests = {path.relative_to(store): json.loads(path.read_text()) for path in store.glob("comparisons/*/*.json")}
    for manifest in manifests.values():
        del manifest["created"], manifest["seal"], manifest["answers"]  # hashes of files with other row groups
    return tables, manifests


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    return compared(tmp_path_factory.mktemp("at-once"))


@pytest.mark.parametrize("pairs", [1, 4])
def test_batches_change_no_number(tmp_path, at_once, monkeypatch, pairs):
    monkeypatch.setattr(batches, "PAIRS_OF_A_CHUNK", pairs)
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 100)
    monkeypatch.setattr(run_chunks, "ROWS_READ_AT_ONCE", 3)
    tables, manifests = compared(tmp_path)
    assert len(tables) > 3 * len(METRICS)  # of three pairs of runs, and two have chance levels
    assert tables.keys() == at_once[0].keys()
    assert [name for name in tables if not tables[name].equals(at_once[0][name], check_metadata=True)] == []
    assert manifests == at_once[1]
