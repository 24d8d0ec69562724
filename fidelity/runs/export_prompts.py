"""Prompts as a model receives them, to be answered elsewhere: by a phone, a batch service, your own engine.

Read the answers with `{kind: recorded, path: ...}`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidelity.checkpoints import local_directory
from fidelity.children.prompting import with_parsed_arguments
from fidelity.config import ExecuTorchEngine, RunConfig, Sampling
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.files import whole_file, write_parquet
from fidelity.records import Prompt
from fidelity.runs.jobs import prompts_of


def rendered_rows(config: RunConfig, *, limit: int | None) -> list[dict[str, object]]:
    """One row per answer: `id`, `category`, `prompt` or `messages`, `sampling`, and the rendered prompt.

    With several repeats each row has its `repeat`, and that repeat's seed in `sampling`.

    `rendered` is the text after the chat template, and `prompt_token_ids` are its tokens; both are missing if the
    run names no checkpoint with a tokenizer. If the template refuses a prompt, `refused` has the reason.

    Raises:
        ConfigError: The run's YAML has no `prompts`.
        MissingPackageError: transformers, which loads the tokenizer, isn't installed.
    """
    tokenizer = _tokenizer(config)
    sampling = config.sampling or Sampling()
    return [
        {**prompt_row(prompt), **how, **rendered}
        for prompt in prompts_of(config, limit)
        for rendered in [_rendered(tokenizer, prompt) if tokenizer else {}]
        for how in _each_repeat(sampling, prompt)
    ]


def batch_rows(config: RunConfig, *, limit: int | None) -> list[dict[str, object]]:
    """The lines of an OpenAI batch's input file, with the run's sampling.

    Parameters that OpenAI's API doesn't know (top_k, min_p, repetition_penalty) are written only if the run sets them;
    vLLM's batch runner accepts them. Repeats are one line with `n`; the service chooses the seeds.
    """
    sampling = config.sampling or Sampling()
    given = sampling.model_dump(mode="json", exclude_defaults=True, exclude={"repeats"})
    given |= {"n": sampling.repeats} if sampling.repeats > 1 else {}
    how = {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens, "seed": sampling.seed, **given}
    model = Path(config.model).name if config.model and Path(config.model).is_absolute() else config.model
    body = {"model": model or config.name, **how}
    return [
        {
            "custom_id": prompt.id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {**body, "messages": prompt.chat, **prompt.offer},
        }
        for prompt in prompts_of(config, limit)
    ]


def write_rows(rows: Sequence[dict[str, object]], file: Path) -> None:
    """Write rows as JSONL or Parquet, depending on the file's extension.

    Raises:
        ConfigError: The file has another extension.
        StoreError: The file can't be written.
    """
    match file.suffix:
        case ".jsonl":
            with whole_file(file) as draft:
                draft.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        case ".parquet":
            import pyarrow as pa

            names = dict.fromkeys(name for row in rows for name in row)
            write_parquet(file, pa.table({name: [row.get(name) for row in rows] for name in names}))
        case other:
            raise ConfigError(f"{file}: unknown extension {other or 'none'}; use .jsonl or .parquet")


def _each_repeat(sampling: Sampling, prompt: Prompt) -> list[dict[str, object]]:
    how = sampling.model_dump(mode="json", exclude={"repeats"})
    if sampling.repeats == 1:
        return [{"sampling": how}]
    seeds = [sampling.seed_of(prompt.id, repeat) for repeat in range(sampling.repeats)]
    return [{"repeat": repeat, "sampling": {**how, "seed": seed}} for repeat, seed in enumerate(seeds)]


def prompt_row(prompt: Prompt) -> dict[str, object]:
    """A prompt as a row of a prompt set."""
    row: dict[str, object] = {"id": prompt.id, **({"category": prompt.category} if prompt.category else {})}
    row |= prompt.offer
    row |= {"expected": prompt.expected.model_dump(mode="json")} if prompt.expected else {}
    if isinstance(prompt.content, str):
        return {**row, "prompt": prompt.content}
    prefilled = prompt.content[-1].role == "assistant"  # at the end of `messages` this is an answer
    return {**row, "prompt" if prefilled else "messages": prompt.chat}


def _tokenizer(config: RunConfig) -> Any:
    """The tokenizer of the run's checkpoint; None if the run names no checkpoint."""
    if isinstance(config.engine, ExecuTorchEngine):
        directory = config.engine.tokenizer
    elif config.model:
        directory = local_directory(config.model, config.revision)
    else:
        return None
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingPackageError("transformers", extra="transformers", needed_by="export-prompts") from error
    if directory.is_file():
        return AutoTokenizer.from_pretrained(directory.parent, gguf_file=directory.name)
    return AutoTokenizer.from_pretrained(directory)


def _rendered(tokenizer: Any, prompt: Prompt) -> dict[str, object]:
    if not getattr(tokenizer, "chat_template", None):
        return {"rendered": prompt.text, "prompt_token_ids": list(tokenizer.encode(prompt.text))}
    tools = {"tools": prompt.offer["tools"]} if prompt.tools else {}
    try:
        text = tokenizer.apply_chat_template(
            with_parsed_arguments(prompt.chat), add_generation_prompt=True, tokenize=False, **tools
        )
    except Exception as error:  # a template can refuse, say, a system message, and jinja2 can raise any exception
        return {"refused": f"the chat template refuses the prompt: {type(error).__name__}: {error}"}
    return {"rendered": text, "prompt_token_ids": list(tokenizer.encode(text, add_special_tokens=False))}
