"""Answers that were there when a command was killed."""

import pytest

from fidelity.records import Failure, Generation
from fidelity.store.journal import Journal

WHOLE = Generation("p0", "ä\n\u2028", (1, 2), (-0.1, -1e-9), "stop", reasoning="hm")
OUTCOMES = [(2, WHOLE), (0, Failure("p1", "no answer")), (5, Generation("p2", ""))]


@pytest.fixture
def file(tmp_path):
    with Journal(tmp_path / "answers.jsonl") as journal:
        for place, outcome in OUTCOMES:
            journal.add(place, outcome)
    return tmp_path / "answers.jsonl"


def test_what_was_kept_comes_back_as_it_was(file):
    assert list(Journal(file).outcomes()) == OUTCOMES
    with Journal(file) as journal:
        assert list(journal.places) == [2, 0, 5]
        journal.add(1, WHOLE)
        assert list(journal.places) == [2, 0, 5, 1]
    assert list(Journal(file).outcomes()) == [*OUTCOMES, (1, WHOLE)]


def test_a_torn_line_is_no_outcome_and_the_next_is_not_lost_with_it(file):
    whole = file.read_bytes()
    for torn in range(len(whole) - 2, len(whole) - 60, -7):
        file.write_bytes(whole[:torn])
        with Journal(file) as journal:
            assert list(journal.places) == [2, 0]
            journal.add(5, WHOLE)
        assert list(Journal(file).outcomes()) == [*OUTCOMES[:2], (5, WHOLE)]


def test_a_place_that_stands_twice_counts_once(file):
    file.write_bytes(file.read_bytes() * 2 + b"\x00\n[]\n{}\n7\n")
    assert list(Journal(file).outcomes()) == OUTCOMES


def test_there_may_be_none(tmp_path):
    assert list(Journal(tmp_path / "none").outcomes()) == []
