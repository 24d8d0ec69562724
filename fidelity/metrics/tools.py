"""Calls of tools: whether the candidate calls the same functions with the same arguments."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, Literal, NamedTuple

from rapidfuzz.distance import LCSseq

from fidelity.metrics.base import Metric
from fidelity.records import Column, Generation, Pair, Prompt, Side
from fidelity.text.tool_calls import calls_of, normal_arguments, offered_functions


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

    Counterparts are the calls of that common subsequence of names; of several, one with the most equal arguments. All
    are None if an engine or a recording doesn't report calls.
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


class NormalCall(NamedTuple):
    """A call with its arguments in one spelling."""

    name: str
    arguments: str
    is_valid: bool


def _compare(pair: Pair) -> ToolScores:
    baseline, candidate = _normal_calls(pair.baseline, pair.prompt), _normal_calls(pair.candidate, pair.prompt)
    if baseline is None or candidate is None:
        side: Side = "baseline" if baseline is None else "candidate"
        return ToolScores(side, side, side, side, side, side)
    counterparts = _counterparts(baseline, candidate)
    still_valid = [other is not None and other.is_valid for call, other in counterparts if call.is_valid]
    equal = [call.arguments == other.arguments for call, other in counterparts if other is not None]
    newly_invalid = all(call.is_valid for call in baseline) and not all(call.is_valid for call in candidate)
    return ToolScores(
        tool_called=float(bool(baseline) == bool(candidate)),
        tool_name=_common([call.name for call in baseline], [call.name for call in candidate]),
        tool_valid=_share(still_valid, otherwise="pair"),
        tool_arguments=_share(equal, otherwise="candidate" if baseline else "baseline" if candidate else "pair"),
        tool_calls=_common([call[:2] for call in baseline], [call[:2] for call in candidate]),
        break_tool_call=float(newly_invalid),
    )


def _normal_calls(generation: Generation, prompt: Prompt) -> list[NormalCall] | None:
    calls, functions = calls_of(generation, prompt), offered_functions(prompt)
    if calls is None:
        return None
    return [NormalCall(call.name, normal_arguments(call.arguments), functions.allow(call)) for call in calls]


def _counterparts(
    baseline: Sequence[NormalCall], candidate: Sequence[NormalCall]
) -> list[tuple[NormalCall, NormalCall | None]]:
    """The baseline's calls, each with the candidate's of the same function, in order, or None.

    Of all alignments with the most counterparts, it is one with the most equal arguments. Calls after the first 500
    have none.
    """
    a, b = baseline[:MOST_ALIGNED], candidate[:MOST_ALIGNED]
    best = [[(0, 0)] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, call in reversed(list(enumerate(a))):
        for j, other in reversed(list(enumerate(b))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], _with(best[i + 1][j + 1], call, other))
    pairs: list[tuple[NormalCall, NormalCall | None]] = []
    i = j = 0
    while i < len(a):
        if j < len(b) and best[i][j] == best[i][j + 1]:
            j += 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((a[i], None))
            i += 1
        else:
            pairs.append((a[i], b[j]))
            i, j = i + 1, j + 1
    return [*pairs, *((call, None) for call in baseline[MOST_ALIGNED:])]


def _with(before: tuple[int, int], call: NormalCall, other: NormalCall) -> tuple[int, int]:
    """Counts of counterparts and of equal arguments among them, with one more pair of calls."""
    if call.name != other.name:
        return before
    return before[0] + 1, before[1] + (call.arguments == other.arguments)


MOST_ALIGNED = 500
"""Calls of an answer that are looked through for counterparts, since time grows with the square of their number."""


def _share(values: Sequence[bool], *, otherwise: Side) -> float | Side:
    return sum(values) / len(values) if values else otherwise


def _common(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | Side:
    """The length of the longest common subsequence / that of the longer; "pair" if both are empty."""
    return LCSseq.similarity(a, b) / max(len(a), len(b)) if a or b else "pair"
