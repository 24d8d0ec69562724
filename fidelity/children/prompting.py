"""From a prompt to token ids, by the tokenizer that an engine has loaded."""

from typing import Any


def tokenized(tokenizer: Any, row: dict[str, Any], context: int) -> list[int] | str:
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
