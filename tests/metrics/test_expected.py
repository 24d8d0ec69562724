"""Right and wrong answers: what is extracted from an output, per kind, and the columns that follow."""

import re

import pytest

from fidelity.errors import ConfigError
from fidelity.metrics.expected import Expected
from fidelity.metrics.unit_tests import passes
from fidelity.prompts.parsing import parse_prompt
from fidelity.records import EXPECTED, Generation, Pair, Prompt
from fidelity.text.expected_answers import judge

PARIS = {"kind": "choices", "answer": "B", "choices": ["Rome", "Paris", "New York"]}
RIGHT, WRONG, UNCLEAR = "right", "wrong", "unclear"


def judged(expected, output):
    return judge(EXPECTED.validate_python(expected), output)


def number(answer, **more):
    return {"kind": "number", "answer": answer, **more}


@pytest.mark.parametrize(
    ("expected", "output", "judgment"),
    [
        (number(7), "3 + 4 = 7", RIGHT),  # the last number, as gsm8k's flexible-extract
        (number(7), "7 is 3 + 4", WRONG),
        (number(18), "9 * 2 = 18\n#### 18", RIGHT),
        (number(18), "#### 18\nThat took 3 steps.", UNCLEAR),  # strict-match has it, flexible-extract doesn't
        (number(18), "#### 17\nThat took 3 steps.", WRONG),
        (number(18), "The answer is 18. I am sure, 100 %.", UNCLEAR),
        (number(18), r"so $\boxed{18}$", RIGHT),
        (number(1250), "It costs $1,250.", RIGHT),
        (number(18), "18.00", RIGHT),  # by value; lm-eval compares the texts
        (number(-3), "It is -3", RIGHT),
        (number(0.1), "0.1", RIGHT),
        (number(0.333, tolerance=0.001), "0.3333", RIGHT),
        (number(0.333, tolerance=0.0001), "0.3339", WRONG),
        (number(5), "", WRONG),
        (number(5), "five", WRONG),
        (number(5), "5" * 1000, WRONG),
        (number(5), "... 5 ...", RIGHT),
        (number(1000), "\u2212" + "1000", WRONG),  # the minus sign was lost
        (number(-1000), "\u2212" + "1000", RIGHT),
        (number(12), "١٢", RIGHT),
        (number(12), "१२", RIGHT),
        (number(12.5), "１２．５", RIGHT),
        (number(1000), "1\u202f000", RIGHT),
        (number(1000), "1'000", RIGHT),
        (number(100), "Team 3 100", RIGHT),  # two numbers
        (number(3.5), "3,5", RIGHT),
        (number(35), "3,5", WRONG),
        (number(1234.5), "1.234,50", RIGHT),
        (number(1234567), "1,234,567", RIGHT),
        (number(6.02e23), "about 6.02e23", RIGHT),
        (number(1000), "#### 1e3", RIGHT),
        (number(2), "\u0661e999999999", WRONG),
        ({"kind": "text", "answer": "café"}, "cafe\u0301", RIGHT),
        ({"kind": "text", "answer": "Paris"}, "\ufeff“Paris”\u200b", RIGHT),
        ({"kind": "text", "answer": "北京"}, "「北京」。", RIGHT),
        ({"kind": "text", "answer": "Berlin"}, "Ｂｅｒｌｉｎ", RIGHT),
        (PARIS, "Ｂ", RIGHT),
        (PARIS, "**B**", RIGHT),
        (PARIS, "Answer: **B**", RIGHT),
        (PARIS, "**A** trip", WRONG),
        ({"kind": "regex", "pattern": "is (yes)|is (no)", "answer": "no"}, "it is no", RIGHT),  # its second group
        ({"kind": "regex", "pattern": r"\w*", "answer": "x"}, "x!", RIGHT),  # an empty match is nothing to judge
        ({"kind": "json", "answer": {"a": 1}}, 'The keys {a}: {"a": 1}', RIGHT),
        ({"kind": "text", "answer": "Paris"}, " paris! ", RIGHT),
        ({"kind": "text", "answer": "Paris"}, "Paris is the capital.", WRONG),
        ({"kind": "text", "answer": "Paris"}, "Paris\n\nIt is the capital.", UNCLEAR),
        ({"kind": "text", "answer": ["Paris", "Lutetia"]}, "Lutetia", RIGHT),
        ({"kind": "text", "answer": "हाँ"}, "हाँ", RIGHT),
        ({"kind": "text", "answer": "+"}, "-", WRONG),  # a text of punctuation alone is not emptied
        ({"kind": "text", "answer": "x"}, "", WRONG),
        (PARIS, "The answer is (B).", RIGHT),
        (PARIS, "answer is B", RIGHT),
        (PARIS, "The answer is (A).", WRONG),
        (PARIS, "The answer is (B). (A) is in Italy.", UNCLEAR),
        (PARIS, "(A) no ... so (B)", RIGHT),  # the last in brackets, as gpqa's flexible-extract
        (PARIS, "B", RIGHT),
        (PARIS, "B) Paris", RIGHT),
        (PARIS, "Answer: B", RIGHT),
        (PARIS, "It is Paris, of course.", RIGHT),
        (PARIS, "Rome or Paris", WRONG),
        (PARIS, "A trip", WRONG),
        (PARIS, "The answer is (D).", WRONG),  # no such choice
        ({"kind": "regex", "pattern": r"\b\d{4}-\d{2}-\d{2}\b"}, "on 2021-03-05", RIGHT),
        ({"kind": "regex", "pattern": r"\b\d{4}-\d{2}-\d{2}\b"}, "on 5 March", WRONG),
        ({"kind": "regex", "pattern": r"x = (\d)", "answer": "4"}, "x = 4", RIGHT),
        ({"kind": "regex", "pattern": r"x = (\d)", "answer": "4"}, "x = 3, so x = 4", UNCLEAR),
        ({"kind": "regex", "pattern": r"(a|a)*$"}, "a" * 5_000 + "b", UNCLEAR),  # takes too long
        ({"kind": "json", "answer": {"a": 1, "b": [2]}}, '{"b": [2.0], "a": 1}', RIGHT),
        ({"kind": "json", "answer": {"a": 1}}, 'Here:\n```json\n{"a": 1}\n```', RIGHT),
        ({"kind": "json", "answer": {"a": 1}}, 'It is {"a": 1}, I think.', RIGHT),
        ({"kind": "json", "answer": {"a": 1}}, '{"a": true}', WRONG),
        ({"kind": "json", "answer": {"a": 1}}, '{"a": 1', WRONG),
        ({"kind": "json", "answer": {"a": 1}}, '```\n{"a": 1}\n```\nor\n```\n{"a": 2}\n```', UNCLEAR),
        ({"kind": "json", "answer": None}, "null", RIGHT),
        ({"kind": "json", "answer": []}, "[" * 100_000, WRONG),
    ],
)
def test_extraction(expected, output, judgment):
    assert judged(expected, output) == judgment


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (10**400, "between -1e300 and 1e300"),
        ({"kind": "number", "answer": True}, "true and false are not numbers"),
        ({"kind": "json", "answer": [float("nan")]}, "not a JSON value"),
        ({"kind": "json", "answer": float("inf")}, "not a JSON value"),
        ([], "expected.answer: "),
        ([1, 2], "expected.answer: "),
        ({"kind": "regex", "pattern": "("}, "expected.pattern: not a regular expression"),
    ],
)
def test_what_is_no_expected_answer_is_refused_with_its_place(expected, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        parse_prompt({"id": "p", "prompt": "q", "expected": expected}, where="p.jsonl:1")
    assert "constrained" not in str(refused.value)
    assert "Value error" not in str(refused.value)


DOUBLE = "assert double(2) == 4"


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("def double(x): return 2 * x", True),
        ("def double(x): return x + 1", False),
        ("def", False),
        ("import os; os._exit(0)", False),  # ends well, without the test
        ("raise SystemExit(0)", False),
        ("while True: pass", False),
        ("x = 'a' * (1 << 33)", False),
        ("open('file', 'wb').write(b'x' * (1 << 24))", False),
        ("print('x' * 10**7)\ndef double(x): return 2 * x", True),  # output is thrown away
        ("import os\nassert not os.environ.get('HOME')\ndef double(x): return 2 * x", True),
        ("def double(x): return 2 * x\0", False),
    ],
)
def test_a_unit_test_runs_within_limits(code, result):
    assert passes(code, DOUBLE, seconds=3) is result


