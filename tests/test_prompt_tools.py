"""Tools in prompts: what is read, what is refused, and what stays as it was."""

import json

import pytest

from fidelity.errors import ConfigError
from fidelity.prompts import load_prompts, packaged, prompts_digest
from fidelity.records import Message, Prompt, ToolCall

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def write(folder, *rows, name="prompts.jsonl"):
    file = folder / name
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


def function(**changes):
    return {"type": "function", "function": {**WEATHER["function"], **changes}}


def test_tools_and_choice(tmp_path):
    row = {"id": "a", "prompt": "Oslo?", "tools": [WEATHER], "tool_choice": "required"}
    (prompt,) = load_prompts(write(tmp_path, row))
    assert prompt.offer == {"tools": [WEATHER], "tool_choice": "required"}
    (batch,) = load_prompts(
        write(
            tmp_path,
            {"custom_id": "b", "body": {"messages": [{"role": "user", "content": "Oslo?"}], "tools": [WEATHER]}},
        )
    )
    assert batch.offer == {"tools": [WEATHER]}
    (text,) = load_prompts(write(tmp_path, {"prompt": "Oslo?", "tools": json.dumps([WEATHER])}))
    assert text.offer == batch.offer


def test_a_csv_file_has_tools_as_json(tmp_path):
    file = tmp_path / "prompts.csv"
    quoted = json.dumps([WEATHER]).replace('"', '""')
    file.write_text(f'id,prompt,tools\na,Oslo?,"{quoted}"\nb,Hi,\n', encoding="utf-8")
    assert [prompt.offer for prompt in load_prompts(file)] == [{"tools": [WEATHER]}, {}]


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ("[", "'tools' must be a list of tools or its JSON text"),
        ({"a": 1}, "'tools' must be a list of tools, got {"),
        (["get_weather"], "tools[0]: a tool needs 'type': 'function' and a 'function', got \"get_weather\""),
        ([WEATHER, WEATHER], "'tools' has two functions named 'get_weather'; rename one"),
        ([WEATHER["function"]], "tools[0]: wrap it as OpenAI's API does"),
        ([{"type": "web_search"}], "tools[0]: the type 'web_search' is not supported; only 'function' is"),
        ([WEATHER, function(name="get weather")], "tools[1].function: 'name' must have 1 to 64 letters"),
        ([function(name="x" * 65)], "tools[0].function: 'name' must have 1 to 64 letters"),
        ([function(description=3)], "tools[0].function (get_weather): 'description' must be a text, got 3"),
        ([function(parameters=[])], "'parameters' is not a JSON Schema: it must be an object, got []"),
        ([function(parameters={"type": "strin"})], "'parameters' is not a JSON Schema: type: 'strin' is not valid"),
        ([function(parameters={"properties": {"a": {"pattern": "("}}})], "pattern: '(' is not a 'regex'"),
        ([function(parameters={"$ref": "https://example.org/a.json"})], "the $ref 'https://example.org/a.json' is out"),
        ([function(parameters={"$ref": "#/$defs/a"})], "a $ref has no definition"),
        ([function(parameters={"$ref": "#"})], "it refers to itself without end"),
        ([function(parameters={"$schema": 5})], "'$schema' must be a text"),
        ([function(parameters={"patternProperties": {"(": {}}})], "patternProperties: '(' is not a 'regex'"),
        (
            [function(parameters={"patternProperties": {"a": {}}, "unevaluatedProperties": False})],
            "'unevaluatedProperties' with 'patternProperties' is not supported",
        ),
    ],
)
def test_wrong_tools_are_named_with_file_line_and_key(tmp_path, tools, message):
    file = write(tmp_path, {"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x", "tools": tools})
    with pytest.raises(ConfigError) as refused:
        load_prompts(file)
    assert str(refused.value).startswith(f"{file}, line 2: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tools": [WEATHER], "tool_choice": "always"}, "'tool_choice' must be 'auto', 'none', 'required' or {"),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "'tool_choice' names 'f', but the tools are get_weather",
        ),
        ({"tool_choice": "required"}, "'tool_choice' without 'tools'"),
    ],
)
def test_a_wrong_choice(tmp_path, row, message):
    with pytest.raises(ConfigError, match="line 1: ") as refused:
        load_prompts(write(tmp_path, {"id": "a", "prompt": "x", **row}))
    assert message in str(refused.value)


