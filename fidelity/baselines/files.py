"""A baseline with its controls as files to commit: exporting them, and importing them into a store.

baseline.json            the runs' manifests, and a hash of every file
prompts.jsonl            the prompts, as a prompt set is written
answers/NAME.jsonl       the answers, one line per prompt, readable in a code review
tokens/NAME.parquet      token ids and logprobs, compressed
scores/NAME-topK.parquet token scores of the baseline's answers, if there are any; a .json file of the same name
                         has the tokens' texts
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, JsonValue

from fidelity.engines.recorded import recorded_prompts
from fidelity.errors import ConfigError, StoreError
from fidelity.files import ParquetRow, read_parquet, whole_file, write_parquet
from fidelity.outside.paths import inside, plain_name, read_regular
from fidelity.prompts import JsonRow, read_jsonl
from fidelity.records import Failure, Prompt, Response
from fidelity.schema import JsonObject
from fidelity.store.manifests import NOT_OF_THE_RUN, RunManifest
from fidelity.store.record_files import Manifest, Record, read_record, write_record
from fidelity.store.responses import response_of
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import WHOLE_VOCABULARY, Depth, adopt_export, scores_of

INDEX = "baseline.json"
ATTRIBUTES = "*.jsonl text eol=lf\n*.json text eol=lf\n*.parquet binary\n"
"""Keeps git from changing line endings, which would change the hashes."""
TOKENS, PROMPT_TOKENS = ("token_ids", "logprobs"), ("prompt_tokens", "prompt_hash")
"""Columns of a run that are exported as numbers. Older runs lack those about prompts."""
LOCAL = (("model",), ("prompts",), ("engine", "path"), ("control", "path"))
"""Config keys that can contain absolute paths."""


def _exported_name(name: str) -> str:
    """The name of an exported file, at most one folder down: whoever writes the index names no other file."""
    if name.count("/") > 1:
        raise ValueError(f"{name[:80]!r} is not the name of an exported file")
    return "/".join(map(plain_name, name.split("/")))


ExportedName = Annotated[str, AfterValidator(_exported_name)]


class ExportedScores(Record):
    """A run's token scores of the baseline, as a file."""

    file: ExportedName
    scorer: str
    """The run's name."""
    depth: Depth


class BaselineIndex(Manifest):
    """The content of an exported baseline."""

    runs: tuple[RunManifest, ...] = Field(min_length=1)
    """The baseline and its controls, with paths relative to the directory."""
    files: dict[ExportedName, str]
    """SHA-256 of every file, by name."""
    scores: tuple[ExportedScores, ...]

    what: ClassVar[str] = "an exported baseline"

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """Convert version 1, which has manifests of version 1."""
        runs = data.get("runs")
        upgraded = (
            [RunManifest.upgrade(run) if isinstance(run, dict) else run for run in runs]
            if isinstance(runs, list)
            else runs
        )
        return {"scores": [], **data, "runs": upgraded}

    @classmethod
    def remedy(cls, file: Path) -> str:
        """The repair for a damaged file: baselines are under version control."""
        return "restore it from version control"


def is_export(directory: Path) -> bool:
    """Whether a directory contains an exported baseline, rather than a run of a store."""
    return (directory / INDEX).is_file()


def export(runs: Sequence[Run], directory: Path, *, replace: bool = False) -> None:
    """Write a baseline (the first run) and its controls. The same runs give the same bytes.

    Raises:
        ConfigError: The directory has another baseline, and `replace` is not set.
    """
    there = read_index(directory) if is_export(directory) else None
    if there and not replace and _who(there.runs) != _who([run.manifest for run in runs]):
        old = there.runs[0]
        raise ConfigError(
            f"{directory}: already contains another baseline, {old.name} of {old.created}; replace it with "
            f"--replace, or choose another directory"
        )
    files = {".gitattributes": ATTRIBUTES.encode(), "prompts.jsonl": _lines(map(_prompt_row, runs[0].prompts()))}
    for run in runs:
        files[f"answers/{run.name}.jsonl"] = _lines(map(_answer_row, run.outcomes()))
    for name, content in files.items():
        with whole_file(_file(directory, name)) as draft:
            draft.write_bytes(content)
    for run in runs:
        if columns := _token_columns(run):
            name = f"tokens/{run.name}.parquet"
            write_parquet(_file(directory, name), columns, small=True)
            files[name] = b""
    scores = _export_scores(runs, directory)
    files |= {name: b"" for one in scores for name in (one.file, one.file.removesuffix("parquet") + "json")}
    for name in there.files if there else ():
        if name not in files:
            _file(directory, name).unlink(missing_ok=True)
    hashes = {name: _hash(directory / name) for name in sorted(files)}
    manifests = tuple(_portable(run.manifest, directory) for run in runs)
    write_record(directory / INDEX, BaselineIndex(runs=manifests, files=hashes, scores=scores))


def adopt(directory: Path, store: Store) -> list[Run]:
    """Copy the exported runs into a store: the baseline, then its controls.

    Raises:
        StoreError: A file was changed or lost after the export.
    """
    index = read_index(directory)
    for name, expected in index.files.items():
        file = _file(directory, name)
        if not file.is_file() or _hash(file) != expected:
            raise StoreError(f"{file}: was changed after the export; restore it from version control, or export again")
    prompts = {prompt.id: prompt for prompt in recorded_prompts(_file(directory, "prompts.jsonl"))}
    runs = [_adopt(directory, manifest, prompts, store) for manifest in index.runs]
    by_name = {run.name: run for run in runs}
    for one in index.scores:
        if one.scorer not in by_name:
            raise StoreError(f"{directory / INDEX}: {one.file} is of {one.scorer!r}, which is not among its runs")
        adopt_export(_file(directory, one.file), by_name[one.scorer], runs[0], one.depth)
    return runs


