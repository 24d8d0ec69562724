"""Packed texts in one piece of memory behave like the tuple of them."""

from hypothesis import given
from hypothesis import strategies as st

from fidelity.records import PackedTexts, PromptIds, are_distinct

TEXTS = st.lists(st.text(max_size=4) | st.sampled_from(["", "p1", "Größe", "多", "🙂", "\udc80"]), max_size=6)


@given(TEXTS, TEXTS)
def test_they_read_like_a_tuple(one, other):
    texts = PackedTexts(one)
    assert list(texts) == one
    assert texts == tuple(one)
    assert [texts[place] for place in range(-len(one), len(one))] == one + one
    assert texts[1:3] == tuple(one[1:3])
    assert (texts == PackedTexts(other)) == (one == other)
    assert hash(texts) == hash(PackedTexts(list(one)))
    assert PackedTexts.of(texts) is texts
    assert all(text in texts for text in one)


def test_the_same_letters_divided_elsewhere_are_other_texts():
    assert PackedTexts(["ab", "c"]) != PackedTexts(["a", "bc"])
    assert PackedTexts(["ab", ""]) != PackedTexts(["", "ab"])


@given(TEXTS)
def test_distinct_ones(texts):
    assert are_distinct(texts) == (len(set(texts)) == len(texts))


def test_equal_hashes_of_different_texts_are_no_duplicate(monkeypatch):
    monkeypatch.setattr("builtins.hash", lambda _: 7)
    assert are_distinct(["a", "b"])
    assert not are_distinct(["a", "b", "a"])


def test_repeats_share_a_prompt():
    prompts = PromptIds(("b", "a", "b"))
    assert prompts.ids == ("b", "a")
    assert prompts.rows is not None
    assert prompts.rows.tolist() == [0, 1, 0]
