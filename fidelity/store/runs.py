"""Runs on disk: Parquet files, and a manifest that is written last, by rename, and marks the run as complete."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.errors import StoreError
from fidelity.files import (
    ParquetRow,
    check_unchanged,
    damage_explained,
    read_parquet,
    read_parquet_row,
    read_parquet_schema,
    sha256_of,
    wrong_column,
)
from fidelity.outside.paths import inside
from fidelity.records import ExpectedAnswer, Failure, Prompt, Response
from fidelity.spool import Spool
from fidelity.store.journal import Journal, count_resumptions
from fidelity.store.manifests import RunDraft, RunManifest
from fidelity.store.measurements import Measurement
from fidelity.store.record_files import MANIFEST, Manifest, damage_of, read_record, write_record
from fidelity.store.responses import response_of
from fidelity.store.run_chunks import join_chunks, read_chunk, responses_in, row_batches, write_rows
from fidelity.store.run_tables import LATER_COLUMNS, OF_A_PROMPT, content_in, prompt_in, row_of, run_schema

if TYPE_CHECKING:
    import pyarrow as pa

DRAFT = "draft.json"
GENERATIONS = "generations.parquet"
EXPECTED_ANSWERS = "expected.json"
"""The prompts' expected answers, which change no output: they can be corrected without generating again."""
LOG = "engine.log"


class ExpectedAnswers(Manifest):
    """The expected answers of a run's prompts."""

    what = "expected answers"

    answers: dict[str, ExpectedAnswer]

    @classmethod
    def remedy(cls, file: Path) -> str:
        """The repair: the file is written again from the prompts."""
        return f"delete {file.name} and run fidelity compare again"


