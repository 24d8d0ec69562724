import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sacrebleu", reason="chrF needs the extra 'lexical'")

from sacrebleu.metrics import CHRF

from fidelity.errors import MissingPackageError
from fidelity.metrics import base
from fidelity.metrics.chrf import Chrf
from tests import laws


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Chrf(), pairs)


@given(laws.texts)
def test_identical_texts_give_exactly_one(text):
    laws.check_identity(Chrf(), text)


def test_hard_texts():
    laws.check_hard_texts(Chrf())
    laws.check_empty(Chrf())


def test_by_hand():
    # baseline abc, candidate abd. Both have orders 1 to 3: 2 of 3 characters, 1 of 2 pairs (ab), 0 of 1 triples.
    # Precision and recall are both (2/3 + 1/2 + 0) / 3 = 7/18, and so is their F-score. chrF++ adds the word: 0 of 1,
    # so (2/3 + 1/2 + 0 + 0) / 4 = 7/24; there are no word pairs.
    assert laws.values(Chrf(), "abc", "abd") == pytest.approx({"chrf": 7 / 18, "chrf++": 7 / 24}, abs=1e-15)


def test_the_baseline_is_the_reference():
    # All of "abc" is in "abcdef" (recall 1, counted twice as much); half of the latter is extra.
    values = [laws.values(Chrf(), *sides)["chrf"] for sides in (("abc", "abcdef"), ("abcdef", "abc"))]
    assert values[0] > values[1]


@settings(max_examples=200)
@given(laws.texts, laws.texts)
def test_it_is_exactly_sacrebleu(baseline, candidate):
    if baseline.strip() or candidate.strip():  # sacrebleu gives two empty texts 0
        assert laws.values(Chrf(), baseline, candidate) == {
            "chrf": CHRF().sentence_score(candidate, [baseline]).score / 100,
            "chrf++": CHRF(word_order=2).sentence_score(candidate, [baseline]).score / 100,
        }


spaces = st.text(st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u3000\u200b.,!(a)b"), max_size=30)


@given(st.lists(st.tuples(st.one_of(laws.texts, spaces), st.one_of(laws.texts, spaces)), max_size=6))
def test_many_pairs_at_once_are_exactly_sacrebleu(texts):
    columns = Chrf().score([laws.pair(*both) for both in texts])
    for column, reference in zip(columns, (CHRF(), CHRF(word_order=2)), strict=True):
        for value, (baseline, candidate) in zip(column.values, texts, strict=True):
            whole = baseline.strip() or candidate.strip()
            assert value == (reference.sentence_score(candidate, [baseline]).score / 100 if whole else 1.0)


def test_a_long_chinese_text_is_exactly_sacrebleu():
    # 4,000 different characters: six of them don't fit into a sort key.
    baseline = "".join(chr(0x4E00 + n * 7919 % 4001) for n in range(6000))
    candidate = baseline[:1000] + baseline[3000:] + baseline[500:900]
    value = laws.values(Chrf(), baseline, candidate)["chrf"]
    assert value == CHRF().sentence_score(candidate, [baseline]).score / 100
    assert 0.5 < value < 1


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(base, "_version", lambda package: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'llm-fidelity\[lexical\]'"):
        laws.values(Chrf(), "a", "b")
