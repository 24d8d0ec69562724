import ast
import json
import operator
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Message, Prompt
from fidelity.text.expected_answers import judge
from tests.conftest import ROOT


def write(tmp_path, *rows):
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return file


def test_a_text_and_a_chat(tmp_path):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hallo"}]
    text, chat = load_prompts(
        write(tmp_path, {"id": "a", "prompt": "Hi", "category": "c"}, {"id": "b", "prompt": turns})
    )
    assert text == Prompt("a", "Hi", "c")
    assert chat.messages == (Message("system", "Be brief."), Message("user", "Hallo"))
    assert chat.text == "Be brief.\n\nHallo"


def test_limit_keeps_the_first(tmp_path):
    file = write(tmp_path, *({"id": str(n), "prompt": "x"} for n in range(5)))
    assert [p.id for p in load_prompts(file, limit=2)] == ["0", "1"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "contains no prompts"),
        ([{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}], "'a' is used twice (prompts 1 and 2)"),
        ([{"id": "a", "prompt": "x"}, "{"], "line 2: not JSON"),
        (['{"id": "a", "prompt": "x"}', '{"id": "b", "prompt": "x", "prompt": "y"}'], "line 2: duplicate key 'prompt'"),
        (['{"id": "b", "prompt": "x", "prompt": "y"}', '{"id": "a", "prompt": "x"}'], "line 1: duplicate key 'prompt'"),
        (['[{"id": "a", "prompt": "x"},', '{"id": "b", "id": "c", "prompt": "x"}]'], "line 2: duplicate key 'id'"),
        (['{"id": "a", "prompt": "x",', '"prompt": "y"}'], "line 1: duplicate key 'prompt'"),
        (["[1]"], "row 1: expected a JSON object, got int"),
        ([{"id": "a", "prompt": "x"}, "[1]"], "line 2: expected a JSON object, got list"),
        ([{"id": "a", "prompt": "  "}], "line 1: the 'prompt' is empty"),
        ([{"id": "", "prompt": "x"}], "line 1: the 'id' is empty"),
        ([{"id": True, "prompt": "x"}], "line 1: 'id' must be a text or a whole number, got True"),
        ([{"id": 1.5, "prompt": "x"}], "line 1: 'id' must be a text or a whole number, got 1.5"),
        ([{"id": "x" * 10_001, "prompt": "x"}], "line 1: 'id' has more than 10,000 characters"),
        ([{"id": "a", "prompt": []}], "line 1: 'prompt' must be a text or a list of chat messages, got []"),
        ([{"id": "a", "prompt": 3}], "line 1: 'prompt' must be a text or a list of chat messages, got 3"),
        ([{"id": "a", "query": "x"}], "line 1: no prompt among the keys (id, query); rename one to 'prompt', 'mess"),
        ([{"messages": [{"role": "assistant", "content": "x"}]}], "'messages' has no turn of a user to answer"),
        ([{"conversations": [{"from": "tool", "value": "x"}]}], "the role 'tool' of a turn is unknown; use human"),
        ([{"id": "a", "prompt": [{"role": "user"}]}], "a chat message needs 'role' and 'content'"),
        ([{"id": "a", "prompt": "x", "category": [3]}], "'category' must be a text"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, rows, message):
    with pytest.raises(ConfigError) as caught:
        load_prompts(write(tmp_path, *rows))
    assert message in str(caught.value)
    assert "prompts.jsonl" in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_prompts(tmp_path / "none.jsonl")


def test_lone_surrogates_become_the_replacement_character(tmp_path):
    (prompt,) = load_prompts(write(tmp_path, '{"id": "a", "prompt": "x\\ud800y \\ud83d\\ude00"}'))
    assert prompt.content == "x�y 😀"


@given(st.text(min_size=1), st.text(min_size=1))
def test_the_digest_distinguishes_contents(a, b):
    assert (prompts_digest([Prompt("x", a)]) == prompts_digest([Prompt("x", b)])) == (a == b)


