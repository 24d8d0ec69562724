"""The store: runs and comparisons as directories of Parquet.

The manifest of each is written last, by rename: with it the directory is complete, without it absent.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fidelity.errors import StoreError
from fidelity.files import (
    full_disk_explained,
    read_parquet,
    read_parquet_row,
    read_parquet_schema,
    whole_file,
    write_parquet,
)
from fidelity.journal import Journal
from fidelity.manifests import read_manifest, write_manifest
from fidelity.records import Column, Failure, Generation, Message, Prompt

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_READ_AT_ONCE = 500
"""Generations that are read to see one of them: a row group of Parquet."""
Outcome = Generation | Failure


@dataclass(frozen=True)
class Run:
    """A finished run on disk."""

    path: Path

    @property
    def id(self) -> str:
        """The directory's name: the run's name and the beginning of its digest."""
        return self.path.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the run was: name, digest, config, engine, checkpoint, counts."""
        return read_manifest(self.path)

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def measurement(self) -> dict[str, Any] | None:
        """What was measured of it, which lies beside `runs/` in `measurements/`; None if nothing was."""
        folder = self.path.parent.parent / "measurements" / self.id
        return read_manifest(folder) if (folder / "manifest.json").is_file() else None

    @cached_property
    def rows(self) -> "pa.Table":
        """The generations, one row per prompt and repeat, in the prompt set's order."""
        return read_parquet(self.path / "generations.parquet")

    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that were asked, in the prompt set's order."""
        rows = self.rows.select(["prompt_id", "prompt", "category", "repeat"]).to_pylist()
        return tuple(
            Prompt(row["prompt_id"], _content(row["prompt"]), row["category"]) for row in rows if row["repeat"] == 0
        )

    def read(self, columns: Sequence[str]) -> "pa.Table":
        """Some columns of the generations, in the order of `rows`."""
        return read_parquet(self.path / "generations.parquet", columns=columns)

    def asked_and_said(self, row: int) -> tuple[Prompt, Outcome]:
        """One prompt and what came of it, by its number in `rows`; no more of the file is read than holds it."""
        found = read_parquet_row(self.path / "generations.parquet", row)
        prompt = Prompt(found["prompt_id"], _content(found.pop("prompt")), found.pop("category"))
        return prompt, _outcome(found)

    def outcomes(self) -> list[Outcome]:
        """What came of each prompt, in the prompt set's order."""
        return [_outcome(row) for row in self.rows.drop_columns(["prompt", "category"]).to_pylist()]


@dataclass(frozen=True)
class Comparison:
    """A scored pair of runs on disk: one Parquet file per metric signature. A control is compared like a candidate."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Which runs were compared, and the pairs that could not be made."""
        return read_manifest(self.path)

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The prompt of each pair, in the order of every column's values."""
        return tuple(self.manifest["prompt_ids"])

    def columns(self, signature: str, *, only: Container[str] | None = None) -> tuple[Column, ...] | None:
        """The columns of one metric, or `only` some of them; None if it has not been scored yet."""
        file = self.path / _scores_file(signature)
        if not file.is_file():
            return None
        schema = read_parquet_schema(file)
        made = json.loads(schema.metadata[b"fidelity"])["columns"]
        described = [c for c in made if only is None or c["name"] in only]
        wanted = {c["name"] for c in described} | {c["name"] + "@weight" for c in described}
        table = read_parquet(file, columns=[name for name in schema.names if name in wanted])
        return tuple(
            Column(
                name=c["name"],
                values=tuple(table[c["name"]].to_pylist()),
                weights=tuple(table[c["name"] + "@weight"].to_pylist()) if c["weighted"] else None,
                better=c["better"],
                summary=c["summary"],
                bounds=tuple(c["bounds"]) if c["bounds"] else None,
            )
            for c in described
        )

    def described(self, **more: Any) -> "Comparison":
        """The same comparison with more in its manifest; what stood there under these keys is replaced."""
        manifest = read_manifest(self.path)
        if any(key not in manifest or manifest[key] != value for key, value in more.items()):
            write_manifest(self.path, {**manifest, **more})
        return Comparison(self.path)

    def add_columns(self, signature: str, columns: Sequence[Column]) -> None:
        """Keep a metric's columns, one value per pair."""
        import pyarrow as pa

        data: dict[str, Any] = {"prompt_id": pa.array(self.prompt_ids, pa.string())}
        for column in columns:
            data[column.name] = _numbers(column.name, column.values)
            if column.weights is not None:
                data[column.name + "@weight"] = _numbers(column.name, column.weights)
        described = [
            {
                "name": c.name,
                "weighted": c.weights is not None,
                "better": c.better,
                "summary": c.summary,
                "bounds": list(c.bounds) if c.bounds else None,
            }
            for c in columns
        ]
        meta = {"fidelity": json.dumps({"signature": signature, "columns": described})}
        write_parquet(self.path / _scores_file(signature), pa.table(data).replace_schema_metadata(meta))


