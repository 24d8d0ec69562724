"""Turning prompts into token ids with an engine's tokenizer, and what is recorded of them."""

import copy
import hashlib
import json
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fidelity.children.describing import fingerprint
from fidelity.children.wire import JsonRecord, PromptRow


def tokenized(tokenizer: Any, row: PromptRow, context: int) -> list[int] | str:
    """The token ids of a request's row, with the chat template if there is one, or why there are none.

    Args:
        tokenizer: A tokenizer with transformers' interface.
        row: `messages` for a chat model, `text` for a model without a template.
        context: The maximum number of tokens of prompt and answer together.
    """
    if why := _unsupported_tools(row, has_template=bool(getattr(tokenizer, "chat_template", None))):
        return why
    try:
        if getattr(tokenizer, "chat_template", None):
            ids = tokenizer.apply_chat_template(
                with_parsed_arguments(row["messages"]),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                **({"tools": row["tools"]} if row.get("tools") else {}),
            )["input_ids"]
        else:
            ids = tokenizer.encode(row["text"])
    except Exception as error:  # a template can refuse, say, a system message, and jinja2 can raise any exception
        return f"the chat template refuses the prompt: {type(error).__name__}: {error}"
    if len(ids) >= context:
        return f"the prompt has {len(ids)} tokens, but the context length is {context}, answer included"
    return list(ids)


def _unsupported_tools(row: PromptRow, *, has_template: bool) -> str:
    """Why a prompt's tools can't be offered; empty if they can, or if there are none."""
    if not row.get("tools"):
        return ""
    if not has_template:
        return "the prompt has tools, and the checkpoint has no chat template to write them into"
    if row["tool_choice"] not in (None, "auto"):
        return "this engine only supports the tool_choice 'auto'; use the engine vllm-serve, or a server"
    return ""


def with_parsed_arguments(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the arguments of earlier tool calls as objects, which chat templates expect.

    Arguments that aren't JSON stay a text.
    """
    parsed = copy.deepcopy(messages)
    for call in (call for turn in parsed for call in turn.get("tool_calls", ())):
        with suppress(ValueError, RecursionError):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return parsed


def reads_tools(tokenizer: Any) -> bool | None:
    """Whether a prompt with tools differs from one without; None if that isn't known."""
    if not getattr(tokenizer, "chat_template", None):
        return False
    chat = [{"role": "user", "content": "a"}]
    function = {"name": "f", "description": "a", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    try:
        plain = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return bool(
            tokenizer.apply_chat_template(chat, tools=tools, add_generation_prompt=True, tokenize=False) != plain
        )
    except Exception:  # some tokenizers only return ids, and a template can raise any exception
        return None


def tokenizer_record(tokenizer: Any) -> JsonRecord:
    """Fields of `EngineInfo` about tokenizer and chat template."""
    template = getattr(tokenizer, "chat_template", None)
    return {
        "tokenizer": fingerprint(tokenizer.get_vocab()),
        "chat_template": fingerprint(template) if template else None,
        "prompt_end": prompt_end(tokenizer),
        "bos_tokens": bos_tokens(tokenizer),
        "reads_tools": reads_tools(tokenizer),
    }


def prompt_end(tokenizer: Any) -> str | None:
    """The last 40 characters of a rendered prompt; None if it isn't available as text."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    try:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "a"}], add_generation_prompt=True, tokenize=False
        )
    except Exception:  # some tokenizers only return ids, and a template can raise any exception
        return None
    return prompt[-40:] if isinstance(prompt, str) else None


def prompt_hash(ids: Sequence[int]) -> str:
    """The hash of a prompt's token ids (`Generation.prompt_hash`)."""
    return hashlib.sha256(array("q", ids).tobytes()).hexdigest()[:16]


def prompt_record(ids: Sequence[int]) -> JsonRecord:
    """Fields of `Generation` about the prompt."""
    return {"prompt_tokens": len(ids), "prompt_hash": prompt_hash(ids)}


def bos_tokens(tokenizer: Any) -> int | None:
    """The number of BOS tokens at the start of a prompt; None if the tokenizer has none, or it is unknown."""
    bos = getattr(tokenizer, "bos_token_id", None)
    if bos is None:
        return None
    row: PromptRow = {
        "id": "",
        "messages": [{"role": "user", "content": "a"}],
        "text": "a",
        "tools": None,
        "tool_choice": None,
    }
    ids = tokenized(tokenizer, row, context=1 << 30)
    if isinstance(ids, str):
        return None
    return next((place for place, token in enumerate(ids) if token != bos), len(ids))
