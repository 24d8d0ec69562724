"""Tool calls in a model's text, read by the real vLLM's parsers."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from fidelity.prompts import load_prompts, packaged

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch, while importing
]

PROMPT = load_prompts(packaged("tools"))[0]
ROW = {"id": "a", "text": PROMPT.text, "messages": PROMPT.chat, "tool_choice": None, **PROMPT.offer}


@pytest.fixture
def reader():
    from fidelity.children.vllm_tool_calls import ToolCallReader

    tokenizer = SimpleNamespace(get_vocab=dict)
    return ToolCallReader("hermes", tokenizer)


def test_special_tokens_stay_in_the_text(reader):
    assert reader.decoding(ROW) == {"skip_special_tokens": False}


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("It is cold.", {"tool_calls": []}),
        (
            'Let me see.<tool_call>\n{"name": "get_weather", "arguments": {"city": "Tromsø"}}\n</tool_call>',
            {"content": "Let me see.", "tool_calls": [["get_weather", '{"city": "Tromsø"}']]},
        ),
        (
            '<tool_call>{"name": "a", "arguments": {}}</tool_call> <tool_call>{"name": "b", "arguments": {}}',
            {"content": "", "tool_calls": [["a", "{}"], ["b", "{}"]]},
        ),
        ('<tool_call>{"name": "get_weather", "argum</tool_call>', {"tool_calls": []}),
    ],
)
def test_calls(reader, text, record):
    assert reader.read(ROW, SimpleNamespace(text=text, token_ids=[])) == record


def test_an_unknown_parser_is_refused_with_those_there_are():
    from fidelity.children.vllm_tool_calls import ToolCallReader

    with pytest.raises(ValueError, match=r"vLLM has no tool_call_parser 'hermse'; it has .*hermes.*mistral"):
        ToolCallReader("hermse", None)


def test_a_parser_s_arguments_are_json_text(reader):
    calls = '<tool_call>{"name": "f", "arguments": {"b": [1, 2.0], "a": null}}</tool_call>'
    ((_, arguments),) = reader.read(ROW, SimpleNamespace(text=calls, token_ids=[]))["tool_calls"]
    assert json.loads(arguments) == {"b": [1, 2.0], "a": None}