class RunWriter:
    """A run that is being generated: whole chunks are kept, and one that is there is not generated again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "engine.log"

    @property
    def finished(self) -> set[int]:
        """The numbers of the chunks that are on disk."""
        return {int(file.stem.partition("-")[2]) for file in self.path.glob("chunk-*.parquet")}

    def journal(self, number: int) -> Journal:
        """What there is of a chunk that isn't whole yet, where each prompt is answered in its own time."""
        return Journal(self.path / f"answers-{number:05d}.jsonl")

    @property
    def begun(self) -> bool:
        """Whether something of the run is on disk."""
        return any(self.path.glob("chunk-*.parquet")) or any(self.path.glob("answers-*.jsonl"))

    def add_chunk(self, number: int, prompts: Sequence[Prompt], outcomes: Iterable[Outcome]) -> None:
        """Keep a chunk: all of its outcomes, or none of them."""
        import pyarrow as pa

        rows, parts = zip(prompts, outcomes, strict=True), []
        while batch := [_row(prompt, outcome) for prompt, outcome in islice(rows, ROWS_READ_AT_ONCE)]:
            parts.append(pa.Table.from_pylist(batch, schema=_run_schema()))
        write_parquet(self.path / f"chunk-{number:05d}.parquet", pa.concat_tables(parts))

    @property
    def noted(self) -> dict[str, Any] | None:
        """What was written down with `note`; None if nothing was."""
        file = self.path / "draft.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def note(self, manifest: dict[str, Any]) -> None:
        """Write down what the chunks will be a run of, for one that may end before all of them are there."""
        with whole_file(self.path / "draft.json") as draft:
            draft.write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")

    def part(self, numbers: Iterable[int], prompts: Sequence[Prompt], manifest: dict[str, Any], *, path: Path) -> Run:
        """What some chunks say to `prompts` as a run of its own, elsewhere; they stay, so that more may follow."""
        chunks = [self.path / f"chunk-{number:05d}.parquet" for number in sorted(numbers)]
        return _write_run(path, chunks, prompts, manifest)

    def complete(self, prompts: Sequence[Prompt], manifest: dict[str, Any]) -> Run:
        """Join the chunks in the prompt set's order; the manifest comes last, and with it the run is there."""
        chunks = sorted(self.path.glob("chunk-*.parquet"))
        run = _write_run(self.path, chunks, prompts, manifest)
        for file in (*chunks, *self.path.glob("answers-*.jsonl"), self.path / "draft.json"):
            file.unlink(missing_ok=True)
        return run


def _write_run(path: Path, chunks: Sequence[Path], prompts: Sequence[Prompt], manifest: dict[str, Any]) -> Run:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.concat_tables([read_parquet(chunk) for chunk in chunks])
    place = {prompt.id: number for number, prompt in enumerate(prompts)}
    keys = list(zip(table["repeat"].to_pylist(), table["prompt_id"].to_pylist(), strict=True))
    rows = [row for row, (_, prompt_id) in enumerate(keys) if prompt_id in place]
    table = table.take(sorted(rows, key=lambda row: (keys[row][0], place[keys[row][1]])))
    write_parquet(path / "generations.parquet", table, rows_per_group=ROWS_READ_AT_ONCE)
    failures = len(table) - table["failure"].null_count
    tokens = pc.sum(pc.list_value_length(table["token_ids"])).as_py() or 0
    counts = {"prompts": len(prompts), "generations": len(table) - failures, "failures": failures, "tokens": tokens}
    write_manifest(path, {**manifest, "counts": counts})
    return Run(path)


