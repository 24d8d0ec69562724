import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.text.chunks import chunk_texts, split_sentences
from tests import laws
from tests.encoders.fake_encoder import FakeEncoder


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ('He said "no." Then 3.14 came.', ['He said "no." ', "Then 3.14 came."]),
        ("人工智能。它很快！", ["人工智能。", "它很快！"]),
        ("「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("नमस्ते दुनिया। यह है।", ["नमस्ते दुनिया। ", "यह है।"]),
        ("كيف حالك؟ بخير.", ["كيف حالك؟ ", "بخير."]),
        ("# Title\n\n- one\n- two", ["# Title\n\n", "- one\n", "- two"]),
        ("กรุงเทพมหานคร", ["กรุงเทพมหานคร"]),
        ("", []),
    ],
)
def test_sentences_of_any_script(text, sentences):
    assert split_sentences(text) == sentences


@given(st.one_of(laws.texts, st.lists(laws.texts, max_size=20).map(". ".join)))
def test_nothing_is_left_out(text):
    assert "".join(split_sentences(text)) == text
    chunks = chunk_texts([text], FakeEncoder(3))[text]
    assert "".join("".join(c.text for c in chunks).split()) == "".join(text.split())
    assert all(c.tokens == len(c.text.split()) <= 3 for c in chunks)


def test_sentences_are_packed_up_to_the_limit():
    # 2 + 3 words fill five; the next sentence of 4 opens a chunk that the last word completes.
    text = "A b. C d e. F g h i. J. "
    assert [c.text for c in chunk_texts([text], FakeEncoder(5))[text]] == ["A b. C d e.", "F g h i. J."]


def test_a_text_that_fits_is_one_chunk_as_it_is():
    assert [c.text for c in chunk_texts([" A b. C. "], FakeEncoder(5))[" A b. C. "]] == [" A b. C. "]


def test_a_sentence_without_stops_is_split_between_words_and_a_word_between_characters():
    assert [c.text for c in chunk_texts(["a b c d e"], FakeEncoder(2))["a b c d e"]] == ["a b", "c d", "e"]

    class Characters(FakeEncoder):
        def count_tokens(self, texts):
            return [len(text) for text in texts]

    chunks = chunk_texts(["กรุงเทพมหานคร"], Characters(4))["กรุงเทพมหานคร"]
    assert "".join(c.text for c in chunks) == "กรุงเทพมหานคร"
    assert all(c.tokens <= 4 for c in chunks)


def test_a_text_without_word_pieces_has_no_chunk():
    assert chunk_texts(["", " \n"], FakeEncoder()) == {"": [], " \n": []}
