import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fidelity.metrics.json import Json
from fidelity.text.blocks import MAX_CHARACTERS
from tests import laws

COLUMNS = ["json_keys", "json_types", "json_values"]
data = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
documents = st.one_of(
    data.map(json.dumps),
    data.map(lambda value: json.dumps(value)[:-1]),
    data.map(lambda value: f"Here:\n```json\n{json.dumps(value, indent=1)}\n```\n"),
    st.lists(data.map(lambda value: f"```yaml\n{json.dumps(value)}\n```\n"), max_size=3).map("".join),
)


def values(baseline, candidate):
    return laws.values(Json(), baseline, candidate)


def scores(parses, keys, types, values):
    return {"json_parses": parses, "json_keys": keys, "json_types": types, "json_values": values}


UNSCORED = scores(None, None, None, None)


@settings(deadline=None)
@given(st.lists(st.builds(laws.pair, st.one_of(laws.texts, documents), documents), max_size=5))
def test_it_obeys_the_laws(pairs):
    laws.check(Json(), pairs, symmetric=COLUMNS)


@given(st.one_of(laws.texts, documents))
def test_identical_texts_give_exactly_one_or_nothing(text):
    laws.check_identity(Json(), text, unscored=True)


def test_hard_texts():
    laws.check_hard_texts(Json(), unscored=True)
    laws.check_empty(Json(), both=None, one=None)


def test_by_hand():
    baseline = '{"name": "Ada", "age": 36, "tags": ["x", "y"]}'
    candidate = '{"name": "Ada", "age": "36", "tags": ["y"], "city": "London"}'
    # Paths of the baseline: name, age, tags, tags[], tags[] = 5; of the candidate: name, age, tags, tags[], city = 5.
    # Shared, each as often as in both: name, age, tags, tags[] = 4, so 2 * 4 / 10.
    # With types age is a number here and a string there: 3 shared. Leaves: name, age, tags[] x, tags[] y = 4 against
    # name, age, tags[] y, city = 4; shared in order are name and tags[] y: 2 * 2 / 8.
    assert values(baseline, candidate) == scores(1.0, 0.8, 0.6, 0.5)


def test_elements_have_an_order_and_members_have_none():
    # 3, 2, 1 has no two in the order of 1, 2, 3: the longest common subsequence is 1 of 3.
    assert values("[1, 2, 3]", "[3, 2, 1]") == scores(1.0, 1.0, 1.0, 1 / 3)
    assert values('{"a": 1, "b": [{"c": 2, "d": 3}]}', '{"b": [{"d": 3, "c": 2}], "a": 1}') == scores(1, 1, 1, 1)
    # An element put in front costs itself only: paths 3 and 4, leaves 3 and 4, all three shared.
    assert values("[1, 2, 3]", "[0, 1, 2, 3]") == scores(1.0, 6 / 7, 6 / 7, 6 / 7)


def test_numbers_are_equal_by_value_and_are_no_booleans():
    assert values("[1, 2]", "[1.0, 2e0]")["json_values"] == 1.0
    assert values("[1]", "[true]") == scores(1.0, 1.0, 0.0, 0.0)
    assert values("[9007199254740993]", "[9007199254740992]")["json_values"] == 0.0  # the same as floats
    assert values('["1"]', "[1]") == scores(1.0, 1.0, 0.0, 0.0)


def test_repeated_keys_count_as_often_as_they_occur():
    assert values('{"a": 1, "a": 2}', '{"a": 2}') == scores(1.0, 2 / 3, 2 / 3, 2 / 3)


def test_what_does_not_parse_keeps_nothing():
    assert values('{"a": 1}', '{"a": 1') == scores(0.0, 0.0, 0.0, 0.0)
    assert values('{"a": 1}', "Sorry.") == scores(0.0, 0.0, 0.0, 0.0)
    assert values('{"a": 1}', '{"a": NaN}') == scores(0.0, 0.0, 0.0, 0.0)


def test_where_the_baseline_has_none():
    assert values("prose", "more prose") == UNSCORED
    assert values('{"a": 1', '{"a":') == UNSCORED
    assert values("prose", '{"a": 1}') == scores(None, 0.0, 0.0, 0.0)


def test_empty_containers():
    assert values("{}", "{}") == scores(1.0, 1.0, 1.0, 1.0)
    assert values("{}", "[]") == scores(1.0, 0.0, 0.0, 0.0)
    assert values("{}", "") == scores(0.0, 0.0, 0.0, 0.0)
    # a is an empty object here and an empty array there.
    assert values('{"a": {}}', '{"a": []}') == scores(1.0, 1.0, 0.0, 0.0)


