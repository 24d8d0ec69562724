"""The engine `recorded`: outputs that were generated elsewhere, read from a file."""

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import get_args

import numpy as np

from fidelity.children.prompting import prompt_record
from fidelity.config import RecordedEngine, Sampling
from fidelity.engines.recordings import ANSWERS, PLAIN, read_recorded
from fidelity.engines.replies import finish_reason_of, token_ids
from fidelity.errors import ConfigError, IncomparableError
from fidelity.outside.paths import open_regular
from fidelity.outside.strings import LONGEST_REASON, one_line, replace_lone_surrogates
from fidelity.prompts import JsonRow, Rows, expected_answer, parse_prompt
from fidelity.records import EngineInfo, Failure, Generation, Judgment, Message, Prompt
from fidelity.spool import Spool

MOST_REPEATS = 10_000
"""Answers to one prompt."""
LONGEST_S = 1e9
"""Seconds that an answer can have taken: 30 years."""
ROUNDING = 1e-4
"""How far above 0 rounding in single precision may move a log-probability."""
JUDGMENTS = get_args(Judgment)
LARGEST_LOGPROB = 1e6
"""The largest distance of a log-probability from 0; servers write -9999 for unknown ones."""


class RecordedAnswers:
    """Answers each prompt with its row: `text`, and other known fields of a generation.

    A row belongs to the prompt with its id, else to the only one with the same text. The rows of a file with neither
    belong to the prompts in their order, if there are as many. A row with `failure` instead of `text` states why there
    is no answer. If a prompt has several answers, each row has its `repeat`, from 0.

    Raises:
        ConfigError: A row has no answer, an answer is duplicated, or a field has the wrong type.
    """

    def __init__(self, config: RecordedEngine) -> None:
        path, ran = config.path, config.ran.model_dump(exclude={"bytes"}) if config.ran else {}
        recording = read_recorded(path)
        rows = recording.rows
        models = sorted({one_line(str(row["model"]), most=LONGEST_REASON) for _, row in rows if row.get("model")})
        model = ", ".join(models) or None
        several = tuple(models) if len(models) > 1 else ()
        kind = ran.pop("engine", None) or "recorded"
        self.reading = () if recording.format == PLAIN else (f"read as {recording.format}",)
        """How the file was read, if it isn't in fidelity's own format."""
        answered = (f"answered by {', '.join(models)}, according to the recorded file",) if models else ()
        self.info = EngineInfo(kind=kind, notes=(*self.reading, *answered), model=model, models=several, **ran)
        self.timings = _timings(rows)
        """The file's times, as total seconds over all rows; empty without times."""
        self.step_seconds = 0.0
        self._path, self._paired_by = path, recording.paired_by
        self._rows = rows
        self._first, self._several = _places(rows)
        if not rows:
            raise ConfigError(f"{path}: contains no recorded outputs; each row needs an 'id' and a 'text'")
        self._of_prompt: dict[str, str] = {}

    @cached_property
    def _of_text(self) -> dict[tuple[Message, ...], str]:
        """The ids of rows by their prompts."""
        return _ids_of_texts(self._rows)

    def pair(self, prompts: Sequence[Prompt]) -> None:
        """Assign rows to the whole prompt set: by prompt if their ids are none of the set's, or all by position.

        Raises:
            ConfigError: Rows with neither ids nor prompts are not as many as the prompts.
        """
        if all(prompt.id in self._first for prompt in prompts):
            return
        asked, texts = {prompt.id for prompt in prompts}, Counter(prompt.messages for prompt in prompts)
        self._of_text = {text: id_ for text, id_ in self._of_text.items() if id_ not in asked and texts[text] == 1}
        if self._paired_by != "position":
            return
        if len(self._first) != len(prompts):
            raise ConfigError(
                f"{self._path}: has {len(self._first)} answers without ids for {len(prompts)} prompts, so they can't "
                f"be paired by position; give each row the 'id' of its prompt"
            )
        self._of_prompt = {prompt.id: id_ for prompt, id_ in zip(prompts, self._first, strict=True)}
        note = f"{self._path.name} has neither ids nor prompts: its answers were paired with the prompts by position"
        self.reading = (*self.reading, note)
        self.info = replace(self.info, notes=(*self.info.notes, note))

    def unasked(self, prompts: Iterable[Prompt]) -> tuple[str, ...]:
        """The ids that only the file has."""
        asked = np.zeros(len(self._rows), np.bool_)
        for prompt in prompts:
            if (place := self._first.get(self._id_of(prompt))) is not None:
                asked[place] = True
        return tuple(id_ for id_, place in self._first.items() if not asked[place])

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """See `Engine.generate`. `sampling` is ignored, since the outputs exist already."""
        for prompt, repeat in zip(prompts, repeats or [0] * len(prompts), strict=True):
            where, row = self._row(self._id_of(prompt), repeat)
            if row is None:
                yield Failure(prompt.id, f"{self._path.name} has no output for it")
                continue
            if row.get("prompt") and prompt.content and parse_prompt(row, where=where).messages != prompt.messages:
                raise IncomparableError(
                    f"{where}: the text of prompt {prompt.id!r} differs from the baseline's; outputs can only be "
                    f"compared on the same prompts"
                )
            if row.get("failure"):
                yield Failure(prompt.id, one_line(row["failure"], most=LONGEST_REASON))
            else:
                yield replace(_generation(row, where), prompt_id=prompt.id)

    def _id_of(self, prompt: Prompt) -> str:
        """The id of a prompt's rows; empty if there are none."""
        if prompt.id in self._of_prompt:
            return self._of_prompt[prompt.id]
        return prompt.id if prompt.id in self._first else self._of_text.get(prompt.messages, "")

    def _row(self, id_: str, repeat: int) -> tuple[str, JsonRow | None]:
        """The row of an answer, with its place in the file; None if there is none."""
        if (place := self._several.get((id_, repeat))) is not None:
            return self._rows[place]
        if (place := self._first.get(id_)) is None:
            return "", None
        where, row = self._rows[place]
        return where, row if _repeat(row, where) == repeat else None