def pair(expected, baseline, candidate, *, scores=(None, None)):
    prompt = Prompt("p", "?", expected=expected and EXPECTED.validate_python(expected))
    return Pair(prompt, Generation("p", baseline, score=scores[0]), Generation("p", candidate, score=scores[1]))


def columns(*pairs, **parameters):
    return {column.name: column for column in Expected(**parameters).score(pairs)}


def test_drops_gains_and_unclear_answers():
    scored = columns(
        pair(number(4), "4", "4"),
        pair(number(4), "4", "5"),
        pair(number(4), "5", "4"),
        pair(number(4), "5", "6"),
        pair(number(4), "4", "#### 4 of 5"),
        pair(None, "4", "5"),
    )
    assert list(scored["drop"].values) == [0, 1, 0, 0, None, None]
    assert list(scored["gain"].values) == [0, 0, 1, 0, None, None]
    assert list(scored["right"].values) == [1, 0, 1, 0, None, None]
    assert list(scored["unclear"].values) == [0, 0, 0, 0, 1, None]
    assert scored["drop"].sides[4:] == ("pair", "pair")  # never the candidate's fault, so never its worst value


def test_a_benchmark_judges_where_the_prompt_does_not():
    scored = columns(
        pair(None, "a", "b", scores=(RIGHT, WRONG)),
        pair(None, "a", "b", scores=(RIGHT, UNCLEAR)),
        pair(None, "a", "b", scores=(RIGHT, None)),
        pair(number(4), "4", "4", scores=(RIGHT, WRONG)),
    )
    assert list(scored["drop"].values) == [1, None, None, 0]
    assert scored["drop"].sides[:3] == (None, "pair", "candidate")
    assert scored["drop"].judged_values[2] == 1  # an answer that the benchmark didn't judge counts as worst


def test_unit_tests_are_off_by_default():
    test = {"kind": "unit_test", "test": DOUBLE}
    one = pair(test, "```python\ndef double(x): return 2 * x\n```", "def double(x): return x")
    assert columns(one)["drop"].values == (None,)
    assert "unit_tests: true" in Expected().inapplicable([one])
    assert columns(one, unit_tests=True)["drop"].values == (1.0,)


def test_it_applies_only_with_something_to_judge():
    assert "no prompt has an expected answer" in Expected().inapplicable([pair(None, "a", "b")])
    assert Expected().inapplicable([pair(number(1), "a", "b")]) is None
    assert Expected().inapplicable([pair(None, "a", "b", scores=(RIGHT, RIGHT))]) is None


def test_other_expected_answers_are_another_signature():
    one, other = (Expected().fit([pair(number(n), "1", "1")]).signature() for n in (1, 2))
    assert one != other
    assert one == Expected().fit([pair(number(1), "2", "3")]).signature()


def test_batches_do_not_matter():
    pairs = [pair(number(4), "4", str(n)) for n in range(6)]
    whole = Expected().score(pairs)
    for n, one in enumerate(pairs):
        assert [column.values[0] for column in Expected().score([one])] == [column.values[n] for column in whole]
