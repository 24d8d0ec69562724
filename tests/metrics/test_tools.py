"""Tool calls as data. Every expected value is derived by hand from the calls above it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.metrics import metric_of_kind
from fidelity.metrics.tools import Tools
from fidelity.prompts import load_prompts, packaged
from fidelity.prompts.tool_schemas import valid_against
from fidelity.records import Generation, Pair, Prompt, ToolCall
from tests import laws

NAMES = ["tool_called", "tool_name", "tool_valid", "tool_arguments", "tool_calls", "break_tool_call"]
PROMPTS = {prompt.id: prompt for prompt in load_prompts(packaged("tools"))}


def calls(*given):
    return tuple(ToolCall(name, text if isinstance(text, str) else json.dumps(text)) for name, text in given)


def pair(prompt, baseline, candidate):
    return Pair(prompt, *(Generation(prompt.id, "", tool_calls=side) for side in (baseline, candidate)))


def columns(prompt, baseline, candidate):
    return {column.name: column.values[0] for column in Tools().score([pair(prompt, baseline, candidate)])}


def sides(prompt, baseline, candidate):
    return {c.name: c.sides and c.sides[0] for c in Tools().score([pair(prompt, baseline, candidate)])}


OSLO, LIMA = ("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Lima"})


class TestFiveByHand:
    def test_arguments_that_differ_only_in_spelling_are_equal(self):
        # One call each, same function. Keys in another order, white space, 60 and 60.0: equal. Both valid.
        written = '{"minutes": 60, "title":"Review","start": "10:00", "date": "2027-04-09"}'
        again = '{ "title": "Review", "date":"2027-04-09", "start":"10:00", "minutes": 60.0 }'
        one, other = calls(("create_event", written)), calls(("create_event", again))
        assert list(columns(PROMPTS["one_call-03"], one, other).values()) == [1, 1, 1, 1, 1, 0]

    def test_a_call_that_breaks_the_schema_is_newly_invalid(self):
        # brightness is at most 100: the candidate's only call is invalid (valid 0/1), its arguments differ (0/1),
        # and no call is in common by name and arguments (0/1).
        good = calls(("set_light", {"room": "bedroom", "on": True, "brightness": 20}))
        bad = calls(("set_light", {"room": "bedroom", "on": True, "brightness": 200}))
        assert list(columns(PROMPTS["one_call-06"], good, bad).values()) == [1, 1, 0, 0, 0, 1]
        # The other way around the baseline is broken itself: no valid call to keep, and no new break.
        assert list(columns(PROMPTS["one_call-06"], bad, good).values()) == [1, 1, None, 0, 0, 0]

    def test_calls_in_another_order(self):
        # Names: weather, weather against weather, weather: 2/2. Arguments by place: Oslo-Lima, Lima-Oslo: 0/2.
        # By name and arguments the longest common subsequence is one call: 1/2. All valid: 2/2.
        assert list(columns(PROMPTS["several_calls-01"], calls(OSLO, LIMA), calls(LIMA, OSLO)).values()) == [
            1,
            1,
            1,
            0,
            0.5,
            0,
        ]

    def test_one_of_three_calls_is_missing_and_one_differs(self):
        # Three stocks; the candidate asks for the first and, wrongly, for CD-333. Names 2/3. Valid: two of the
        # baseline's three calls have a valid counterpart: 2/3. Arguments of the two counterparts: AB-100 equal,
        # AB-200 against CD-333 not: 1/2. In common: AB-100 alone, of three: 1/3.
        three = calls(*(("check_stock", {"sku": sku}) for sku in ("AB-100", "AB-200", "CD-300")))
        two = calls(*(("check_stock", {"sku": sku}) for sku in ("AB-100", "CD-333")))
        assert list(columns(PROMPTS["several_calls-06"], three, two).values()) == pytest.approx(
            [1, 2 / 3, 2 / 3, 1 / 2, 1 / 3, 0]
        )

    def test_a_call_where_none_is_needed(self):
        # The baseline answers in text. Called differs: 0. Names 0/1, calls 0/1. The baseline has no valid call and no
        # arguments, so these two have no value. The call is valid: no break.
        prompt, call = PROMPTS["no_call-01"], calls(("get_weather", {"city": "Oslo"}))
        assert list(columns(prompt, (), call).values()) == [0, 0, None, None, 0, 0]
        assert sides(prompt, (), call)["tool_arguments"] == "baseline"
        # Without its call the candidate loses the one valid call (0/1); its arguments count as worst.
        assert list(columns(prompt, call, ()).values()) == [0, 0, 0, None, 0, 0]
        assert sides(prompt, call, ())["tool_arguments"] == "candidate"


def test_counterparts_are_the_most_equal_calls_in_order():
    # Lima alone against Oslo, Lima: one of two names is in common, and the counterpart is the equal call.
    assert list(columns(PROMPTS["several_calls-01"], calls(LIMA), calls(OSLO, LIMA)).values()) == [1, 0.5, 1, 1, 0.5, 0]


def test_thousands_of_calls_take_no_time():
    many = calls(*(("get_weather", {"city": str(n)}) for n in range(5_000)))
    assert columns(PROMPTS["one_call-01"], many, many[::-1])["tool_name"] == 1


@pytest.mark.parametrize(
    ("call", "is_valid"),
    [
        (("get_weather", {"city": "Oslo", "unit": "celsius"}), True),
        (("get_weather", {"city": "Oslo", "unit": "kelvin"}), False),
        (("get_weather", {"town": "Oslo"}), False),
        (("get_weather", {}), False),
        (("get_weather", '{"city": "Oslo"'), False),
        (("get_weather", "Oslo"), False),
        (("get_weather", '["Oslo"]'), False),
        (("get_weather", "[" * 100_000), False),
        (("get_weather", '{"city": NaN}'), False),
        (("get_weather", '{"city": "Oslo", "unit": ' + "9" * 5_000 + "}"), False),  # more digits than Python reads
        (("weather", {"city": "Oslo"}), False),
        (("", ""), False),
    ],
)
def test_valid_is_an_offered_function_and_an_object_that_fits(call, is_valid):
    scored = columns(PROMPTS["one_call-01"], calls(OSLO), calls(call))
    assert scored["break_tool_call"] == (not is_valid)
    assert (scored["tool_valid"] == 1) == is_valid


def test_a_function_without_parameters_takes_no_arguments():
    tools = json.dumps([{"type": "function", "function": {"name": "now"}}])
    prompt = Prompt("p", "What time is it?", tools=tools)
    for written in ("", "{}", "null", " "):
        assert columns(prompt, calls(("now", "{}")), calls(("now", written)))["break_tool_call"] == 0
        assert columns(prompt, calls(("now", "{}")), calls(("now", written)))["tool_arguments"] == 1


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1.0}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": {}}, {"a": []}, False),
        ({"a": "x  y"}, {"a": "x y"}, True),
        ({"a": 9007199254740993}, {"a": 9007199254740992}, False),
        ("{broken", "{broken", True),
        ("{broken", "{ broken", False),
    ],
)
def test_arguments_are_compared_as_conflict_json_compares_values(one, other, equal):
    scored = columns(PROMPTS["one_call-01"], calls(("f", one)), calls(("f", other)))
    assert scored["tool_arguments"] == equal
    assert scored["tool_calls"] == equal


def test_a_slow_pattern_of_a_schema_ends():
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    tools = json.dumps([{"type": "function", "function": {"name": "f", "parameters": schema}}])
    good, slow = calls(("f", {"a": "aaa"})), calls(("f", {"a": "a" * 5_000 + "!"}))
    assert columns(Prompt("p", "x", tools=tools), good, slow)["break_tool_call"] == 1


@pytest.mark.parametrize(
    ("schema", "arguments", "is_valid"),
    [
        ({"patternProperties": {"^(a|aa)+$": {}}}, {"a" * 60 + "!": 1}, False),  # took hours
        ({"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}, {"a" * 60 + "!": 1}, False),
        ({"patternProperties": {"^x": {"type": "integer"}}}, {"x1": 1, "y": "z"}, True),
        ({"patternProperties": {"^x": {"type": "integer"}}}, {"x1": "1"}, False),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"x1": 1, "y": 2}, False),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"x1": 1}, True),
        ({"properties": {"x": {}}, "additionalProperties": {"type": "string"}}, {"x": 1, "y": "z"}, True),
        ({"properties": {"x": {}}, "additionalProperties": {"type": "string"}}, {"x": 1, "y": 2}, False),
        ({"properties": {"x": {"uniqueItems": True}}}, {"x": [{"a": n} for n in range(20_000)]}, True),
        ({"properties": {"x": {"uniqueItems": True}}}, {"x": [1, True, "1", [1], [True], {"a": 1}, None]}, True),
        ({"properties": {"x": {"uniqueItems": True}}}, {"x": [1, 1.0]}, False),
        ({"properties": {"x": {"uniqueItems": True}}}, {"x": [{"a": [1], "b": 2}, {"b": 2, "a": [1.0]}]}, False),
        ({"properties": {"x": {"uniqueItems": False}}}, {"x": [1, 1]}, True),
    ],
)
def test_keywords_without_a_limit_of_time_have_one_here(schema, arguments, is_valid):
    assert valid_against(json.dumps({"type": "object", **schema}), arguments) == is_valid


def test_unknown_calls_have_no_value():
    prompt = PROMPTS["one_call-01"]
    assert set(columns(prompt, calls(OSLO), None).values()) == {None}
    assert set(sides(prompt, calls(OSLO), None).values()) == {"candidate"}
    assert "the candidate has no tool calls" in Tools().inapplicable([pair(prompt, calls(OSLO), None)])
    assert Tools().inapplicable([pair(prompt, (), ())]) is None
    assert Tools().inapplicable([laws.pair("a", "b")]) == "no prompt has tools, and no answer calls one"


def test_the_calls_of_older_runs_are_read_from_their_texts():
    text = 'Let me look.\n\n{"tool_calls": [{"arguments": {"city": "Oslo"}, "name": "get_weather"}]}'
    old = Generation("p", text)
    new = Generation("p", "", tool_calls=calls(OSLO))
    scored = {c.name: c.values[0] for c in Tools().score([Pair(PROMPTS["one_call-01"], old, new)])}
    assert list(scored.values()) == [1, 1, 1, 1, 1, 0]
    for text in ('{"tool_calls": [', '{"tool_calls": [1]}', '{"tool_calls": [{"name": "f"}]}'):
        assert set(columns(Prompt("p", "x"), (), ()).values()) >= {1.0, None}
        Tools().score([Pair(Prompt("p", "x"), Generation("p", text), old)])


some_calls = st.none() | st.lists(
    st.builds(
        ToolCall,
        st.sampled_from(["get_weather", "get_forecast", "f", ""]),
        st.sampled_from(['{"city": "Oslo"}', '{"city": "Lima"}', '{"city": "Oslo", "days": 3}', "{", ""]) | laws.texts,
    ),
    max_size=4,
).map(tuple)


@given(st.lists(st.builds(pair, st.sampled_from(list(PROMPTS.values())[:12]), some_calls, some_calls), max_size=5))
def test_the_laws(pairs):
    laws.check(Tools(), pairs, symmetric=["tool_called", "tool_name", "tool_arguments"])


@given(some_calls)
def test_a_candidate_that_is_the_baseline(own):
    for name, value in columns(PROMPTS["choice-02"], own, own).items():
        assert value in (None, 0.0 if name.startswith("break_") else 1.0)


def test_texts_alone_have_no_calls():
    laws.check_hard_texts(Tools(), unscored=True)
    assert [column.name for column in Tools().score([])] == NAMES
    assert metric_of_kind("tools").signature().startswith("tools|jsonschema:")