@dataclass(frozen=True)
class Run:
    """A finished run on disk."""

    path: Path

    @property
    def id(self) -> str:
        """The directory's name: the run's name and the start of its digest."""
        return self.path.name

    @cached_property
    def manifest(self) -> RunManifest:
        """The run's manifest.

        Raises:
            StoreError: The manifest is damaged.
        """
        return read_record(self.path / MANIFEST, RunManifest)

    def check_place(self) -> None:
        """See that the directory holds the run that its name promises.

        Raises:
            StoreError: It holds another one.
        """
        if self.manifest.id != self.id:
            raise StoreError(f"{self.path}: holds another run, {self.manifest.id}; delete the folder and run again")

    @property
    def damage(self) -> str:
        """Why the run can't be read; empty if its manifest is valid and its files exist."""
        if not (self.path / GENERATIONS).is_file():
            return f"{self.path}: damaged ({GENERATIONS} is missing); delete the folder {self.id} and run again"
        return damage_of(self.path, RunManifest)

    @property
    def damage_of_expected(self) -> str:
        """Why the expected answers can't be read; empty if they can, or if there are none."""
        try:
            self.expected  # noqa: B018
        except StoreError as error:
            return str(error)
        return ""

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def measurement(self) -> Measurement | None:
        """The run's measurements, from the store's `measurements/`; None if there are none."""
        file = inside(self.path.parent.parent, "measurements", self.id) / MANIFEST
        return read_record(file, Measurement) if file.is_file() else None

    @cached_property
    def rows(self) -> "pa.Table":
        """Read the generations, one row per prompt and repeat, in the prompt set's order.

        Raises:
            StoreError: The file can't be read, or was changed after the run was finished.
        """
        rows = read_parquet(self.path / GENERATIONS)
        self._check_answers(rows.schema)
        return rows

    def _check_answers(self, schema: "pa.Schema") -> None:
        """Whether the file with the answers has all columns, and is the one that was written."""
        file = self.path / GENERATIONS
        if wrong := wrong_column(schema, run_schema(), later=LATER_COLUMNS):
            raise StoreError(f"{file}: damaged ({wrong}); delete the folder {self.id} and run again")
        check_unchanged(file, self.manifest.answers_sha256)

    def prompts(self) -> tuple[Prompt, ...]:
        """The run's prompts, in the prompt set's order."""
        return tuple(self._prompts())

    @cached_property
    def stored_prompts(self) -> Sequence[Prompt]:
        """The same, each read when it is used."""
        return Spool(self._prompts())

    def _prompts(self) -> Iterator[Prompt]:
        for batch in self._batches((*OF_A_PROMPT, "repeat")):
            with damage_explained(self.path / GENERATIONS):
                for row in batch.to_pylist():
                    if row["repeat"] == 0:
                        yield prompt_in(row, self.expected.get(row["prompt_id"]))

    def _batches(self, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """Those of the columns that the generations have, some rows at a time.

        Raises:
            StoreError: The file can't be read, or was changed after the run was finished.
        """
        schema = read_parquet_schema(self.path / GENERATIONS)
        self._check_answers(schema)
        names = [name for name in columns if name in schema.names]
        return row_batches(self.path / GENERATIONS, names)

    @cached_property
    def expected(self) -> Mapping[str, ExpectedAnswer]:
        """The expected answers by prompt id; empty if the prompts have none.

        Raises:
            StoreError: The file is damaged.
        """
        file = self.path / EXPECTED_ANSWERS
        return read_record(file, ExpectedAnswers).answers if file.is_file() else {}

    def with_expected(self, prompts: Iterable[Prompt]) -> "Run":
        """The run with these prompts' expected answers in place of those that it has."""
        answers = {prompt.id: prompt.expected for prompt in prompts if prompt.expected is not None}
        if answers == self.expected:
            return self
        write_record(self.path / EXPECTED_ANSWERS, ExpectedAnswers(answers=answers))
        return Run(self.path)

    def read(self, columns: Sequence[str]) -> "pa.Table":
        """Some columns of the generations, in the order of `rows`."""
        check_unchanged(self.path / GENERATIONS, self.manifest.answers_sha256)
        return read_parquet(self.path / GENERATIONS, columns=columns)

    def prompt_texts(self, rows: Sequence[int] | None = None) -> list[str]:
        """The text of each row's prompt, or of some `rows`, in their order."""
        column = self.read(["prompt"])["prompt"]
        return [
            Prompt("", content_in(stored)).text
            for stored in (column if rows is None else column.take(rows)).to_pylist()
        ]

    def prompt_and_response(self, row: int) -> tuple[Prompt, Response]:
        """One prompt and its outcome, by its row number. Only its row group is read."""
        file = self.path / GENERATIONS
        self._check_answers(read_parquet_schema(file))
        record = read_parquet_row(file, row)
        with damage_explained(file):
            prompt = prompt_in(record)
        return prompt, self._response(record)

    def outcomes(self) -> list[Response]:
        """The outcome of each prompt, in the prompt set's order."""
        return list(self._outcomes())

    @cached_property
    def stored_outcomes(self) -> Sequence[Response]:
        """The same, each read when it is used."""
        return Spool(self._outcomes())

    def _outcomes(self) -> Iterator[Response]:
        columns = [name for name in run_schema().names if name not in ("prompt", "category", "tools", "tool_choice")]
        for batch in self._batches(columns):
            yield from map(self._response, batch.to_pylist())

    def _response(self, row: ParquetRow) -> Response:
        try:
            return response_of(row)
        except ValueError as error:
            raise StoreError(
                f"{self.path / GENERATIONS}: damaged ({error}); delete the folder {self.id} and run again"
            ) from None


class RunWriter:
    """A run that is being generated. Finished chunks are on disk and are not generated again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / LOG

    @property
    def finished(self) -> set[int]:
        """The numbers of the chunks that are on disk."""
        return {int(file.stem.partition("-")[2]) for file in self.path.glob("chunk-*.parquet")}

    def journal(self, number: int) -> Journal:
        """The journal of an unfinished chunk, for continuous batching."""
        return Journal(self.path / f"answers-{number:05d}.jsonl")

    @property
    def resumed(self) -> int:
        """How often a run with continuous batching was killed and resumed."""
        return sum(map(count_resumptions, self.path.glob("answers-*.jsonl")))

    @property
    def begun(self) -> bool:
        """Whether any answer of the run is on disk."""
        return any(self.path.glob("chunk-*.parquet")) or any(self.path.glob("answers-*.jsonl"))

    def outcomes(self) -> list[Response]:
        """The outcomes of all finished chunks."""
        return [one for chunk in sorted(self.path.glob("chunk-*.parquet")) for one in responses_in(chunk)]

    def add_chunk(self, number: int, prompts: Sequence[Prompt], outcomes: Iterable[Response]) -> None:
        """Write a chunk atomically: all of its outcomes, or none."""
        rows = (row_of(prompt, outcome) for prompt, outcome in zip(prompts, outcomes, strict=True))
        write_rows(self.path / f"chunk-{number:05d}.parquet", run_schema(), rows)

    def ask_again(self, plan: Sequence[Sequence[tuple[Prompt, int]]]) -> None:
        """Forget the failures of the network or a server, so that their prompts are missing.

        A finished run is taken apart into the chunks of its plan, and is unfinished from then on; whatever interrupts
        that, either it is finished or its answers are in chunks and journals.
        """
        finished = Run(self.path) if (self.path / MANIFEST).is_file() else None
        outcomes = {(one.prompt_id, one.repeat): one for one in finished.outcomes()} if finished else {}
        for number, asked in enumerate(plan):
            chunk = self.path / f"chunk-{number:05d}.parquet"
            if not finished:
                outcomes = self._outcomes_of(chunk)
            answers = [outcomes.get((prompt.id, repeat)) for prompt, repeat in asked]
            lost = [place for place, one in enumerate(answers) if isinstance(one, Failure) and one.cause == "world"]
            if lost or finished:
                remaining = {place: one for place, one in enumerate(answers) if one and place not in lost}
                self.journal(number).write(remaining)
                chunk.unlink(missing_ok=True)
        if finished:
            (self.path / MANIFEST).unlink()

    @staticmethod
    def _outcomes_of(chunk: Path) -> dict[tuple[str, int], Response]:
        """Only of a chunk with failures that are to be asked again."""
        if not chunk.is_file():
            return {}
        causes = read_chunk(chunk)
        if "cause" not in causes.column_names or causes["cause"].null_count == len(causes):
            return {}
        return {(one.prompt_id, one.repeat): one for one in responses_in(chunk)}

    @property
    def draft(self) -> RunDraft | None:
        """The planned run's record, if it was written; None also if another version wrote it."""
        try:
            return read_record(self.path / DRAFT, RunDraft)
        except StoreError:
            return None

    def write_draft(self, manifest: RunDraft) -> None:
        """Write the planned run's record, for a run that can end before all of its chunks are finished."""
        write_record(self.path / DRAFT, manifest)

    def subset(self, numbers: Iterable[int], prompts: Sequence[Prompt], manifest: RunDraft, *, path: Path) -> Run:
        """Write the answers of some chunks as a separate run. The chunks remain, so more can follow."""
        chunks = [self.path / f"chunk-{number:05d}.parquet" for number in sorted(numbers)]
        return _write_run(path, chunks, prompts, manifest)

    def complete(self, prompts: Sequence[Prompt], manifest: RunDraft) -> Run:
        """Join the chunks in the prompt set's order, then write the manifest, which completes the run."""
        chunks = sorted(self.path.glob("chunk-*.parquet"))
        run = _write_run(self.path, chunks, prompts, manifest)
        for file in (*chunks, *self.path.glob("answers-*.jsonl"), self.path / DRAFT):
            file.unlink(missing_ok=True)
        return run


def _write_run(path: Path, chunks: Sequence[Path], prompts: Sequence[Prompt], manifest: RunDraft) -> Run:
    counts = join_chunks(chunks, prompts, path / GENERATIONS)
    given = {**dict(manifest), "counts": counts, "answers_sha256": sha256_of(path / GENERATIONS)}
    write_record(path / MANIFEST, RunManifest.model_validate(given))
    return Run(path)
