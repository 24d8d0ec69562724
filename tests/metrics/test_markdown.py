import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import fidelity
from fidelity.metrics.markdown import Markdown, _blocks
from fidelity.text.blocks import MAX_CHARACTERS
from tests import laws

pytest.importorskip("apted")

RECORDING = Path(fidelity.__file__).parent / "sample_data" / "h100-smollm2-135m" / "bf16.jsonl"
LINES = ["# Title", "## Part", "- item", "  - inner", "1. first", "> quote", "```python", "```", "***", "    code", ""]
LINES += ["|a|b|", "|-|-|", "|1|2|", "<div>", "plain prose", "प्रोज", "文"]
markdown = st.lists(st.sampled_from(LINES), max_size=12).map("\n".join)


@settings(deadline=None)
@given(st.lists(st.builds(laws.pair, st.one_of(laws.texts, markdown), markdown), max_size=4))
def test_it_obeys_the_laws(pairs):
    laws.check(Markdown(), pairs, symmetric=["markdown"])
    laws.check(Markdown(exact_nodes=0), pairs, symmetric=["markdown"])


@given(markdown)
def test_identical_texts_give_exactly_one_or_nothing(text):
    laws.check_identity(Markdown(), text, unscored=True)


def test_hard_texts():
    laws.check_hard_texts(Markdown(), unscored=True)
    laws.check_empty(Markdown(), both=None, one=None)


def similarity(baseline, candidate):
    return laws.values(Markdown(), baseline, candidate)["markdown"]


def test_by_hand():
    # Baseline: h1, paragraph, list with two items = 5 nodes. Candidate: h2, paragraph, list with three = 6.
    # The heading is relabelled, an item inserted: 2 edits; 1 - 2 / 6.
    assert similarity("# A\n\nwords\n\n- x\n- y", "## B\n\nother words\n\n- x\n- y\n- z") == 1 - 2 / 6
    # A table of two rows with two cells each: table, 2 rows, 4 cells = 7 nodes. Without its last row, 3 are deleted.
    assert similarity("|a|b|\n|-|-|\n|1|2|", "|a|b|\n|-|-|") == 1 - 3 / 7
    # The language of a fence is its label: one of one node is relabelled.
    assert similarity("```python\nx\n```", "```js\nx\n```") == 0.0


def test_prose_has_no_structure():
    assert similarity("One.\n\nTwo.", "One and two.") is None
    assert similarity("", "Prose.") is None


def test_structure_on_one_side_only_is_scored():
    # One paragraph against a list with two items: relabelled and two inserted, 3 edits of 3 nodes.
    assert similarity("a and b", "- a\n- b") == 0.0
    assert similarity("", "- a\n- b") == 0.0
    # A list with an item against two headings: only one node can remain, 3 edits of 2 nodes, which is 0 too.
    assert similarity("-", "# T\n# T") == 0.0
    # h1 and paragraph against two paragraphs: the h1 is relabelled.
    assert similarity("# T\n\ntext", "T\n\ntext") == 0.5


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("- a\n- b", "- a\n\n- b"),  # blank lines between items
        ("- a\n- b", "* c\n* d"),  # another mark, other words
        ("Title\n=====", "# Title"),
        ("```py\nx = 1\n```", "~~~py\ny = 2\n~~~"),
        ("|a|\n|-|", "a |\n:-: |"),
    ],
)
def test_what_a_reader_sees_alike_is_alike(a, b):
    assert similarity(a, b) == 1.0


def test_the_blocks_are_those_that_markdown_it_renders():
    parser = MarkdownIt("commonmark").enable("table")
    tags = {"h1": "<h1>", "h2": "<h2>", "list": "<ul>", "item": "<li>", "row": "<tr>", "quote": "<blockquote>"}
    texts = [json.loads(line)["text"] for line in RECORDING.read_text(encoding="utf-8").splitlines()]
    texts.append("# A\n> ## B\n> - c\n>   - d\n\n|e|f|\n|-|-|\n|g|h|\n|i|j|\n")
    labels = [[label for _, label in _blocks(text)] for text in texts]
    for label, tag in tags.items():
        rendered = [parser.render(text).count(tag) for text in texts]
        assert [labels_seen.count(label) for labels_seen in labels] == rendered
        assert sum(rendered) > 0


LONG = {
    "blocks": lambda n: (
        "# Heading\n\nsome words here\n\n- and\n- items\n\n" * n
    ),  # of 4,000: 32,000 words, 20,000 nodes
    "items": lambda n: "- a\n" * (25 * n // 4),
    "rows": lambda n: "|a" * (5 * n // 4) + "\n" + "|-" * (5 * n // 4) + "\n" + "|c\n" * (5 * n // 2),
    "nested items": lambda n: "".join("  " * (i % 40) + "- a\n" for i in range(5 * n // 8)),
    "quotes": lambda n: "> " * (25 * n // 2),
    "references": lambda n: "[a]: b\n" * (7 * n // 2),
    "fences": lambda n: "```\n" * (25 * n // 4),
}


@pytest.mark.parametrize(("count", "limit_s"), [(500, 4), pytest.param(4_000, 30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", LONG)
def test_long_and_hostile_texts_take_seconds(kind, count, limit_s):
    text = LONG[kind](count)
    start = time.process_time()
    assert similarity(text, text) in (1.0, None)
    assert similarity(text, "# Other\n\n" + text[len(text) // 3 :] + "\n\n1. end") < 1.0
    assert time.process_time() - start < limit_s


def test_what_is_too_long_is_unscored():
    assert similarity("# A\n" + "x" * MAX_CHARACTERS, "# A") is None
    assert similarity("# A\n" + "x" * (MAX_CHARACTERS - 4), "# A\n\nx") == 1.0


def test_the_signature_names_what_the_numbers_depend_on():
    assert Markdown().signature().startswith("markdown|exact_nodes:100|markdown-it-py:")
    assert "|apted:" in Markdown().signature()
    assert "|rapidfuzz:" in Markdown().signature()