class Store:
    """A directory with `runs/` and `comparisons/`; several commands may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def remembered_hashes(self) -> Path:
        """Where hashes of model files are kept."""
        return self.root / "hashes.json"

    def runs(self) -> list[Run]:
        """The finished runs, by name."""
        return [Run(path) for path in _complete(self.root / "runs")]

    def comparisons(self) -> list[Comparison]:
        """The comparisons, by name."""
        return [Comparison(path) for path in _complete(self.root / "comparisons")]

    def run(self, name: str, digest: str) -> Run | None:
        """The finished run with this digest, if it is there."""
        path = self.run_path(name, digest)
        return Run(path) if (path / "manifest.json").is_file() else None

    @contextmanager
    def writing(
        self, name: str, digest: str, *, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[RunWriter | Run]:
        """A run to write, or the finished run if another command has written it in the meantime.

        `on_wait` is called if another command is at it. The lock is the operating system's, so that it is gone with its
        process, however that ends.
        """
        path = self.run_path(name, digest)
        with full_disk_explained(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.run(name, digest) or RunWriter(path)

    def add_measurement(self, run: Run, measurement: dict[str, Any]) -> None:
        """Keep what was measured of a run, apart from it: it is no part of what it said.

        What stood there under the same keys is replaced, the rest stays.
        """
        known = self.measurement(run) or {}
        write_manifest(self.measurements_of(run), {**known, **measurement})

    def measurements_of(self, run: Run) -> Path:
        """The directory for what is measured of a run; it is made."""
        folder = self.root / "measurements" / run.id
        with full_disk_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def measurement(self, run: Run) -> dict[str, Any] | None:
        """What was measured of a run; None if nothing was."""
        return Run(self.root / "runs" / run.id).measurement

    def adopt(self, run: Run) -> Run:
        """A run of another store, copied into this one if it isn't there yet."""
        run.manifest, run.rows  # noqa: B018 - damaged ones are refused before anything is copied
        path = self.root / "runs" / run.id
        if not (path / "manifest.json").is_file():
            draft = path.with_name(f".{run.id}.{os.getpid()}.draft")
            with full_disk_explained(path):
                shutil.copytree(run.path, draft, ignore=shutil.ignore_patterns(".*"))
                draft.replace(path)
            if measured := run.measurement:
                self.add_measurement(Run(path), measured)
        return Run(path)

    def comparison(self, baseline: Run, candidate: Run, manifest: dict[str, Any], digest: str) -> Comparison:
        """The comparison of two runs, made if it isn't there yet."""
        path = self.root / "comparisons" / f"{baseline.name}--{candidate.name}-{digest[:8]}"
        if not (path / "manifest.json").is_file():
            with full_disk_explained(path):
                path.mkdir(parents=True, exist_ok=True)
            write_manifest(path, {"baseline": baseline.id, "candidate": candidate.id, **manifest})
        return Comparison(path)

    def run_path(self, name: str, digest: str) -> Path:
        """Where a run lies, finished or not."""
        return self.root / "runs" / f"{name}-{digest[:8]}"


def _complete(folder: Path) -> list[Path]:
    return sorted(manifest.parent for manifest in folder.glob("*/manifest.json"))


def _run_schema() -> "pa.Schema":
    import pyarrow as pa

    strings = ("prompt_id", "prompt", "category", "text", "reasoning", "finish_reason", "failure")
    lists = {"token_ids": pa.list_(pa.int32()), "logprobs": pa.list_(pa.float32())}
    return pa.schema(
        [
            pa.field("repeat", pa.int32()),
            *(pa.field(name, pa.string()) for name in strings),
            *(pa.field(name, kind) for name, kind in lists.items()),
        ]
    )


def _row(prompt: Prompt, outcome: Outcome) -> dict[str, Any]:
    content = prompt.content if isinstance(prompt.content, str) else [[m.role, m.content] for m in prompt.content]
    asked: dict[str, Any] = {"prompt_id": prompt.id, "repeat": outcome.repeat, "category": prompt.category}
    asked["prompt"] = json.dumps(content, ensure_ascii=False)
    if isinstance(outcome, Failure):
        return {**asked, "failure": outcome.reason}
    answer = {key: getattr(outcome, key) for key in ("text", "reasoning", "token_ids", "logprobs", "finish_reason")}
    return {**asked, **answer}


def _content(stored: str) -> str | tuple[Message, ...]:
    content = json.loads(stored)
    return content if isinstance(content, str) else tuple(Message(role, text) for role, text in content)


def _outcome(row: dict[str, Any]) -> Outcome:
    failure = row.pop("failure")
    if failure is not None:
        return Failure(row["prompt_id"], failure, row["repeat"])
    for key in ("token_ids", "logprobs"):
        row[key] = None if row[key] is None else tuple(row[key])
    return Generation(**row)


def _scores_file(signature: str) -> str:
    import hashlib

    return f"{signature.partition('|')[0]}-{hashlib.sha256(signature.encode()).hexdigest()[:12]}.parquet"


def _numbers(name: str, values: Sequence[float | None]) -> "pa.Array[pa.DoubleScalar]":
    import pyarrow as pa

    if any(value != value for value in values):
        raise StoreError(f"the column {name!r} holds NaN; a pair that can't be scored is None")
    return pa.array(values, pa.float64())