def read_index(directory: Path) -> BaselineIndex:
    """Read the content of an exported baseline.

    Raises:
        StoreError: There is no baseline, or it is damaged or of a newer version.
    """
    return read_record(directory / INDEX, BaselineIndex)


def _token_columns(run: Run) -> Any:
    """The fields of a run that are exported in addition to its texts; None if the run has none."""
    rows = run.rows
    known = [name for name in (*TOKENS, *PROMPT_TOKENS) if name in rows.column_names]
    filled = [name for name in known if rows[name].null_count < len(rows)]
    if not filled:
        return None
    return rows.select(["prompt_id", "repeat", *TOKENS, *(name for name in filled if name in PROMPT_TOKENS)])


def _export_scores(runs: Sequence[Run], directory: Path) -> tuple[ExportedScores, ...]:
    """Write each run's token scores, except the whole distributions, which would be too large to commit."""
    exported = dict[str, ExportedScores]()
    for run in runs:
        for scores in scores_of(run):
            depth = replace(scores.depth, exact=False)
            if scores.manifest.baseline == runs[0].id and depth.every_token and depth.top_k != WHOLE_VOCABULARY:
                name = f"scores/{run.name}-top{scores.depth.top_k}.parquet"
                scores.export(_file(directory, name))
                exported[name] = ExportedScores(file=name, scorer=run.name, depth=depth)
    return tuple(exported.values())


def _who(manifests: Sequence[RunManifest]) -> list[tuple[str, str]]:
    """Raise if the store has another run with this digest. The creation times tell them apart."""
    return [(manifest.digest, manifest.created) for manifest in manifests]


def _adopt(directory: Path, manifest: RunManifest, prompts: Mapping[str, Prompt], store: Store) -> Run:
    with store.writing(manifest.name, manifest.digest) as writer:
        if isinstance(writer, Run):
            if writer.manifest.created != manifest.created:
                raise StoreError(
                    f"{writer.path}: is another run with the same digest as the one in {directory}; use another --store"
                )
            return writer
        outcomes = _outcomes(directory, manifest.name)
        if unknown := [one.prompt_id for one in outcomes if one.prompt_id not in prompts]:
            raise StoreError(f"{directory}: {manifest.name} answers {unknown[0]!r}, which is not among its prompts")
        writer.add_chunk(0, [prompts[outcome.prompt_id] for outcome in outcomes], outcomes)
        return writer.complete(tuple(prompts.values()), manifest).with_expected(prompts.values())


def _outcomes(directory: Path, name: str) -> list[Response]:
    answers = _file(directory, f"answers/{name}.jsonl")
    try:
        rows = [row for _, row in read_jsonl(answers, strict=True)]
    except ConfigError as error:
        raise StoreError(f"{error}; restore it from version control, or export again") from None
    file = _file(directory, f"tokens/{name}.parquet")
    tokens: list[ParquetRow] = read_parquet(file).to_pylist() if file.is_file() else [{}] * len(rows)
    if len(tokens) != len(rows):
        raise StoreError(f"{file}: {len(tokens)} rows for {len(rows)} answers; restore both from version control")
    try:
        pairs = zip(rows, tokens, strict=True)
        return [response_of({**numbers, **row, "prompt_id": row.get("id")}) for row, numbers in pairs]
    except ValueError as error:
        raise StoreError(
            f"{answers}: not exported answers ({error}); restore it from version control, or export again"
        ) from None


def _prompt_row(prompt: Prompt) -> JsonRow:
    asked = prompt.content if isinstance(prompt.content, str) else prompt.chat
    row: JsonRow = {"id": prompt.id, "category": prompt.category, "prompt": asked, **prompt.offer}
    return row | ({"expected": prompt.expected.model_dump(mode="json")} if prompt.expected else {})


def _answer_row(outcome: Response) -> JsonRow:
    row: JsonRow = {"id": outcome.prompt_id, "repeat": outcome.repeat or None}
    if isinstance(outcome, Failure):
        row |= {"failure": outcome.reason, "cause": None if outcome.cause == "model" else outcome.cause}
    else:
        row |= {"text": outcome.text, "reasoning": outcome.reasoning, "finish_reason": outcome.finish_reason}
        row |= {"tool_calls": outcome.tool_calls, "score": outcome.score}
    return {key: value for key, value in row.items() if value is not None}


def _lines(rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _file(directory: Path, name: str) -> Path:
    """An exported file by its name in the index."""
    return inside(directory, *name.split("/"))


def _hash(file: Path) -> str:
    return hashlib.sha256(read_regular(file)).hexdigest()


def _portable(manifest: RunManifest, directory: Path) -> RunManifest:
    """The manifest with relative paths, so two machines export the same bytes."""
    config = manifest.config.model_dump(mode="json", exclude=NOT_OF_THE_RUN)
    for *outer, key in LOCAL:
        place: JsonValue = config
        for name in outer:
            place = place.get(name) if isinstance(place, dict) else None
        if isinstance(place, dict) and key in place:
            place[key] = _relative(place[key], directory)
    return manifest.replace(config=config)


def _relative(path: JsonValue, directory: Path) -> JsonValue:
    if isinstance(path, list):
        return [_relative(one, directory) for one in path]
    if not isinstance(path, str) or not path.startswith("/"):
        return path
    relative = Path(os.path.relpath(path, directory.resolve())).as_posix()
    return relative if relative.startswith(".") else f"./{relative}"
