import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import fidelity
from fidelity.metrics.counts import Counts, _counts
from fidelity.text.blocks import MAX_CHARACTERS
from tests import laws

RECORDING = Path(fidelity.__file__).parent / "sample_data" / "h100-smollm2-135m" / "bf16.jsonl"
texts = st.one_of(
    laws.texts, st.lists(st.sampled_from(["- a", "1. b. c!", "Word.", "", "```"]), max_size=9).map("\n".join)
)


@settings(deadline=None)
@given(st.lists(st.builds(laws.pair, texts, texts), max_size=5))
def test_it_obeys_the_laws(pairs):
    laws.check(Counts(), pairs, symmetric=["sentence_similarity", "item_similarity"])


def test_hard_texts():
    laws.check_hard_texts(Counts(), unscored=True)


def test_empty_texts():
    assert laws.values(Counts(), "", "") == {"sentence_similarity": None, "item_similarity": None}
    assert laws.values(Counts(), "", "One.") == {"sentence_similarity": 0.0, "item_similarity": None}


def test_by_hand():
    # Two sentences and two items (each a sentence) are 4; one sentence and three items are 4: 4 / 4 and 2 / 3.
    baseline, candidate = "One. Two!\n\n- x\n- y", "One\n\n- x\n- y\n- z"
    assert laws.values(Counts(), baseline, candidate) == {"sentence_similarity": 1.0, "item_similarity": 2 / 3}
    assert laws.values(Counts(), baseline, "One. Two!") == {"sentence_similarity": 0.5, "item_similarity": 0.0}


@pytest.mark.parametrize(
    ("text", "sentences", "items"),
    [
        ("A line\nthat goes on.\nAnd another.", 2, 0),  # line breaks within a paragraph end nothing
        ("# Heading\n\nText", 2, 0),
        ("人工智能。它很快！", 2, 0),
        ("नमस्ते। यह है।", 2, 0),
        ("كيف حالك؟ بخير.", 2, 0),
        ("กรุงเทพมหานคร", 1, 0),
        ("3.14 is pi. v1.2.3 is a version.", 2, 0),
        ("- a\n  - b\n- c", 3, 3),
        ("1. a\n2. b\n\n   more of b.", 3, 2),
        ("```python\nx. y. z.\n```\n\n    indented. code.", 0, 0),
        ("|a.|b.|\n|-|-|\n|c.|d.|", 0, 0),
        ("...!?\n\n***", 0, 0),
    ],
)
def test_what_counts(text, sentences, items):
    assert _counts(text) == (sentences, items)


def test_the_items_are_those_that_markdown_it_renders():
    texts = [json.loads(line)["text"] for line in RECORDING.read_text(encoding="utf-8").splitlines()]
    assert [_counts(text)[1] for text in texts] == [MarkdownIt().render(text).count("<li>") for text in texts]


@pytest.mark.parametrize("text", ["Two words. " * 16_000, "- two words\n" * 16_000, ". " * 50_000])
def test_long_texts_take_seconds(text):
    start = time.process_time()
    assert laws.values(Counts(), text, text + "\n\nMore.")["sentence_similarity"] < 1.0
    assert time.process_time() - start < 20


def test_what_is_too_long_is_unscored():
    assert _counts("x" * (MAX_CHARACTERS + 1)) is None


def test_the_signature_names_what_the_numbers_depend_on():
    assert Counts().signature().startswith("counts|markdown-it-py:")
