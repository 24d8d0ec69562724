"""Outputs that were generated elsewhere, read back from a file."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from fidelity.children.prompting import prompt_record
from fidelity.config import RecordedEngine, Sampling
from fidelity.engines.recordings import Rows, read_recorded
from fidelity.engines.replies import finish_reason_of, token_ids
from fidelity.errors import ConfigError, IncomparableError
from fidelity.prompts import JsonRow, parse_prompt, replace_lone_surrogates
from fidelity.records import EngineInfo, Failure, Generation, Prompt

ROUNDING = 1e-4
"""How far above 0 rounding in single precision may carry a log-probability."""
LARGEST_LOGPROB = 1e6
"""What is further from 0 is no number of a model; servers write -9999 for what they don't know."""


class RecordedAnswers:
    """Answers each prompt with the row that has its id: `id` and `text`, and more of a generation if it is known.

    A row with `failure` instead of `text` says why there is no answer.

    Where a prompt has several answers each line says which it is: `repeat`, from 0.

    Raises:
        ConfigError: A row has no `id` or `text`, an answer stands twice, or a field has the wrong type.
    """

    def __init__(self, config: RecordedEngine) -> None:
        path, ran = config.path, config.ran.model_dump(exclude={"bytes"}) if config.ran else {}
        rows = read_recorded(path)
        models = sorted({str(row["model"]) for _, row in rows if row.get("model")})
        notes = (f"answered by {', '.join(models)}, as the recorded file says",) if models else ()
        model = ", ".join(models) or None
        several = tuple(models) if len(models) > 1 else ()
        kind = ran.pop("engine", None) or "recorded"
        self.info = EngineInfo(kind=kind, notes=notes, model=model, models=several, **ran)
        self.timings = _timings(rows)
        """What the file says of time, in seconds over all rows; empty if nothing."""
        self.step_seconds = 0.0
        self._path = path
        self._rows: dict[tuple[str, int], tuple[str, JsonRow]] = {}
        for where, row in rows:
            if not isinstance(row.get("id"), str) or not isinstance(row.get("failure") or row.get("text"), str):
                raise ConfigError(f"{where}: a recorded output needs 'id' and 'text' (or 'failure'), both texts")
            if not row["id"]:
                raise ConfigError(f"{where}: the 'id' is empty; it says which prompt this is the answer to")
            key = row["id"], _repeat(row, where)
            if key in self._rows:
                raise ConfigError(
                    f"{where}: the id {row['id']!r} stands twice; ids must be unique, or each of a prompt's answers "
                    f"needs a 'repeat' of its own (0, 1, ...)"
                )
            self._rows[key] = where, row
        if not self._rows:
            raise ConfigError(f"{path}: no recorded outputs in it; each row has an 'id' and a 'text'")

    @property
    def ids(self) -> tuple[str, ...]:
        """The prompts that the file has rows for, in its order."""
        return tuple(dict.fromkeys(id_ for id_, _ in self._rows))

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """See `Engine.generate`; `sampling` is what it is, since the outputs exist already."""
        for prompt, repeat in zip(prompts, repeats or [0] * len(prompts), strict=True):
            if (prompt.id, repeat) not in self._rows:
                yield Failure(prompt.id, f"no output for it in {self._path.name}")
                continue
            where, row = self._rows[prompt.id, repeat]
            if row.get("prompt") and prompt.content and parse_prompt(row, where=where).messages != prompt.messages:
                raise IncomparableError(
                    f"{where}: the prompt {prompt.id!r} is another one than the baseline's; outputs can only be "
                    f"compared on the same prompts"
                )
            if row.get("failure"):
                yield Failure(prompt.id, row["failure"])
            else:
                yield _generation(row, where)


def recorded_prompts(path: Path) -> tuple[Prompt, ...]:
    """The prompts of a recorded file, for a baseline that names no prompt set; one that isn't recorded is empty."""
    prompts = (
        parse_prompt(row, where=where) if row.get("prompt") else Prompt(str(row.get("id")), "", row.get("category"))
        for where, row in read_recorded(path)
    )
    return tuple({prompt.id: prompt for prompt in prompts}.values())


