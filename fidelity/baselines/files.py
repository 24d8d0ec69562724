"""A baseline with its controls as files to commit: exported, read back into a store, and checked for whether it fits.

baseline.json            the runs' manifests, and a hash of every file
prompts.jsonl            the prompts, as a prompt set is written
answers/NAME.jsonl       what was said, a line per prompt: this is what a reviewer compares
tokens/NAME.parquet      token ids and logprobs, compressed
scores/NAME-topK.parquet what the run makes of the baseline's tokens, where it was forced on them; a .json beside it
                         says how they read
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, JsonValue

from fidelity.engines.recorded import recorded_prompts
from fidelity.errors import ConfigError, StoreError
from fidelity.files import ParquetRow, read_parquet, whole_file, write_parquet
from fidelity.outside.paths import inside, plain_name
from fidelity.prompts import JsonRow, read_jsonl
from fidelity.records import Failure, Prompt, Response
from fidelity.schema import JsonObject
from fidelity.store.manifests import NOT_OF_THE_RUN, Manifest, Record, RunManifest, read_record, write_record
from fidelity.store.responses import response_of
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import WHOLE_VOCABULARY, Depth, adopt_export, scores_of

INDEX = "baseline.json"
ATTRIBUTES = "*.jsonl text eol=lf\n*.json text eol=lf\n*.parquet binary\n"
"""So that git hands back the very bytes that the hashes are of."""
TOKENS, PROMPT_TOKENS = ("token_ids", "logprobs"), ("prompt_tokens", "prompt_hash")
"""Columns of a run that are exported as numbers; older runs have none of their prompts."""
LOCAL = (("model",), ("prompts",), ("engine", "path"), ("control", "path"))
"""Where a config may name a path of the machine that it was read on."""


def _exported_name(name: str) -> str:
    """The name of an exported file, at most one folder down: whoever writes the index names no other file."""
    if name.count("/") > 1:
        raise ValueError(f"{name[:80]!r} is not the name of an exported file")
    return "/".join(map(plain_name, name.split("/")))


ExportedName = Annotated[str, AfterValidator(_exported_name)]


class ExportedScores(Record):
    """What a run makes of the baseline's tokens, in a file of its own."""

    file: ExportedName
    scorer: str
    """The run's name."""
    depth: Depth


class BaselineIndex(Manifest):
    """What an exported baseline consists of."""

    runs: tuple[RunManifest, ...] = Field(min_length=1)
    """The baseline and its controls, with paths relative to the directory."""
    files: dict[ExportedName, str]
    """SHA-256 of every file, by name."""
    scores: tuple[ExportedScores, ...]

    what: ClassVar[str] = "exported baseline"

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """The manifests in it were written in the form of version 1 too."""
        runs = data.get("runs")
        upgraded = (
            [RunManifest.upgrade(run) if isinstance(run, dict) else run for run in runs]
            if isinstance(runs, list)
            else runs
        )
        return {"scores": [], **data, "runs": upgraded}

    @classmethod
    def remedy(cls, file: Path) -> str:
        """Baselines are committed."""
        return "take it from version control again"


def is_export(directory: Path) -> bool:
    """Whether a directory holds an exported baseline (and not a run of a store)."""
    return (directory / INDEX).is_file()