def test_digests_and_ids_change_with_the_tools_and_only_with_them(tmp_path):
    plain, empty, offered = (
        load_prompts(write(tmp_path, {"prompt": "Oslo?", **more})) for more in ({}, {"tools": []}, {"tools": [WEATHER]})
    )
    assert plain == empty
    assert plain[0].id != offered[0].id
    # SHA-256 of [["p0", [["user", "Oslo?"]], true]], as before there were tools
    assert prompts_digest([Prompt("p0", "Oslo?")]).startswith("a9818b3b")
    with_tools = Prompt("p0", "Oslo?", tools=json.dumps([WEATHER]))
    assert prompts_digest([with_tools]) != prompts_digest([Prompt("p0", "Oslo?")])


def test_a_chat_with_earlier_calls(tmp_path):
    call = {"id": "call_xyz", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    chat = [
        {"role": "user", "content": "Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_xyz", "content": "3 degrees"},
    ]
    (prompt,) = load_prompts(write(tmp_path, {"id": "a", "messages": chat, "tools": [WEATHER]}))
    assert prompt.messages == (
        Message("user", "Oslo?"),
        Message("assistant", "", (ToolCall("get_weather", '{"city": "Oslo"}'),)),
        Message("tool", "3 degrees", tool_call_id="call_0"),
    )
    assert prompt.chat[1]["tool_calls"] == [{**call, "id": "call_0"}]
    assert prompt.chat[2] == {"role": "tool", "tool_call_id": "call_0", "content": "3 degrees"}
    chat[2]["tool_call_id"] = "other"
    with pytest.raises(ConfigError, match="'tool_call_id' is 'other', but no earlier call has this 'id'"):
        load_prompts(write(tmp_path, {"id": "a", "messages": chat}))


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
TEXT = {"type": "text", "text": "What is this?"}


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"prompt": [{"role": "user", "content": [TEXT, IMAGE]}]}, "'prompt' has a part of the type 'image_url'"),
        ({"messages": [{"role": "user", "content": [IMAGE, TEXT]}]}, "'messages' has a part of the type 'image_url'"),
        ({"messages": [{"role": "user", "content": [{"image_url": "a.png"}, TEXT]}]}, "the type 'image_url'"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "the type 'file'"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}, TEXT]}]}, "the type 'input_audio'"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}, TEXT]}]}, "the type 'video_url'"),
        (
            {"body": {"messages": [{"role": "user", "content": [TEXT, IMAGE]}]}, "custom_id": "a"},
            "the type 'image_url'",
        ),
        ({"conversations": [{"from": "human", "value": "<image>\nWhat?"}], "image": "coco/1.jpg"}, "the key 'image'"),
        ({"prompt": "What?", "images": ["a.png"]}, "the key 'images'"),
        ({"question": "Who speaks?", "audio": {"path": "a.wav"}}, "the key 'audio'"),
    ],
)
def test_more_than_text_is_refused(tmp_path, row, part):
    with pytest.raises(ConfigError, match="line 1: ") as refused:
        load_prompts(write(tmp_path, row))
    assert part in str(refused.value)
    assert "prompts with images, audio or files are refused" in str(refused.value)


def test_images_in_a_csv_file_are_refused(tmp_path):
    file = tmp_path / "prompts.csv"
    file.write_text("id,question,image\na,What?,a.png\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2: the key 'image' \(a.png\); fidelity compares texts"):
        load_prompts(file)
    quoted = json.dumps([{"role": "user", "content": [TEXT, IMAGE]}]).replace('"', '""')
    file.write_text(f'id,messages\na,"{quoted}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: 'messages' has a part of the type 'image_url'"):
        load_prompts(file)


def test_an_empty_column_for_images_is_no_image(tmp_path):
    row = {"prompt": "Hi", "image": None, "images": [], "profile": "x", "filename": "a.txt"}
    assert load_prompts(write(tmp_path, row))[0].text == "Hi"


def test_the_packaged_set():
    prompts = load_prompts(packaged("tools"))
    assert len(prompts) == 50
    assert all(prompt.tools for prompt in prompts)
    assert len({prompt.category for prompt in prompts}) == 5
