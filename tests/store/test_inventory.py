"""`fidelity store check`: every damage is named, and a repair moves it away without deleting an answer."""

import fcntl
import json
import random

import pytest

from fidelity.store.inventory import check, repair
from fidelity.store.runs import RunWriter
from tests.store.whole_store import IDS, make_store, make_unfinished

FILES = {
    "runs/*/generations.parquet": "answers of",
    "runs/*/manifest.json": "answers of",
    "comparisons/*/rouge-*.parquet": "rouge scores",
    "comparisons/*/manifest.json": "its scores",
    "scores/*/chunk-00000.parquet": "token scores",
    "scores/*/tokens.json": "token scores",
    "scores/*/manifest.json": "token scores",
    "measurements/*/manifest.json": "speed",
    "heads/*/head.safetensors": "a model's head",
    "heads/*/manifest.json": "a model's head",
    "studies/*/manifest.json": "list of its comparisons",
    "reviews/*/*.json": "reviewer's vote",
    "hashes.json": "computed or asked again",
    "servers.json": "computed or asked again",
    "embeddings/*.sqlite": "embeddings",
}
LATER = (
    *("hashes.json", "servers.json", "embeddings/*.sqlite", "measurements/*/manifest.json", "scores/*/tokens.json"),
    "reviews/*/*.json",
)
"""Files that no finished number needs: if they are missing, that is no damage."""


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def flipped(content, seed=1):
    draw = random.Random(seed)
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


DAMAGES = {
    "emptied": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"\0" * len(content),
    "without its last bytes": lambda content: content[:-8],
}


def test_a_whole_store_is_whole_and_stays_as_it_is(store):
    before = contents(store.root)
    result = check(store)
    assert (result.damages, result.leftovers, result.in_use) == ((), (), ())
    counts = {"runs": 2, "comparisons": 1, "scores": 2, "heads": 1, "measurements": 1, "studies": 1, "reviews": 1}
    assert result.checked == counts
    assert contents(store.root) == before


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("pattern", FILES)
def test_each_damage_is_named_and_moved_away(store, pattern, damage):
    file = sorted(store.root.glob(pattern))[0]
    file.write_bytes(damage(file.read_bytes()))
    broken = contents(store.root)
    (first, *_) = check(store).damages
    assert str(file) in first.reason
    assert FILES[pattern] in first.lost
    quarantine, left = repair(store)
    assert left.damages == ()
    moved = contents(quarantine)
    remaining = contents(store.root)
    assert moved[file.relative_to(store.root)] == broken[file.relative_to(store.root)]
    for name, content in broken.items():  # nothing with an answer or a number is deleted
        if name.suffix == ".parquet":
            assert content in (moved.get(name), remaining.get(name))


@pytest.mark.parametrize("pattern", FILES)
def test_a_flipped_bit_is_named_wherever_it_counts(store, pattern):
    """In a Parquet file that has a hash, any bit; a score file has bits that no number depends on."""
    file = sorted(store.root.glob(pattern))[0]
    whole, unnoticed = file.read_bytes(), 0
    for seed in range(12):
        file.write_bytes(flipped(whole, seed))
        unnoticed += not check(store).damages
    if pattern.endswith(".sqlite"):  # most of its pages are empty
        return
    assert unnoticed == 0 or "comparisons/*/rouge" in pattern
    assert unnoticed < 6


@pytest.mark.parametrize("pattern", [pattern for pattern in FILES if pattern not in LATER])
def test_a_file_that_is_missing_is_named(store, pattern):
    file = sorted(store.root.glob(pattern))[0]
    file.unlink()
    if pattern in ("studies/*/manifest.json", "scores/*/manifest.json"):
        assert check(store).damages == ()  # nothing refers to a study, and scores without a manifest are continued
        return
    reasons = " ".join(damage.reason for damage in check(store).damages)
    assert "missing" in reasons
    assert file.parent.name in reasons
    assert repair(store)[1].damages == ()


def test_scores_that_are_gone_are_no_longer_listed(store):
    (comparison,) = store.comparisons()
    for file in comparison.path.glob("rouge-*.parquet"):
        file.unlink()
    repair(store)
    (comparison,) = store.comparisons()
    assert comparison.manifest.columns == {}
    assert comparison.prompt_ids == IDS


def test_an_unfinished_run_keeps_its_whole_answers(store):
    writer = make_unfinished(store)
    assert check(store).damages == ()
    journal = writer.path / "answers-00001.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(flipped(lines[0][:40]) + lines[0][40:] + lines[1] + lines[1][:30])
    (damage,) = check(store).damages
    assert (damage.path, damage.lost[:1]) == (journal, "2")
    quarantine, left = repair(store)
    assert left.damages == ()
    assert len(contents(quarantine)) == 1
    assert [place for place, _ in RunWriter(writer.path).journal(1).outcomes()] == [1]
    chunk = writer.path / "chunk-00000.parquet"
    chunk.write_bytes(DAMAGES["cut in half"](chunk.read_bytes()))
    repair(store)
    assert RunWriter(writer.path).finished == set()


def test_what_killed_commands_left_is_removed_and_what_is_being_written_is_not(store):
    run = store.root / "runs" / "base-aaaaaaaa"
    leftovers = [store.root / ".hashes.json.0.draft", run / ".x.0.draft", run / "chunk-00003.parquet"]
    for file in leftovers:
        file.write_bytes(b"left")
    alive = run / ".y.1.draft"
    with alive.open("wb") as draft:
        fcntl.flock(draft, fcntl.LOCK_EX)
        assert sorted(check(store).leftovers) == sorted(leftovers)
        repair(store)
        assert alive.is_file()
    assert not any(file.exists() for file in leftovers)


def test_a_run_that_is_being_written_is_left_alone(store):
    with store.writing("killed", "dd" * 8) as writer:
        (writer.path / "chunk-00000.parquet").write_bytes(b"half")
        result = check(store)
    assert (result.damages, result.in_use) == ((), (writer.path,))


def test_a_link_out_of_the_store_is_moved_and_what_it_leads_to_stays(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (store.root / "runs" / "evil-00000000").symlink_to(outside)
    (damage,) = check(store).damages
    assert "leads out of the store" in damage.reason
    assert repair(store)[1].damages == ()
    assert (outside / "precious").read_text() == "x"


class TestCommand:
    def test_its_exit_code_is_the_answer(self, fidelity, store):
        assert fidelity("store", "check", "--store", store.root)[0] == 0
        file = store.root / "runs" / "base-aaaaaaaa" / "manifest.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "label": "better\x1b[2J"}))
        code, out, _ = fidelity("store", "check", "--store", store.root)
        assert code == 1
        assert "runs/base-aaaaaaaa: damaged: " in out
        assert "changed after it was written" in out
        assert "  lost: the answers of base-aaaaaaaa" in out
        assert "\x1b" not in out
        code, out, _ = fidelity("store", "check", "--repair", "--store", store.root)
        assert code == 0
        assert "moved to" in out
        assert fidelity("store", "check", "--store", store.root)[0] == 0

    def test_no_store_is_no_whole_store(self, fidelity, tmp_path):
        code, _, err = fidelity("store", "check", "--store", tmp_path / "nowhere")
        assert code == 2
        assert "no such directory" in err
