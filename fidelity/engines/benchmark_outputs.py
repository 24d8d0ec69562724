"""Outputs that benchmarks save: lm-eval's `samples_*.jsonl`, and the detailed results of `vllm bench serve`."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from fidelity.errors import ConfigError
from fidelity.outside.documents import read_json
from fidelity.prompts import JsonRow, Rows, own_id
from fidelity.records import Judgment

INVALID = "[invalid]"
"""What a filter of lm-eval extracts where it finds nothing."""
OLDER_METRICS = ("exact_match", "acc", "pass@1", "pass_at_1", "prompt_level_strict_acc", "em")
"""The metrics that are read where a sample doesn't list its own, and first where it does."""


def is_sample(row: JsonRow) -> bool:
    """Whether it is a line of lm-eval's `--log_samples`."""
    return "doc_id" in row and "resps" in row


def with_scores(rows: Rows) -> Rows:
    """A sample of lm-eval for each answer, with the judgment of all filters under `judged`.

    A task's filters read the same answer: a file has a sample for each of them.
    """
    if not rows or not is_sample(rows[0][1]):
        return rows
    first = rows[0][1].get("filter")
    by_answer: dict[str, list[JsonRow]] = {}
    for _, row in rows:
        by_answer.setdefault(str(row.get("doc_id")), []).append(row)
    return [
        (where, {**row, "judged": _judged_by_filters(by_answer[str(row.get("doc_id"))])})
        for where, row in rows
        if row.get("filter") == first
    ]


def agreed(judgments: Iterable[Judgment | None]) -> Judgment | None:
    """The judgment of all filters or scorers: "unclear" if they disagree, None if there is none."""
    distinct = {judgment for judgment in judgments if judgment is not None}
    return "unclear" if len(distinct) > 1 else next(iter(distinct), None)


def _judged_by_filters(samples: Sequence[JsonRow]) -> Judgment | None:
    """A filter that extracts nothing has no say if another one extracts an answer."""
    extracting = [sample for sample in samples if sample.get("filtered_resps") != [INVALID]]
    return agreed(_judged(sample) for sample in extracting or samples)


def _judged(sample: JsonRow) -> Judgment | None:
    """By the first metric that is 0 or 1, as exact_match and acc are; other metrics have no right and wrong."""
    named = sample.get("metrics")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else list(OLDER_METRICS)
    for name in sorted(names, key=lambda name: name not in OLDER_METRICS):
        value = sample.get(name)
        if isinstance(value, int | float) and value in (0, 1):
            return "right" if value else "wrong"
    return None


def sample_rows(row: JsonRow, where: str) -> list[JsonRow]:
    """The answers of a sample, one per repeat, with the prompt as the model read it.

    Raises:
        ConfigError: It holds scores of given answers instead of a generated text.
    """
    prompt, parameters = _arguments(row.get("arguments"))
    match row["resps"]:
        case [[*texts]] if all(isinstance(text, str) for text in texts) and isinstance(parameters, dict):
            id_ = own_id({"id": row["doc_id"]}, where=where)
            asked = {"id": id_, "prompt": prompt, "paired_by": "prompt" if prompt else "id"}
            answers = [{**asked, "text": text, "repeat": repeat} for repeat, text in enumerate(texts)]
            # Of several answers lm-eval judges only the first, or all together.
            return [{**answers[0], "score": row.get("judged")}] if len(answers) == 1 else answers
    raise ConfigError(
        f"{where}: this sample of lm-eval has no generated text, only scores of given answers; use a task that "
        f"generates (output_type: generate_until)"
    )


def _arguments(arguments: Any) -> tuple[Any, Any]:
    """The prompt of a sample, a text or chat messages, and its parameters; an empty mapping if none are saved."""
    match arguments:
        case {"gen_args_0": {"arg_0": prompt, "arg_1": parameters}} | [[prompt, parameters], *_]:
            return _chat(prompt), parameters
    return None, None if arguments else {}


def _chat(prompt: Any) -> Any:
    """A prompt for a chat API: lm-eval saves its messages as JSON, which may be in a list of its own."""
    text = prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt
    if not isinstance(text, str) or not text.startswith("[{"):
        return text
    try:
        messages = read_json(text)
    except (ValueError, RecursionError):
        return text
    return messages if all(isinstance(turn, dict) and "role" in turn for turn in messages) else text


def is_bench(row: JsonRow) -> bool:
    """Whether it is a result of `vllm bench serve`."""
    return "generated_texts" in row or ("request_throughput" in row and "completed" in row)


def bench_rows(row: JsonRow, where: str) -> list[JsonRow]:
    """The answers of a benchmark, in the order of its requests; a request with an error is a failure.

    Raises:
        ConfigError: The texts were not saved, or the lists have different lengths.
    """
    texts = row.get("generated_texts")
    if not isinstance(texts, list) or not texts:
        raise ConfigError(
            f"{where}: this result of vllm bench serve has no 'generated_texts'; run it with --save-result "
            f"--save-detailed"
        )
    lists = {key: row[key] for key in ("errors", "ttfts", "latencies", "input_lens") if isinstance(row.get(key), list)}
    for key, values in lists.items():
        if len(values) != len(texts):
            raise ConfigError(f"{where}: {len(texts)} 'generated_texts' but {len(values)} {key!r}; the file is damaged")
    return [_request(row, lists, number, text, where) for number, text in enumerate(texts)]


def _request(row: JsonRow, lists: dict[str, list[Any]], number: int, text: Any, where: str) -> JsonRow:
    given = {key: values[number] for key, values in lists.items()}
    if given.get("errors"):
        return {"failure": str(given["errors"])}
    if not isinstance(text, str):
        raise ConfigError(f"{where}: 'generated_texts' must be texts, got {json.dumps(text)[:80]} at place {number}")
    times = {"seconds": given.get("latencies"), "first_token_seconds": given.get("ttfts")}
    return {"text": text, "model": row.get("model_id"), "prompt_tokens": given.get("input_lens"), **times}
