"""The word diff: both texts come back to the character, and what is marked is what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.report.diff import MOST_WORDS, Piece, readable, word_diff


def marked(baseline, candidate):
    """The diff in git's notation for words."""
    signs = {"both": "{}", "baseline": "[-{}-]", "candidate": "{{+{}+}}"}
    return "".join(signs[piece.kind].format(piece.text) for piece in word_diff(baseline, candidate))


def side(pieces, kind):
    return "".join(piece.text for piece in pieces if piece.kind in ("both", kind))


TEXTS = st.lists(
    st.sampled_from([*"ab,.\n \t", "the ", "der ", "好", "नमस्ते", "👨‍👩‍👧", "\x00", "\u202e", "İ", "ß"])
).map("".join)


@given(TEXTS | st.text(), TEXTS | st.text())
def test_both_texts_come_back_to_the_character(baseline, candidate):
    pieces = word_diff(baseline, candidate)
    assert side(pieces, "baseline") == baseline
    assert side(pieces, "candidate") == candidate
    assert all(piece.text for piece in pieces)


@given(TEXTS)
def test_equal_texts_are_one_piece(text):
    assert word_diff(text, text) == ([Piece("both", text)] if text else [])


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ("the quick brown fox", "the slow brown cat", "the[- quick-]{+ slow+} brown[- fox-]{+ cat+}"),
        ("Hello, world!", "Hello world!", "Hello[-,-] world!"),
        ("a b", "", "[-a b-]"),
        ("", "a b", "{+a b+}"),
        ("Yes", "yes", "[-Yes-]{+yes+}"),  # case is a change to a reader, though not to ROUGE
        ("x y\nz", "x y z", "x y[-\n-]{+ +}z"),  # only the white space differs
        ("你好世界", "你好人间", "你好[-世界-]{+人间+}"),
        ("यह अच्छा है", "यह बुरा है", "यह[- अच्छा-]{+ बुरा+} है"),
        # "on" alone is chance between two changes of three words each
        ("one two three on four five six", "seven eight nine on ten eleven twelve",
         "[-one two three on four five six-]{+seven eight nine on ten eleven twelve+}"),
    ],
)  # fmt: skip
def test_what_is_marked_is_what_differs(baseline, candidate, expected):
    assert marked(baseline, candidate) == expected


def test_long_texts_are_aligned_up_to_a_bound_and_still_come_back():
    baseline = "start " + " ".join(f"a{n}" for n in range(3 * MOST_WORDS)) + " end"
    candidate = "start " + " ".join(f"a{n}" for n in range(1, 3 * MOST_WORDS)) + " end"
    pieces = word_diff(baseline, candidate)
    assert pieces[:2] == [Piece("both", "start"), Piece("baseline", " a0")]
    assert side(pieces, "baseline") == baseline
    assert side(pieces, "candidate") == candidate


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ("a café here", "a cafe\u0301 here", "a [-caf⟦U+00E9⟧-]{+cafe⟦U+0301⟧+} here"),
        ("5 km", "5\u00a0km", "5[- -]{+⟦U+00A0⟧+}km"),
        ("zero width", "zero\u200b width", "zero{+⟦U+200B⟧+} width"),
        ("well-known", "well\u2011known", "well[---]{+⟦U+2011⟧+}known"),
        ("a ❤ b", "a ❤\ufe0f b", "a [-❤-]{+❤⟦U+FE0F⟧+} b"),
        ("don't", "don’t", "[-don't-]{+don⟦U+2019⟧t+}"),
        ("line\nline", "line\r\nline", "line[-\n-]{+␍\n+}line"),
        ("filler", "filler \u3164", "filler{+ ⟦U+3164⟧+}"),
        # A change that can be seen stays apart from one that can't, and has no code points.
        ("café is good", "cafe\u0301 is schön", "[-caf⟦U+00E9⟧-]{+cafe⟦U+0301⟧+} is[- good-]{+ schön+}"),
    ],
)
def test_what_looks_the_same_shows_its_code_points(baseline, candidate, expected):
    signs = {"both": "{}", "baseline": "[-{}-]", "candidate": "{{+{}+}}"}
    pieces = readable(word_diff(baseline, candidate))
    assert "".join(signs[piece.kind].format(piece.text) for piece in pieces) == expected