def export(runs: Sequence[Run], directory: Path, *, replace: bool = False) -> None:
    """Write a baseline (the first run) and its controls; the same runs give the same bytes.

    Raises:
        ConfigError: Another baseline is there already, and `replace` doesn't say that this one takes its place.
    """
    there = read_index(directory) if is_export(directory) else None
    if there and not replace and _who(there.runs) != _who([run.manifest for run in runs]):
        old = there.runs[0]
        raise ConfigError(
            f"{directory}: holds the baseline {old.name} of {old.created}, which this one is not; promote the "
            f"new one with --replace, or name another directory"
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
    """The exported runs, taken into a store: the baseline, then its controls.

    Raises:
        StoreError: A file was changed or lost after it was exported.
    """
    index = read_index(directory)
    for name, expected in index.files.items():
        file = _file(directory, name)
        if not file.is_file() or _hash(file) != expected:
            raise StoreError(f"{file}: not as it was exported; take it from version control again, or export anew")
    prompts = {prompt.id: prompt for prompt in recorded_prompts(_file(directory, "prompts.jsonl"))}
    runs = [_adopt(directory, manifest, prompts, store) for manifest in index.runs]
    by_name = {run.name: run for run in runs}
    for one in index.scores:
        if one.scorer not in by_name:
            raise StoreError(f"{directory / INDEX}: {one.file} is of {one.scorer!r}, which is not among its runs")
        adopt_export(_file(directory, one.file), by_name[one.scorer], runs[0], one.depth)
    return runs


def read_index(directory: Path) -> BaselineIndex:
    """What an exported baseline consists of.

    Raises:
        StoreError: There is none, it is damaged, or a newer version wrote it.
    """
    return read_record(directory / INDEX, BaselineIndex)


def _token_columns(run: Run) -> Any:
    """The fields of a run that are exported beside its texts; None where the run has none of them."""
    rows = run.rows
    known = [name for name in (*TOKENS, *PROMPT_TOKENS) if name in rows.column_names]
    filled = [name for name in known if rows[name].null_count < len(rows)]
    if not filled:
        return None
    return rows.select(["prompt_id", "repeat", *TOKENS, *(name for name in filled if name in PROMPT_TOKENS)])


def _export_scores(runs: Sequence[Run], directory: Path) -> tuple[ExportedScores, ...]:
    """Write each run's scores of the baseline's tokens; those over the whole vocabulary are too large to commit."""
    exported = []
    for run in runs:
        for scores in scores_of(run):
            if scores.manifest.baseline == runs[0].id and scores.depth.top_k != WHOLE_VOCABULARY:
                name = f"scores/{run.name}-top{scores.depth.top_k}.parquet"
                scores.export(_file(directory, name))
                exported.append(ExportedScores(file=name, scorer=run.name, depth=scores.depth))
    return tuple(exported)


def _who(manifests: Sequence[RunManifest]) -> list[tuple[str, str]]:
    """The same digest may be generated twice, with other outputs: the time tells them apart."""
    return [(manifest.digest, manifest.created) for manifest in manifests]


def _adopt(directory: Path, manifest: RunManifest, prompts: Mapping[str, Prompt], store: Store) -> Run:
    with store.writing(manifest.name, manifest.digest) as writer:
        if isinstance(writer, Run):
            if writer.manifest.created != manifest.created:
                raise StoreError(
                    f"{writer.path}: another run of the same digest than that in {directory}; use another --store"
                )
            return writer
        outcomes = _outcomes(directory, manifest.name)
        if unknown := [one.prompt_id for one in outcomes if one.prompt_id not in prompts]:
            raise StoreError(f"{directory}: {manifest.name} answers {unknown[0]!r}, which is not among its prompts")
        writer.add_chunk(0, [prompts[outcome.prompt_id] for outcome in outcomes], outcomes)
        return writer.complete(tuple(prompts.values()), manifest)


def _outcomes(directory: Path, name: str) -> list[Response]:
    answers = _file(directory, f"answers/{name}.jsonl")
    rows = [row for _, row in read_jsonl(answers)]
    file = _file(directory, f"tokens/{name}.parquet")
    tokens: list[ParquetRow] = read_parquet(file).to_pylist() if file.is_file() else [{}] * len(rows)
    if len(tokens) != len(rows):
        raise StoreError(f"{file}: {len(tokens)} rows for {len(rows)} answers; take both from version control again")
    try:
        pairs = zip(rows, tokens, strict=True)
        return [response_of({**numbers, **row, "prompt_id": row.get("id")}) for row, numbers in pairs]
    except ValueError as error:
        raise StoreError(f"{answers}: not exported answers ({error}); export anew") from None


def _prompt_row(prompt: Prompt) -> JsonRow:
    content = prompt.content
    asked = content if isinstance(content, str) else [{"role": m.role, "content": m.content} for m in content]
    return {"id": prompt.id, "category": prompt.category, "prompt": asked}


def _answer_row(outcome: Response) -> JsonRow:
    row: JsonRow = {"id": outcome.prompt_id, "repeat": outcome.repeat or None}
    if isinstance(outcome, Failure):
        row["failure"] = outcome.reason
    else:
        row |= {"text": outcome.text, "reasoning": outcome.reasoning, "finish_reason": outcome.finish_reason}
    return {key: value for key, value in row.items() if value is not None}


def _lines(rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _file(directory: Path, name: str) -> Path:
    """An exported file by its name in the index."""
    return inside(directory, *name.split("/"))


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _portable(manifest: RunManifest, directory: Path) -> RunManifest:
    """The manifest with paths relative to the directory: two machines export the same."""
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
