"""Turning prompts into token ids with an engine's tokenizer, and what is recorded of them."""

import hashlib
from array import array
from collections.abc import Sequence
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
    try:
        if getattr(tokenizer, "chat_template", None):
            ids = tokenizer.apply_chat_template(
                row["messages"], add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"]
        else:
            ids = tokenizer.encode(row["text"])
    except Exception as error:  # a template can refuse, say, a system message, and jinja2 can raise any exception
        return f"the chat template refuses the prompt: {type(error).__name__}: {error}"
    if len(ids) >= context:
        return f"the prompt has {len(ids)} tokens, but the context length is {context}, answer included"
    return list(ids)


def tokenizer_record(tokenizer: Any) -> JsonRecord:
    """Fields of `EngineInfo` about tokenizer and chat template."""
    template = getattr(tokenizer, "chat_template", None)
    return {
        "tokenizer": fingerprint(tokenizer.get_vocab()),
        "chat_template": fingerprint(template) if template else None,
        "prompt_end": prompt_end(tokenizer),
        "bos_tokens": bos_tokens(tokenizer),
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
    ids = tokenized(tokenizer, {"id": "", "messages": [{"role": "user", "content": "a"}], "text": "a"}, context=1 << 30)
    if isinstance(ids, str):
        return None
    return next((place for place, token in enumerate(ids) if token != bos), len(ids))
