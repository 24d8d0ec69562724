import dataclasses
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fidelity
from fidelity.metrics.breaks import CHECKS_OF_CORE, Breaks
from fidelity.records import Generation, Pair, Prompt
from fidelity.text.blocks import MAX_CHARACTERS
from tests import laws
from tests.text.test_languages import SENTENCES

pytest.importorskip("py3langid")

RECORDINGS = Path(fidelity.__file__).parent / "sample_data" / "h100-smollm2-135m"
NAMES = ["empty", "length", "loop", "json", "language", "refusal_appeared", "refusal_vanished"]
LOOP = "and so it goes on " * 30
REFUSAL = "I'm sorry, but I can't assist with that."
texts = st.one_of(laws.texts, st.sampled_from([LOOP, REFUSAL, '{"a": 1}', '{"a": ', *SENTENCES.values()]))


def stopped(baseline, candidate, reasons=("stop", "stop")):
    pair = laws.pair(baseline, candidate)
    baseline = dataclasses.replace(pair.baseline, finish_reason=reasons[0])
    return Pair(pair.prompt, baseline, dataclasses.replace(pair.candidate, finish_reason=reasons[1]))


def broken(baseline, candidate, reasons=("stop", "stop")):
    """The names of the checks that say so."""
    columns = Breaks().score([stopped(baseline, candidate, reasons)])
    assert all(column.better == "lower" and column.values[0] in (0.0, 1.0) for column in columns)
    return [column.name.removeprefix("break_") for column in columns if column.values[0]]


@settings(deadline=None)
@given(st.lists(st.builds(stopped, texts, texts, st.sampled_from([("stop", "length"), (None, "stop")])), max_size=4))
def test_it_obeys_the_laws(pairs):
    laws.check(Breaks(), pairs)


@settings(deadline=None)
@given(texts)
def test_identical_texts_break_nothing(text):
    laws.check_identity(Breaks(), text, unscored=True)  # without a reason why it stopped, break_length is None
    assert broken(text, text) == broken(text, text, ("length", "length")) == []


def test_hard_texts():
    laws.check_hard_texts(Breaks(), unscored=True)


def test_the_columns():
    assert [column.name for column in Breaks().score([])] == [f"break_{name}" for name in NAMES]
    assert [column.name for column in Breaks(checks=("loop", "json")).score([])] == [
        "break_loop",
        "break_json",
    ]


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ("words", "", ["empty"]),
        ("words", " \n", ["empty"]),
        ("", "words", []),
        ("", "", []),
        ("It began well.", LOOP, ["loop"]),
        (LOOP, LOOP + "and so", []),
        (LOOP, "It ended.", []),
        ('{"a": 1}', '{"a": 1', ["json"]),
        ('{"a": 1}', '{"b": 2}', []),  # another answer, but whole
        ('{"a": 1', "prose", []),
        ("prose", '{"a": 1}', []),
        ("```json\n[1]\n```\n```json\n[2]\n```", "```json\n[1]\n```\n```json\n[2\n```", ["json"]),
        ('```json\n{"a": 1}\n```', '```json\n[0]\n```\n```jsonc\n{"a": 1}\n```', []),
        ('```json\n{"a": 1}\n```', '```json\n[0]\n```\n```json\n{"a": 1\n```', ["json"]),
        (SENTENCES["de"] * 2, SENTENCES["en"] * 2, ["language"]),
        (SENTENCES["zh"], SENTENCES["ja"], ["language"]),
        (SENTENCES["en"] * 2, SENTENCES["en"] * 2 + "Good day. ", []),
        (SENTENCES["de"] * 2, "Oui.", []),  # too short to be sure
        (SENTENCES["en"] * 4, SENTENCES["en"] * 4 + SENTENCES["de"], ["language"]),
        ("Water boils at 100 degrees.", REFUSAL, ["refusal_appeared"]),
        (REFUSAL, "Water boils at 100 degrees.", ["refusal_vanished"]),
        (REFUSAL, "Lo siento, pero no puedo ayudarte con eso.", ["language"]),  # it still declines
        (REFUSAL, "I must decline to answer that.", []),
        ("It ended.", "It ended." + "\n" * 60, ["loop"]),
        ("The data is ready.", "The 数据 is ready.", ["language"]),
        (REFUSAL, "", ["empty"]),
    ],
)
def test_what_breaks(baseline, candidate, expected):
    assert broken(baseline, candidate) == expected


@pytest.mark.parametrize(
    ("reasons", "value"),
    [
        (("stop", "length"), 1.0),
        (("length", "length"), 0.0),
        (("length", "stop"), 0.0),
        (("stop", "stop"), 0.0),
        (("stop", None), None),
        ((None, "length"), None),
    ],
)
def test_what_is_cut_off(reasons, value):
    (column,) = Breaks(checks=("length",)).score([stopped("a", "a", reasons)])
    assert column.values == (value,)


def test_what_is_too_long_for_markdown_is_unscored_where_it_matters():
    text = "word " * (MAX_CHARACTERS // 5 + 1)
    values = {column.name: column.values[0] for column in Breaks().score([stopped("Hello.", text)])}
    assert [name for name, value in values.items() if value is None] == ["break_json", "break_language"]
    assert values["break_loop"] == 1.0


def test_real_outputs():
    def generations(name):
        records = map(json.loads, (RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
        return [Generation(r["id"], r["text"], finish_reason=r["finish_reason"]) for r in records]

    def counts(name):
        pairs = [
            Pair(Prompt(a.prompt_id, ""), a, b) for a, b in zip(generations("bf16"), generations(name), strict=True)
        ]
        return {column.name.removeprefix("break_"): int(sum(column.values)) for column in Breaks().score(pairs)}

    # The same model in another order, in 8 bits and in 4; those of JSON and language were looked at one by one. The one
    # loop of bf16-rev goes on for 50 words, the baseline's for 47.
    assert counts("bf16-rev") == dict.fromkeys(NAMES, 0) | {"length": 1, "loop": 1}
    assert counts("w8a8-fp8") == dict.fromkeys(NAMES, 0) | {"length": 8, "loop": 6, "json": 1, "language": 1}
    assert counts("w4a16") == dict.fromkeys(NAMES, 0) | {"length": 23, "loop": 30, "json": 4, "language": 3}


def test_long_texts_take_seconds():
    start = time.process_time()
    baseline = SENTENCES["en"] * 1_600  # 32,000 words
    assert broken(baseline, baseline[1_000:] + "\n```json\n" + "[" * 100_000) == []
    assert time.process_time() - start < 20


def test_the_signature_names_what_the_numbers_depend_on():
    assert Breaks().signature().startswith("breaks|checks:('empty', 'length', 'loop', 'json', 'language', ")
    for package in ("regex", "markdown-it-py", "PyYAML", "py3langid"):
        assert f"|{package}:" in Breaks().signature()
    assert "py3langid" not in Breaks(checks=CHECKS_OF_CORE).signature()
