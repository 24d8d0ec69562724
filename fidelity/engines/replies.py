"""What a server answered, read strictly: a generation, or in words why it is none."""

import json
import sys
from typing import Any

from fidelity.children.prompting import prompt_record
from fidelity.engines.connection import TroubleError
from fidelity.engines.messages import ServerJson, read_answer
from fidelity.records import Generation

SHOWN = 80
"""Characters of an unreadable answer that an error shows."""
BROKEN_OFF = frozenset(
    {"error", "abort", "aborted", "cancelled", "timeout", "network_error"} | {"insufficient_system_resource"}
)
"""Reasons to finish that mean that the server gave up."""
HELD_BACK = frozenset({"content_filter", "safety", "sensitive", "recitation"})
"""Reasons to finish that mean that a filter of the server holds the answer back."""
CUT_OFF = frozenset({"length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "model_length"})
"""What servers and libraries call an answer that was cut off at its limit; "length" in our records."""


def json_object(body: bytes) -> ServerJson:
    """The JSON object that a body holds.

    Raises:
        TroubleError: It holds none, or one that tells of an error.
    """
    if not body.strip():
        raise _unusable("an empty body")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unusable(f"a body that is not UTF-8 ({error.reason} at byte {error.start} of {len(body)})") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise _unusable(f"{_looks_like(text)}: {text.strip()[:SHOWN]!r}") from None
    if not isinstance(data, dict):
        raise _unusable(f"JSON that is no object: {text.strip()[:SHOWN]!r}")
    if reported := data.get("error"):
        message = reported.get("message") if isinstance(reported, dict) else reported
        raise _unusable(f"an error in place of an answer: {str(message or reported)[:SHOWN]!r}")
    return data


def generation(body: bytes, *, prompt_id: str) -> Generation:
    """The one choice of an answer; token ids and logprobs are None where the server gives none.

    Raises:
        TroubleError: It is no answer. What a filter of the server holds back won't come by asking again.
    """
    answer = json_object(body)
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise _unusable(f"{count} choices where one was asked for")
    return generation_of(choices[0], answer, prompt_id=prompt_id)


def generation_of(choice: ServerJson, answer: ServerJson, *, prompt_id: str) -> Generation:
    """A generation from one choice of an answer, whether it came from a server or stands in a batch's output.

    Raises:
        TroubleError: It is no answer.
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
        **_prompt(answer, choice),
    )


def finish_reason_of(given: Any) -> str | None:
    """Why an answer ended, with one word for every way to say that it was cut off; None where nothing is said.

    Raises:
        TroubleError: It isn't the model that ended it.
    """
    if given is None:
        return None
    word = str(given).lower()
    if word in HELD_BACK:
        raise TroubleError(f"the server's filter holds the answer back ({given})", "refused")
    if word in BROKEN_OFF:
        raise _unusable(f"an answer that broke off ({given})")
    return "length" if word in CUT_OFF else str(given)


def _prompt(answer: ServerJson, choice: ServerJson) -> ServerJson:
    """What an answer tells of the prompt as the model read it: its token ids as vLLM gives them, else their number."""
    for holder in (answer, choice):
        if ids := token_ids(holder.get("prompt_token_ids")):
            return prompt_record(ids)
    return {"prompt_tokens": prompt_tokens_of(answer)}


def prompt_tokens_of(answer: ServerJson) -> int | None:
    """`usage.prompt_tokens`; None where the server gives no such number."""
    usage = answer.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if type(count) is int and 0 < count < 2**31 else None


def _tokens(choice: ServerJson) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    """Token ids as vLLM gives them, else as llama.cpp does, beside the logprobs; two lists of one length, or none."""
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
    return "a stream of events, which wasn't asked for" if beginning.startswith("data:") else "no JSON"


def _unusable(what: str) -> TroubleError:
    """Servers under load and the proxies before them answer such things for a while."""
    return TroubleError(f"the server answered with {what}", "nonsense")
