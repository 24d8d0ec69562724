"""Answers, pairs and columns in small batches from temporary files: every number is that of one large batch."""

import json
from importlib.resources import files

import pytest

import fidelity
from fidelity import spool
from fidelity.comparison import batches
from fidelity.comparison.batches import PairChunk
from fidelity.files import read_parquet
from fidelity.metrics.conflicts import Conflicts
from fidelity.records import Generation, Pair, Prompt
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


def test_metrics_read_several_tables_place_by_place_and_keep_their_columns_apart():
    texts = [f"In {n} the river had {n % 3} bridges. It never rains in May." for n in range(9)]
    tables = [
        [Pair(Prompt(str(n), ""), Generation(str(n), text), Generation(str(n), other)) for n, text in enumerate(texts)]
        for other in (texts[0], "It always rains in May.", "")
    ]
    metric = Conflicts()
    (columns,) = PairChunk([(metric, [2, 0, 1])], tables).score()
    alone = [metric.score(tables[number]) for number in (2, 0, 1)]
    assert [[c.values for c in own] for own in columns] == [[c.values for c in own] for own in alone]
    assert [[c.sides for c in own] for own in columns] == [[c.sides for c in own] for own in alone]
    (uneven,) = PairChunk([(metric, [0, 1])], [tables[0][:4], tables[1]]).score()
    assert [list(c.values) for c in uneven[1]] == [list(c.values) for c in alone[2]]
