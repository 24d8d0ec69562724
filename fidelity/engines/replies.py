"""Reading a server's reply strictly: a generation, or the reason why there is none."""

import sys
from typing import Any

from fidelity.children.prompting import prompt_record
from fidelity.engines.messages import ServerJson, read_answer
from fidelity.engines.trouble import TroubleError
from fidelity.outside.documents import read_json
from fidelity.outside.strings import LONGEST_REASON, one_line
from fidelity.records import Generation

SHOWN = 80
"""The maximum length of an unreadable reply in an error message."""
BROKEN_OFF = frozenset(
    {"error", "abort", "aborted", "cancelled", "timeout", "network_error"} | {"insufficient_system_resource"}
)
"""Finish reasons that mean that the server gave up."""
HELD_BACK = frozenset({"content_filter", "safety", "sensitive", "recitation"})
"""Finish reasons that mean that a filter of the server removed the answer."""
CUT_OFF = frozenset({"length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "model_length"})
"""The names that servers and libraries give to an answer cut off at its limit; "length" in our records."""


def json_object(body: bytes) -> ServerJson:
    """Parse the JSON object of a body.

    Raises:
        TroubleError: The body is not a JSON object, or is an error.
    """
    if not body.strip():
        raise _unusable("an empty body")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unusable(f"a body that is not UTF-8 ({error.reason} at byte {error.start} of {len(body)})") from None
    try:
        data = read_json(text, unique_keys=False)
    except ValueError:
        raise _unusable(f"{_looks_like(text)}: {text.strip()[:SHOWN]!r}") from None
    if not isinstance(data, dict):
        raise _unusable(f"JSON that is not an object: {text.strip()[:SHOWN]!r}")
    if reported := data.get("error"):
        message = reported.get("message") if isinstance(reported, dict) else reported
        raise _unusable(f"an error instead of an answer: {str(message or reported)[:SHOWN]!r}")
    return data


def generation(body: bytes, *, prompt_id: str) -> Generation:
    """The only choice of an answer. Token ids and logprobs are None if the server returns none.

    Raises:
        TroubleError: There is no answer. An answer that the server filters is not requested again.
    """
    answer = json_object(body)
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise _unusable(f"{count} choices instead of one")
    return generation_of(choices[0], answer, prompt_id=prompt_id)


def generation_of(choice: ServerJson, answer: ServerJson, *, prompt_id: str) -> Generation:
    """A generation from one choice, of a server's reply or of a batch's output.

    Raises:
        TroubleError: There is no answer.
    """
    if not isinstance(choice.get("message"), dict) and "text" not in choice:
        raise _unusable("a choice without a message")
    finish_reason = finish_reason_of(choice.get("finish_reason"))
    reply = read_answer(choice)
    if reply is None:
        raise _unusable("an answer without text")
    ids, logprobs = _tokens(choice)
    return Generation(
        prompt_id=prompt_id,
        text=reply.text,
        token_ids=ids,
        logprobs=logprobs,
        finish_reason=finish_reason,
        reasoning=reply.reasoning,
        tool_calls=reply.tool_calls,
        **_prompt(answer, choice),
    )


def finish_reason_of(given: Any) -> str | None:
    """Why an answer ended, with one word for each name of a cut-off; None if there is no reason.

    Raises:
        TroubleError: It isn't the model that ended it.
    """
    if given is None:
        return None
    word = one_line(str(given), most=LONGEST_REASON)
    if word.lower() in HELD_BACK:
        raise TroubleError(f"the server's filter removed the answer ({word})", "withheld")
    if word.lower() in BROKEN_OFF:
        raise _unusable(f"an answer that was aborted ({word})")
    return "length" if word.lower() in CUT_OFF else word


def _prompt(answer: ServerJson, choice: ServerJson) -> ServerJson:
    """The prompt as the model read it: token ids from vLLM, else their number."""
    for holder in (answer, choice):
        if ids := token_ids(holder.get("prompt_token_ids")):
            return prompt_record(ids)
    return {"prompt_tokens": prompt_tokens_of(answer)}


def prompt_tokens_of(answer: ServerJson) -> int | None:
    """`usage.prompt_tokens`; None if the server doesn't return it."""
    usage = answer.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if type(count) is int and 0 < count < 2**31 else None


def _tokens(choice: ServerJson) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    """Token ids in vLLM's or llama.cpp's format, and the logprobs: two lists of equal length, or None."""
    ids, values = ids_and_logprobs(choice)
    chosen = token_ids(choice.get("token_ids"))
    chosen = token_ids(ids) if chosen is None else chosen
    logprobs = _finite(values)
    if chosen is not None and logprobs is not None and len(chosen) != len(logprobs):
        logprobs = None
    return chosen, logprobs


def ids_and_logprobs(choice: ServerJson) -> tuple[Any, Any]:
    """What a choice holds of token ids, as llama.cpp gives them, and of log-probabilities, neither of them checked."""
    given = choice.get("logprobs")
    given = given if isinstance(given, dict) else {}
    if not isinstance(given.get("content"), list):
        return None, given.get("token_logprobs")
    entries = [entry if isinstance(entry, dict) else {} for entry in given["content"]]
    return [entry.get("id") for entry in entries], [entry.get("logprob") for entry in entries]


def token_ids(values: Any) -> tuple[int, ...] | None:
    """A list of token ids; None for anything else."""
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v < 2**31 for v in values):
        return None
    return tuple(values)


def _finite(values: Any) -> tuple[float, ...] | None:
    return tuple(map(float, values)) if isinstance(values, list) and all(map(is_finite, values)) else None


def is_finite(value: Any) -> bool:
    """Whether it is a number that a float can hold."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # NaN isn't


def _looks_like(text: str) -> str:
    beginning = text.lstrip()[:9].lower()
    if beginning.startswith(("<!doctype", "<html")):
        return "HTML"
    return "a stream of events, which wasn't requested" if beginning.startswith("data:") else "a body that is not JSON"


def _unusable(what: str) -> TroubleError:
    """A temporary failure, as of servers under load and their proxies."""
    return TroubleError(f"the server answered with {what}", "nonsense")
