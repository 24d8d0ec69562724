"""From a prompt to token ids, by the tokenizer that an engine has loaded, and what of them is recorded."""

import hashlib
from array import array
from collections.abc import Sequence
from typing import Any

from fidelity.children.describing import fingerprint
from fidelity.children.wire import JsonRecord, PromptRow


def tokenized(tokenizer: Any, row: PromptRow, context: int) -> list[int] | str:
    """The token ids of a request's row, by the chat template if there is one; or why there are none.

    Args:
        tokenizer: As transformers has them.
        row: `messages` for a chat model, `text` for one without a template.
        context: The most tokens of prompt and answer together.
    """
    try:
        if getattr(tokenizer, "chat_template", None):
            ids = tokenizer.apply_chat_template(
                row["messages"], add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"]
        else:
            ids = tokenizer.encode(row["text"])
    except Exception as error:  # a template may refuse a system message, say: jinja2 raises what it likes
        return f"the chat template refuses the prompt: {type(error).__name__}: {error}"
    if len(ids) >= context:
        return f"the prompt has {len(ids)} tokens, and the context holds {context} with the answer"
    return list(ids)


def tokenizer_record(tokenizer: Any) -> JsonRecord:
    """What is recorded of the way from a prompt to token ids: fields of `EngineInfo`."""
    template = getattr(tokenizer, "chat_template", None)
    return {
        "tokenizer": fingerprint(tokenizer.get_vocab()),
        "chat_template": fingerprint(template) if template else None,
        "prompt_end": prompt_end(tokenizer),
        "bos_tokens": bos_tokens(tokenizer),
    }


def prompt_end(tokenizer: Any) -> str | None:
    """The last 40 characters of a prompt, as the chat template ends it; None where it can't be had as text."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    try:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "a"}], add_generation_prompt=True, tokenize=False
        )
    except Exception:  # some tokenizers only know ids, and a template may raise what it likes
        return None
    return prompt[-40:] if isinstance(prompt, str) else None


def prompt_hash(ids: Sequence[int]) -> str:
    """What a prompt's token ids are known by (`Generation.prompt_hash`)."""
    return hashlib.sha256(array("q", ids).tobytes()).hexdigest()[:16]


def prompt_record(ids: Sequence[int]) -> JsonRecord:
    """What is recorded of a prompt beside its answer: fields of `Generation`."""
    return {"prompt_tokens": len(ids), "prompt_hash": prompt_hash(ids)}


def bos_tokens(tokenizer: Any) -> int | None:
    """How many BOS tokens a prompt begins with; None where the tokenizer has none, or can't be asked."""
    bos = getattr(tokenizer, "bos_token_id", None)
    if bos is None:
        return None
    ids = tokenized(tokenizer, {"id": "", "messages": [{"role": "user", "content": "a"}], "text": "a"}, context=1 << 30)
    if isinstance(ids, str):
        return None
    return next((place for place, token in enumerate(ids) if token != bos), len(ids))