def recorded_repeats(path: Path) -> int:
    """How many answers to a prompt a recorded file has at most.

    Raises:
        ConfigError: They aren't numbered 0, 1, 2, ...
    """
    repeats = {_repeat(row, where) for where, row in read_recorded(path)} or {0}
    if missing := set(range(max(repeats))) - repeats:
        raise ConfigError(
            f"{path}: it has a 'repeat' {max(repeats)} but no {min(missing)}; number each prompt's answers 0, 1, 2, ..."
        )
    return max(repeats) + 1


def file_hash(path: Path) -> str:
    """SHA-256 of the recorded file: what the run is known by."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing file") from error


def _generation(row: JsonRow, where: str) -> Generation:
    ids, logprobs = _token_ids(row, where), _logprobs(row, where)
    if ids is not None and logprobs is not None and len(ids) != len(logprobs):
        raise ConfigError(f"{where}: {len(ids)} token_ids but {len(logprobs)} logprobs; there is one for each token")
    reasoning = row.get("reasoning")
    if reasoning is not None and not isinstance(reasoning, str):
        raise ConfigError(f"{where}: 'reasoning' must be a text, found {type(reasoning).__name__}")
    return Generation(
        prompt_id=row["id"],
        text=replace_lone_surrogates(row["text"]),
        token_ids=ids,
        logprobs=logprobs,
        finish_reason=finish_reason_of(row.get("finish_reason")),
        reasoning=None if reasoning is None else replace_lone_surrogates(reasoning),
        **_prompt(row),
    )


def _prompt(row: JsonRow) -> JsonRow:
    """What a row tells of the prompt as the model read it: its token ids, or their number."""
    if ids := token_ids(row.get("prompt_token_ids")):
        return prompt_record(ids)
    count = row.get("prompt_tokens")
    return {"prompt_tokens": count if type(count) is int and count > 0 else None}


def _repeat(row: JsonRow, where: str) -> int:
    repeat = row.get("repeat", 0)
    if type(repeat) is not int or repeat < 0:
        raise ConfigError(f"{where}: 'repeat' must be a number from 0, found {json.dumps(repeat)}")
    return repeat


def _timings(rows: Rows) -> dict[str, float]:
    """The sums of what rows say of their time; rows may say it in part."""
    timings: dict[str, float] = {}
    for key in ("seconds", "first_token_seconds"):
        values = [row[key] for _, row in rows if row.get(key) is not None]
        for where, row in rows:
            if row.get(key) is not None and (type(row[key]) not in (int, float) or not 0 <= row[key] < math.inf):
                raise ConfigError(f"{where}: '{key}' must be a number of seconds, found {row[key]!r}")
        if values:
            timings |= {key: float(sum(values)), f"{key}_rows": len(values)}
    return timings


def _token_ids(row: JsonRow, where: str) -> tuple[int, ...] | None:
    values = row.get("token_ids")
    if values is not None and (not isinstance(values, list) or not all(type(value) is int for value in values)):
        raise ConfigError(f"{where}: 'token_ids' must be a list of numbers, one for each token")
    if values is not None and token_ids(values) is None:
        wrong = next(value for value in values if token_ids([value]) is None)
        raise ConfigError(f"{where}, id {row['id']!r}: {wrong} is no token id; they go from 0 to {2**31 - 1}")
    return token_ids(values)


def _logprobs(row: JsonRow, where: str) -> tuple[float, ...] | None:
    """Natural logarithms of probabilities; one that is above 0 by rounding is 0."""
    values = row.get("logprobs")
    if values is None:
        return None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ConfigError(f"{where}: 'logprobs' must be a list of numbers, one for each token")
    for value in values:
        if not -LARGEST_LOGPROB <= value <= ROUNDING:
            raise ConfigError(
                f"{where}, id {row['id']!r}: {str(value)[:20]} is no log-probability, which is a finite number that is "
                f"not above 0; leave 'logprobs' out where they aren't known"
            )
    return tuple(min(0.0, float(value)) for value in values)
