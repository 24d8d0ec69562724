import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts, prompts_digest
from fidelity.records import Message, Prompt


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