def test_the_digest_distinguishes_a_text_from_a_chat():
    assert prompts_digest([Prompt("x", "a")]) != prompts_digest([Prompt("x", (Message("user", "a"),))])


def test_the_sets_that_ship():
    folder = Path(__file__).parent.parent / "prompts"
    starter, arena = (load_prompts(folder / name) for name in ("starter.jsonl", "arena-hard-v0.1.jsonl"))
    assert len(starter) >= 64
    assert len({p.category for p in starter}) >= 8
    assert len(arena) == 500


EXPECTED = ROOT / "prompts" / "expected.jsonl"


def value(node):
    """The value of a formula with numbers, + - * /, min and max."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand)
        case ast.BinOp(left=left, op=operation, right=right):
            return OPERATIONS[type(operation)](value(left), value(right))
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=arguments):
            return {"min": min, "max": max}[name](map(value, arguments))
    raise ValueError(ast.dump(node))


OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def test_the_arithmetic_of_the_included_set_is_right():
    rows = [json.loads(line) for line in EXPECTED.read_text(encoding="utf-8").splitlines()]
    prompts = load_prompts(EXPECTED)
    assert len(prompts) == len({prompt.text for prompt in prompts}) == 200
    computed = 0
    for row, prompt in zip(rows, prompts, strict=True):
        if formula := row.get("formula"):
            result = value(ast.parse(formula, mode="eval").body)
            expected = prompt.expected
            right = expected.choices["ABCD".index(expected.answer)] if expected.kind == "choices" else expected.answer
            assert float(right) == pytest.approx(result), row["id"]
            assert prompt.category in ("choices", "sequences") or numbers(formula) <= numbers(prompt.text) | {100}, row[
                "id"
            ]
            computed += 1
    assert computed == 130 + 14


def numbers(text):
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


def test_the_included_expected_answers_accept_a_right_answer_and_refuse_an_empty_one():
    for prompt in load_prompts(EXPECTED):
        expected = prompt.expected
        if expected.kind in ("number", "choices"):
            assert judge(expected, f"The answer is {expected.answer}") == "right", prompt.id
        if expected.kind == "json":
            assert judge(expected, json.dumps(expected.answer)) == "right"
        if expected.kind != "unit_test":
            assert judge(expected, "") == "wrong", prompt.id


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (True, "expected"),
        ({"kind": "nubmer", "answer": 1}, "expected"),
        ({"kind": "number", "answer": "four"}, "expected.answer"),
        ({"kind": "regex", "pattern": "("}, "not a regular expression"),
        ({"kind": "choices", "answer": "C", "choices": ["a", "b"]}, "the answer C is not among the 2 choices"),
        ({"kind": "text"}, "expected.answer"),
        ({"kind": "text", "answer": "a", "weight": 1}, "unknown key 'weight'"),
        ([], "expected"),
    ],
)
def test_a_wrong_expected_answer_is_refused_with_its_place(tmp_path, expected, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_prompts(write(tmp_path, {"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x", "expected": expected}))
    assert "line 2" in str(caught.value)


def test_expected_answers_change_no_digest(tmp_path):
    plain = load_prompts(write(tmp_path, {"id": "a", "prompt": "x"}))
    judged = load_prompts(write(tmp_path, {"id": "a", "prompt": "x", "expected": 4}))
    assert prompts_digest(plain) == prompts_digest(judged)
    assert judged[0].expected.answer == 4


def test_an_expected_answer_in_a_csv_file(tmp_path):
    file = tmp_path / "prompts.csv"
    file.write_text('id,prompt,expected\na,x,Paris\nb,y,"{""kind"": ""number"", ""answer"": 4}"\nc,z,\n')
    kinds = [prompt.expected and prompt.expected.kind for prompt in load_prompts(file)]
    assert kinds == ["text", "number", None]