def _places(rows: Rows) -> tuple[dict[str, int], dict[tuple[str, int], int]]:
    """The number of the first row of each id, and those of all rows of ids that have several.

    Raises:
        ConfigError: A row has no answer, or an answer is there twice.
    """
    first: dict[str, int] = {}
    several: dict[tuple[str, int], int] = {}
    for number, (where, row) in enumerate(rows):
        if not isinstance(row.get("failure") or row.get("text"), str):
            others = ", ".join(map(repr, ANSWERS[1:]))
            raise ConfigError(
                f"{where}: a recorded output needs 'text' (or 'failure'), a text; {others} are read as 'text', too"
            )
        id_, repeat = row["id"], _repeat(row, where)
        if id_ not in first:
            first[id_] = number
            continue
        earlier = first[id_]
        several.setdefault((id_, _repeat(rows[earlier][1], rows[earlier][0])), earlier)
        if (id_, repeat) in several:
            raise ConfigError(
                f"{where}: the id {id_!r} is used twice; make ids unique, or number each prompt's answers "
                f"with 'repeat' (0, 1, ...)"
            )
        several[id_, repeat] = number
    return first, several


def _ids_of_texts(rows: Rows) -> dict[tuple[Message, ...], str]:
    """The ids of rows by their prompts, without prompts that occur under several ids."""
    ids: dict[tuple[Message, ...], set[str]] = {}
    for where, row in rows:
        if row.get("prompt"):
            ids.setdefault(parse_prompt(row, where=where).messages, set()).add(row["id"])
    return {messages: next(iter(known)) for messages, known in ids.items() if len(known) == 1}


def recorded_prompts(path: Path) -> Sequence[Prompt]:
    """The prompts of a recorded file, for a baseline without a prompt set. Missing prompt texts are empty."""
    rows = read_recorded(path).rows
    last = {row["id"]: number for number, (_, row) in enumerate(rows)}
    return Spool(_prompt_of(*rows[number]) for number in last.values())


def _prompt_of(where: str, row: JsonRow) -> Prompt:
    if row.get("prompt"):
        return parse_prompt(row, where=where)
    return Prompt(row["id"], "", row.get("category"), expected=expected_answer(row, where=where))


