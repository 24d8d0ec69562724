"""Laws of records and journals: what is written comes back, and what was changed is refused by name or is the same."""

import json
from dataclasses import replace
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fidelity.baselines.files import BaselineIndex
from fidelity.checkpoints.remembered import damage_of_remembered, read_remembered, remember
from fidelity.errors import StoreError
from fidelity.records import Failure, Generation
from fidelity.store.journal import Journal, broken_lines, drop_broken_lines
from fidelity.store.manifests import ColumnSource, ComparisonManifest
from fidelity.store.measurements import ChunkTime, Measurement
from fidelity.store.record_files import read_record, write_record
from fidelity.store.studies import Cell, StudyManifest
from fidelity.store.token_scores import Depth, ScoresManifest
from tests.manifests import run_manifest

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,11}", fullmatch=True)
COUNTS = st.integers(0, 2**40)
SECONDS = st.none() | st.floats(0, 1e9)
TOKENS = st.lists(st.integers(0, 2**31 - 1), max_size=4).map(tuple)

RUNS = st.builds(
    lambda name, label, seed, failures, digest: run_manifest(
        name, label=label, seed=seed, failures=failures, digest=digest
    ),
    NAMES,
    st.none() | TEXT,
    st.none() | COUNTS,
    st.integers(0, 3),
    NAMES,
)
COMPARISONS = st.builds(
    ComparisonManifest,
    baseline=NAMES,
    candidate=NAMES,
    created=TEXT,
    reasoning=st.none(),
    prompt_ids=st.lists(TEXT, max_size=3).map(tuple),
    failures=st.dictionaries(TEXT, TEXT, max_size=2),
    failed_prompts=st.lists(TEXT, max_size=2).map(tuple),
    same=st.just({"texts": False}),
    columns=st.dictionaries(NAMES, st.builds(ColumnSource, signature=TEXT, column=NAMES, chance=st.none() | TEXT)),
    controls=st.none() | st.lists(NAMES, max_size=2).map(tuple),
    candidates=st.integers(1, 9),
)
SCORES = st.builds(
    ScoresManifest,
    scorer=NAMES,
    baseline=NAMES,
    depth=st.builds(Depth, st.integers(-1, 100)),
    failed=st.none() | TEXT,
    files=st.none() | st.dictionaries(NAMES, TEXT, max_size=2),
)
MEASUREMENTS = st.builds(
    Measurement,
    seconds=SECONDS,
    tokens=st.none() | COUNTS,
    chunks=st.lists(st.builds(ChunkTime, prompts=COUNTS, tokens=COUNTS, seconds=st.floats(0, 9)), max_size=2).map(
        tuple
    ),
    profile=st.none() | st.dictionaries(TEXT, st.floats(0, 9), max_size=2),
)
STUDIES = st.builds(
    StudyManifest,
    name=NAMES,
    cells=st.lists(
        st.builds(Cell, family=TEXT, baseline=TEXT, candidate=TEXT, format=TEXT, parameters=st.none() | COUNTS),
        max_size=2,
    ).map(tuple),
    gate=st.none() | st.just({"margins": {"rougeL": 0.05}}),
)
BASELINES = st.builds(
    BaselineIndex,
    runs=st.lists(RUNS, min_size=1, max_size=2).map(tuple),
    files=st.dictionaries(NAMES, TEXT, max_size=2),
    scores=st.just(()),
)
RECORDS = st.one_of(RUNS, COMPARISONS, SCORES, MEASUREMENTS, STUDIES, BASELINES)
OUTCOMES = st.one_of(
    st.builds(Failure, TEXT, TEXT, st.integers(0, 3), cause=st.sampled_from(["model", "world"])),
    st.builds(
        lambda prompt, text, ids, finish, repeat: Generation(
            prompt, text, ids, tuple(-0.5 for _ in ids), finish, repeat=repeat
        ),
        TEXT,
        TEXT,
        TOKENS,
        st.none() | TEXT,
        st.integers(0, 3),
    ),
)


@st.composite
def mutated(draw, content):
    """Bytes after one accident: flipped bits, a cut, lost or swapped or doubled lines, garbage."""
    place = draw(st.integers(0, max(0, len(content) - 1)))
    lines = content.splitlines(keepends=True)
    match draw(st.sampled_from(["bit", "bits", "cut", "insert", "swap", "double", "lose", "zeros"])):
        case "bit":
            return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
        case "bits":
            return content[:place] + draw(st.binary(min_size=1, max_size=8)) + content[place + 8 :]
        case "cut":
            return content[:place]
        case "insert":
            return content[:place] + draw(st.binary(min_size=1, max_size=8)) + content[place:]
        case "swap":
            one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
            lines[one], lines[other] = lines[other], lines[one]
        case "double":
            lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
        case "lose":
            del lines[draw(st.integers(0, len(lines) - 1))]
        case "zeros":
            return content[:place] + bytes(len(content) - place)
    return b"".join(lines)


