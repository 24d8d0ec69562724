"""Calls of tools: whether the candidate calls the same functions with the same arguments."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, Literal, NamedTuple

from rapidfuzz.distance import LCSseq

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side, ToolCall
from fidelity.text.tool_calls import OfferedFunctions, calls_of, offered_functions, same_arguments


class Tools(Metric):
    """The calls of both sides, for prompts with `tools`.

    - `tool_called`: 1 if both sides call a tool or neither does, else 0.
    - `tool_name`: the longest common subsequence of the names, in order, / the number of calls of the side with more.
      None if neither side calls; 0 if only one does.
    - `tool_valid`: share of the baseline's valid calls with a valid counterpart in the candidate. A call is valid if it
      names an offered function and its arguments are a JSON object that fits the function's JSON Schema. None if the
      baseline has no valid call.
    - `tool_arguments`: share of the counterparts with equal arguments, compared as `conflict_json` does: white space,
      the order of keys and 1 or 1.0 make no difference. None if no call has a counterpart, which is the candidate's
      doing if the baseline calls.
    - `tool_calls`: as `tool_name`, of name and arguments together: 1 if all calls are equal and in the same order.
    - `break_tool_call`: 1 if the candidate has an invalid call and the baseline has none; lower is better.

    Counterparts are the calls of that common subsequence of names. All are None if an engine or a recording doesn't
    report calls.
    """

    kind: Literal["tools"] = "tools"

    packages: ClassVar[tuple[str, ...]] = ("jsonschema", "rapidfuzz", "regex")

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        known = {side: [calls_of(getattr(p, side), p.prompt) for p in pairs] for side in ("baseline", "candidate")}
        if not any(pair.prompt.tools for pair in pairs):
            return None if any(map(any, known.values())) else "no prompt has tools, and no answer calls one"
        lacking = next((side for side, calls in known.items() if all(one is None for one in calls)), None)
        return lacking and f"the {lacking} has no tool calls as data; set engine.tool_call_parser (docs/tools.md)"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        scored = [_compare(pair) for pair in pairs]
        columns = [Column.of(name, [getattr(s, name) for s in scored]) for name in ToolScores._fields[:-1]]
        return [*columns, Column.of("break_tool_call", [s.break_tool_call for s in scored], better="lower")]


class ToolScores(NamedTuple):
    """The columns of one pair."""

    tool_called: float | Side
    tool_name: float | Side
    tool_valid: float | Side
    tool_arguments: float | Side
    tool_calls: float | Side
    break_tool_call: float | Side


def _compare(pair: Pair) -> ToolScores:
    baseline, candidate = calls_of(pair.baseline, pair.prompt), calls_of(pair.candidate, pair.prompt)
    if baseline is None or candidate is None:
        side: Side = "baseline" if baseline is None else "candidate"
        return ToolScores(side, side, side, side, side, side)
    functions = offered_functions(pair.prompt)
    counterparts = _counterparts(baseline, candidate)
    invalid = [any(not functions.allow(call) for call in calls) for calls in (baseline, candidate)]
    return ToolScores(
        tool_called=float(bool(baseline) == bool(candidate)),
        tool_name=_common([c.name for c in baseline], [c.name for c in candidate]),
        tool_valid=_valid_share(baseline, candidate, counterparts, functions),
        tool_arguments=_equal_share(baseline, candidate, counterparts),
        tool_calls=_common(*_numbered(baseline, candidate)),
        break_tool_call=float(invalid[1] and not invalid[0]),
    )


def _counterparts(baseline: Sequence[ToolCall], candidate: Sequence[ToolCall]) -> dict[int, int]:
    """The places of the candidate's calls by those of the baseline's: calls of the same function, in order."""
    pairs = {}
    for op in LCSseq.opcodes([call.name for call in baseline], [call.name for call in candidate]):
        if op.tag == "equal":
            pairs |= dict(zip(range(op.src_start, op.src_end), range(op.dest_start, op.dest_end), strict=True))
    return pairs


def _valid_share(
    baseline: Sequence[ToolCall],
    candidate: Sequence[ToolCall],
    counterparts: dict[int, int],
    functions: OfferedFunctions,
) -> float | Side:
    valid = [
        place in counterparts and functions.allow(candidate[counterparts[place]])
        for place, call in enumerate(baseline)
        if functions.allow(call)
    ]
    return sum(valid) / len(valid) if valid else "pair"


def _equal_share(
    baseline: Sequence[ToolCall], candidate: Sequence[ToolCall], counterparts: dict[int, int]
) -> float | Side:
    equal = [same_arguments(baseline[a].arguments, candidate[b].arguments) for a, b in counterparts.items()]
    if equal:
        return sum(equal) / len(equal)
    return "candidate" if baseline else "baseline" if candidate else "pair"


def _numbered(baseline: Sequence[ToolCall], candidate: Sequence[ToolCall]) -> tuple[list[int], list[int]]:
    """Both sides' calls as numbers that are equal where name and arguments are."""
    known: list[ToolCall] = []

    def number(call: ToolCall) -> int:
        for place, other in enumerate(known):
            if call.name == other.name and same_arguments(call.arguments, other.arguments):
                return place
        known.append(call)
        return len(known) - 1

    return [number(call) for call in baseline], [number(call) for call in candidate]


def _common(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | Side:
    """The length of the longest common subsequence / that of the longer; "pair" if both are empty."""
    return LCSseq.similarity(a, b) / max(len(a), len(b)) if a or b else "pair"
