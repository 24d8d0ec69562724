"""Records in a temporary file: what was appended is read, in any order, from memory and from disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity import spool
from fidelity.records import Failure, Generation
from fidelity.spool import Spool

RECORDS = [Generation("a", "text 😀", (1, 2), (-0.5, 0.0)), Failure("b", "gone", cause="world"), Generation("c", "")]


@pytest.fixture(params=[(0, 1), (0, 1 << 24), (1 << 20, 1 << 24), (100, 1 << 24)])
def most_in_memory(request, monkeypatch):
    """All in a file, all as bytes, all as objects, and as objects until they are more than 100 bytes."""
    for name, size in zip(("MOST_AS_OBJECTS", "MOST_IN_MEMORY"), request.param, strict=True):
        monkeypatch.setattr(spool, name, size)


@pytest.mark.usefixtures("most_in_memory")
def test_what_is_appended_between_reads_is_read():
    records = Spool[object](RECORDS[:1])
    assert records[0] == RECORDS[0]
    for record in RECORDS[1:]:
        records.append(record)
        assert records[0] == RECORDS[0]
    assert list(records) == RECORDS
    assert [records[-1], records[1]] == [RECORDS[2], RECORDS[1]]
    assert records[1:] == RECORDS[1:]
    assert len(records) == 3


@pytest.mark.usefixtures("most_in_memory")
def test_no_record_is_beyond_the_end():
    with pytest.raises(IndexError):
        Spool[object](RECORDS)[3]
    assert list(Spool[object]()) == []


@given(st.lists(st.binary(max_size=300), max_size=20), st.data())
def test_any_records_in_any_order(records, data):
    spooled = Spool(records)
    for place in data.draw(st.permutations(range(len(records)))):
        assert spooled[place] == records[place]