def test_several_documents_are_paired_by_content():
    one, two, broken = ("```json\n" + text + "\n```\n" for text in ('{"a": 1}', '{"b": 2}', '{"b": '))
    assert values(one + two, one + two) == scores(1.0, 1.0, 1.0, 1.0)
    # One of two still parses: of 2 and 1 paths one is shared.
    assert values(one + two, one + broken) == scores(0.5, 2 / 3, 2 / 3, 2 / 3)
    assert values(one + two, broken + two) == scores(0.5, 2 / 3, 2 / 3, 2 / 3)
    assert values(one + two, two + one) == scores(1.0, 1.0, 1.0, 1.0)
    # Another block in front: of 2 and 3 paths two are shared.
    extra = '```json\n{"example": [1]}\n```\n'
    assert values(one + two, extra + one + two) == scores(1.0, 2 * 2 / 6, 2 * 2 / 6, 2 * 2 / 5)
    assert values(one, extra + one)["json_keys"] == 2 * 1 / 4
    # What broke is the one that is alike, although another one parses.
    assert values(one, extra + '```json\n{"a": 1\n```')["json_parses"] == 0.0


@pytest.mark.parametrize("tag", ["JSON", "json5", "jsonc", "javascript", "js", "", "text", "jsonl"])
def test_the_label_of_a_fence_makes_no_difference(tag):
    baseline = '```json\n{"a": [1, {"b": null}]}\n```\n'
    assert values(baseline, baseline.replace("json", tag)) == scores(1.0, 1.0, 1.0, 1.0)
    assert values(baseline.replace("json", tag), baseline) == scores(1.0, 1.0, 1.0, 1.0)


def test_yaml_without_a_label():
    labeled, bare = (f"```{tag}\nname: x\nitems:\n  - 1\n  - two\n```" for tag in ("yaml", ""))
    assert values(labeled, bare) == values(bare, labeled) == scores(1.0, 1.0, 1.0, 1.0)
    assert values("```\nNote: this is text.\nSee below, please.\n```", "prose") == UNSCORED


def test_the_format_counts():
    assert values('```json\n{"a": 1}\n```', "```yaml\na: 1\n```") == scores(0.0, 0.0, 0.0, 0.0)
    assert values("```yaml\na: 1\nb: [x]\n```", "```yml\nb:\n- 'x'\na: 1\n```") == scores(1.0, 1.0, 1.0, 1.0)


def test_a_document_may_be_anywhere():
    fenced = 'Here it is:\n\n```json\n{\n  "a": [1, 2]\n}\n```\nEnjoy!'
    assert values('{"a": [1, 2]}', fenced) == values('Sure:\n{"a": [1,\n2]}\nDone.', fenced) == scores(1, 1, 1, 1)


LONG = {
    "objects": lambda n: json.dumps(
        [{"name": f"item {i}", "words": "some words that say little"} for i in range(n // 37)]
    ),
    "numbers": lambda n: "[" + "1," * n + "1]",
    "deep": lambda n: "[" * 99 + "1," * n + "1" + "]" * 99,
    "lists": lambda n: "[" + "[]," * (3 * n // 4) + "[]]",
    "many documents": lambda n: '{"a": 1}\n' * (n // 5),
    "YAML": lambda n: "```yaml\n" + "- a: b\n" * (7 * n // 100),
}
"""Long documents by the number of their values; of 200,000 the objects have 32,000 words."""


@pytest.mark.parametrize(("count", "limit_s"), [(25_000, 8), pytest.param(200_000, 60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", LONG)
def test_long_documents_take_seconds(kind, count, limit_s):
    text = LONG[kind](count)
    start = time.process_time()
    assert values(text, text)["json_values"] == 1.0
    other = text.replace("1", "2").replace("words", "letters").replace("b", "c").replace("[]", "{}")
    assert values(text, other)["json_values"] < 1.0
    assert time.process_time() - start < limit_s


def test_what_is_too_long_is_unscored():
    assert values('{"a": 1}' + " " * MAX_CHARACTERS, '{"a": 1}') == UNSCORED


def test_the_signature_names_what_the_numbers_depend_on():
    signature = Json().signature()
    assert signature.startswith("json|rev:3|markdown-it-py:")
    assert "|PyYAML:" in signature
    assert "|rapidfuzz:" in signature
