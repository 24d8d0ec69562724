"""A damaged file of a store changes no number silently: its comparison is refused by name, or judged as before."""

import json
import random

import pytest

from tests.conftest import RECORDINGS

FLIPS = {"fast": 1, "slow": 24}
ONE_EACH = {
    "emptied": lambda content, _: b"",
    "cut in half": lambda content, _: content[: len(content) // 2],
    "garbage": lambda content, _: b"\0" * len(content),
    "last 8 bytes gone": lambda content, _: content[:-8],
    "missing": None,
}


def flipped(content, draw):
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


EDITS = {
    "a list": lambda data: [data],
    "null": lambda data: None,
    "wrong types": lambda data: {key: value if key == "schema_version" else 7 for key, value in data.items()},
    "only the schema": lambda data: {"schema_version": 1},
    "without some keys": lambda data: {k: v for k, v in data.items() if k not in ("counts", "prompt_ids", "columns")},
    "another version": lambda data: {**data, "schema_version": "x"},
}


def edited(edit):
    return lambda content, _: json.dumps(edit(json.loads(content))).encode()


@pytest.fixture
def judged(workspace, fidelity):
    """Compares recorded runs, and gives a function that judges what is stored: exit code, output, numbers."""
    names = {"bf16": "bf16", "quant": "w8a8-fp8"}
    paths = {
        name: workspace.run(
            name,
            model=None,
            label=name,
            engine={"kind": "recorded", "path": str(RECORDINGS / f"{file}.jsonl")},
            **(
                {"control": {"path": str(RECORDINGS / "bf16-rev.jsonl")}, "metrics": ["rouge", "identical"]}
                if name == "bf16"
                else {}
            ),
        )
        for name, file in names.items()
    }
    gate = workspace.file("gate.yaml", "margins: {rougeL: 0.05}")
    assert fidelity("compare", *paths.values(), "--store", workspace.store)[0] == 0
    (path,) = workspace.store.glob("comparisons/bf16--quant-*")

    def judge():
        report = workspace.folder / "out.json"
        report.unlink(missing_ok=True)
        code, out, err = fidelity("gate", "check", path, "--gate", gate, "--json", report)
        data = json.loads(report.read_text()) if report.is_file() else None
        listing = fidelity("list", "--store", workspace.store)
        return code, out + err + "".join(map(str, listing)), data

    return judge


def damages_of(file, flips):
    yield from ONE_EACH.items()
    yield from ((f"bit {number}", flipped) for number in range(flips))
    if file.name == "manifest.json":
        yield from ((name, edited(edit)) for name, edit in EDITS.items())


@pytest.mark.parametrize("size", ["fast", pytest.param("slow", marks=pytest.mark.slow)])
def test_each_damage_is_refused_by_name_or_changes_nothing(workspace, judged, size):
    draw, truth = random.Random(7), judged()
    assert truth[2], truth
    every = sorted(workspace.store.rglob("*.parquet")) + sorted(workspace.store.rglob("*.json"))
    files = every if size == "slow" else every[::3] + every[1::5]
    refused = harmless = 0
    for file in files:
        whole = file.read_bytes()
        for name, damage in damages_of(file, FLIPS[size]):
            if damage is None:
                file.unlink()
            else:
                file.write_bytes(damage(whole, draw))
            code, out, numbers = judged()
            file.write_bytes(whole)
            where = f"{file.relative_to(workspace.store)}, {name}: exit {code}, {out}"
            assert "Traceback" not in out, where
            if numbers is None:
                assert code == 2, where
                assert file.parent.name in out, where
                refused += 1
            else:
                assert (code, numbers) == (truth[0], truth[2]), where
                harmless += 1
    assert refused > harmless / 2 > 0
    assert size == "fast" or refused + harmless >= 500
    assert judged()[2] == truth[2]