def recorded_repeats(path: Path) -> int:
    """The maximum number of answers per prompt in a recorded file.

    Raises:
        ConfigError: They aren't numbered 0, 1, 2, ...
    """
    repeats = {_repeat(row, where) for where, row in read_recorded(path).rows} or {0}
    missing = next(number for number in count() if number not in repeats)
    if missing < max(repeats):
        raise ConfigError(
            f"{path}: it has a 'repeat' {max(repeats)} but no {missing}; number each prompt's answers 0, 1, 2, ..."
        )
    return max(repeats) + 1


def file_hash(path: Path) -> str:
    """SHA-256 of the recorded file, which identifies the run."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing file") from error


def _generation(row: JsonRow, where: str) -> Generation:
    ids, logprobs = _token_ids(row, where), _logprobs(row, where)
    if ids is not None and logprobs is not None and len(ids) != len(logprobs):
        raise ConfigError(f"{where}: {len(ids)} token_ids but {len(logprobs)} logprobs; give one logprob per token")
    reasoning = row.get("reasoning")
    if reasoning is not None and not isinstance(reasoning, str):
        raise ConfigError(f"{where}: 'reasoning' must be a text, got {type(reasoning).__name__}")
    return Generation(
        prompt_id=row["id"],
        text=replace_lone_surrogates(row["text"]),
        token_ids=ids,
        logprobs=logprobs,
        finish_reason=finish_reason_of(row.get("finish_reason")),
        reasoning=None if reasoning is None else replace_lone_surrogates(reasoning),
        score=row.get("score") if row.get("score") in JUDGMENTS else None,
        tool_calls=row.get("calls"),
        **_prompt(row),
    )


def _prompt(row: JsonRow) -> JsonRow:
    """A row's information on the prompt as the model read it: its token ids, or their number."""
    if ids := token_ids(row.get("prompt_token_ids")):
        return prompt_record(ids)
    number = row.get("prompt_tokens")
    return {"prompt_tokens": number if type(number) is int and 0 < number < 2**31 else None}


def _repeat(row: JsonRow, where: str) -> int:
    repeat = row.get("repeat", 0)
    if type(repeat) is not int or not 0 <= repeat < MOST_REPEATS:
        given = json.dumps(repeat)[:80]
        raise ConfigError(f"{where}: 'repeat' must be a number from 0 to {MOST_REPEATS - 1:,}, got {given}")
    return repeat


def _timings(rows: Rows) -> dict[str, float]:
    """The sums of the rows' times; not every row needs them."""
    seconds = {key: array("d") for key in ("seconds", "first_token_seconds")}
    for where, row in rows:
        for key, values in seconds.items():
            if (value := row.get(key)) is None:
                continue
            if type(value) not in (int, float) or not 0 <= value <= LONGEST_S:
                raise ConfigError(f"{where}: '{key}' must be a number of seconds, got {value!r}")
            values.append(value)
    timings: dict[str, float] = {}
    for key, values in seconds.items():
        if values:
            timings |= {key: float(sum(values)), f"{key}_rows": len(values)}
    return timings


def _token_ids(row: JsonRow, where: str) -> tuple[int, ...] | None:
    values = row.get("token_ids")
    if values is not None and (not isinstance(values, list) or not all(type(value) is int for value in values)):
        raise ConfigError(f"{where}: 'token_ids' must be a list of numbers, one per token")
    if values is not None and token_ids(values) is None:
        wrong = next(value for value in values if token_ids([value]) is None)
        raise ConfigError(
            f"{where}, id {row['id']!r}: {str(wrong)[:20]} is not a token id; they are numbers from 0 to {2**31 - 1}"
        )
    return token_ids(values)


def _logprobs(row: JsonRow, where: str) -> tuple[float, ...] | None:
    """Natural logarithms of probabilities; one that is above 0 by rounding is 0."""
    values = row.get("logprobs")
    if values is None:
        return None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ConfigError(f"{where}: 'logprobs' must be a list of numbers, one per token")
    for value in values:
        if not -LARGEST_LOGPROB <= value <= ROUNDING:
            raise ConfigError(
                f"{where}, id {row['id']!r}: {str(value)[:20]} is not a log-probability, which is a finite number not "
                f"above 0; omit 'logprobs' if they aren't known"
            )
    return tuple(min(0.0, float(value)) for value in values)
