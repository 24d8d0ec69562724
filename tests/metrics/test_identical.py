from hypothesis import given

from fidelity.metrics.identical import Identical
from tests import laws


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Identical(), pairs, symmetric=["identical"])


def test_hard_texts():
    laws.check_hard_texts(Identical())
    laws.check_empty(Identical())


def test_one_character_is_enough():
    assert laws.values(Identical(), "The answer is 42.", "The answer is 42. ") == {"identical": 0.0}


def test_it_reads_texts_not_tokens():
    assert laws.values(Identical(), "abc", "abc", tokens=False) == {"identical": 1.0}


def test_a_label_precedes_the_name():
    assert Identical(label="raw").named("identical") == "raw.identical"