WRONG = st.sampled_from([None, True, 7, -1, 1.5, "x", [], {}, [[]], {"x": {}}, 10**30, "\x00", "../x"])


@st.composite
def wrong_type(draw, data):
    """JSON data with another value at a random place."""
    if isinstance(data, dict) and data and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(data)))
        return {**data, key: draw(wrong_type(data[key]))}
    if isinstance(data, list) and data and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(data) - 1))
        return [*data[:place], draw(wrong_type(data[place])), *data[place + 1 :]]
    return draw(WRONG)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "record" / "manifest.json"


def outcome_of(file, kind):
    """What is read from a file, and why nothing is."""
    try:
        return read_record(file, kind), ""
    except StoreError as error:
        return None, str(error)


@QUICK
@given(record=RECORDS)
def test_a_record_comes_back(file, record):
    write_record(file, record)
    assert read_record(file, type(record)) == record


@QUICK
@given(record=RECORDS, data=st.data())
def test_a_changed_record_is_refused_by_name_or_equal(file, record, data):
    write_record(file, record)
    file.write_bytes(data.draw(mutated(file.read_bytes())))
    read, refusal = outcome_of(file, type(record))
    assert read in (record, None)
    assert refusal.isprintable()
    assert (str(file.parent) in refusal) == (read is None)


@QUICK
@given(record=RECORDS, data=st.data())
def test_wrong_types_are_refused_by_name_whether_or_not_the_seal_is_there(file, record, data):
    """Without a seal, as older versions wrote it, another value of the right type is not noticed."""
    write_record(file, record)
    written = data.draw(wrong_type(json.loads(file.read_text(encoding="utf-8"))))
    if isinstance(written, dict) and data.draw(st.booleans()):
        written.pop("seal", None)
    sealed = isinstance(written, dict) and written.get("seal") is not None
    file.write_text(json.dumps(written), encoding="utf-8")
    read, refusal = outcome_of(file, type(record))
    assert read in (record, None) or not sealed
    assert (str(file.parent) in refusal) == (read is None)
    assert len(refusal) < 2000


@QUICK
@given(outcomes=st.lists(OUTCOMES, max_size=4), data=st.data())
def test_a_journal_comes_back_and_an_accident_only_loses_answers(tmp_path, outcomes, data):
    file = tmp_path / "answers.jsonl"
    file.unlink(missing_ok=True)
    with Journal(file) as journal:
        for place, outcome in enumerate(outcomes):
            journal.add(place, outcome)
    assert list(Journal(file).outcomes()) == list(enumerate(outcomes))
    assert broken_lines(file) == []
    if not outcomes:
        return
    file.write_bytes(data.draw(mutated(file.read_bytes())))
    remaining = dict(Journal(file).outcomes())
    assert remaining.items() <= dict(enumerate(outcomes)).items()
    drop_broken_lines(file)
    assert broken_lines(file) == []
    assert dict(Journal(file).outcomes()) == remaining
    with Journal(file) as journal:
        for place, outcome in enumerate(outcomes):
            if place not in journal.places:
                journal.add(place, outcome)
    assert dict(Journal(file).outcomes()) == dict(enumerate(outcomes))


@QUICK
@given(outcome=OUTCOMES, data=st.data())
def test_a_line_with_a_wrong_type_and_the_right_checksum_is_no_outcome_or_a_valid_one(tmp_path, outcome, data):
    file = tmp_path / "answers.jsonl"
    file.unlink(missing_ok=True)
    with Journal(file) as journal:
        journal.add(0, outcome)
    written = data.draw(wrong_type(json.loads(file.read_bytes().partition(b"\t")[0])))
    line = json.dumps(written).encode()
    file.write_bytes(line + f"\t{crc32(line):08x}\n".encode())
    for place, read in Journal(file).outcomes():
        assert type(place) is int
        assert replace(read) == read
        assert isinstance(read, Failure | Generation)


@QUICK
@given(
    entries=st.dictionaries(TEXT, st.one_of(TEXT, st.dictionaries(TEXT, COUNTS, max_size=2)), max_size=3),
    data=st.data(),
)
def test_what_is_remembered_comes_back_or_is_forgotten(tmp_path, entries, data):
    file = tmp_path / "hashes.json"
    file.unlink(missing_ok=True)
    remember(file, entries)
    assert read_remembered(file) == entries
    file.write_bytes(data.draw(mutated(file.read_bytes())))
    assert read_remembered(file) in (entries, {})
    assert (read_remembered(file) == entries) == (not damage_of_remembered(file)) or not entries
