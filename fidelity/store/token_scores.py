"""What a run makes of a baseline's tokens (teacher forcing), on disk: `scores/` of a store.

A directory holds a Parquet file per chunk, with a row group per answer, and a manifest, written last. Nothing here
ever holds more than one answer in memory: a distribution over the whole vocabulary takes megabytes.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fidelity.errors import StoreError
from fidelity.files import copy_files, damage_explained, full_disk_explained, read_parquet, whole_file
from fidelity.outside.paths import inside
from fidelity.records import REFUSE_UNKNOWN_KEYS, Failure, TokenScores, every_id
from fidelity.store.manifests import MANIFEST, FileName, Manifest, read_record, write_record
from fidelity.store.runs import Run

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

WHOLE_VOCABULARY = -1
TEXTS = "tokens.json"
WHY_NOT = "why-not.txt"


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of the distribution is asked for, and where."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    top_k: int
    """The most likely tokens at each position; -1 is the whole vocabulary."""
    prompts: int | None = None
    """Only the first prompts of the baseline; all of them if not given."""
    tokens: int | None = None
    """Only the first tokens of each answer; all of them if not given."""


class ScoresManifest(Manifest):
    """Who scored whose tokens, and how deep."""

    scorer: FileName
    """The run's id, like the baseline's."""
    baseline: FileName
    depth: Depth
    failed: str | None
    """Why the engine failed on the first answer, where it failed on each."""


class StoredScores:
    """A finished directory of `scores/`, read one answer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[Path, pq.ParquetFile] = {}

    @cached_property
    def manifest(self) -> ScoresManifest:
        """Who scored whose tokens, and how deep."""
        return read_record(self.path / MANIFEST, ScoresManifest)

    @property
    def depth(self) -> Depth:
        return self.manifest.depth

    @cached_property
    def texts(self) -> dict[int, str]:
        """How tokens read, as far as the engine said it."""
        return _texts(self.path)

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Prompt id and repeat of every answer."""
        return sorted(self._places)

    def get(self, prompt_id: str, repeat: int = 0) -> TokenScores | None:
        """One answer's tokens; None where there are none, or where the engine failed on them.

        Raises:
            StoreError: The file is damaged.
        """
        outcome = self._outcome((prompt_id, repeat)) if (prompt_id, repeat) in self._places else None
        return outcome if isinstance(outcome, TokenScores) else None

    def export(self, file: Path) -> None:
        """Write all of it as one chunk, in the order of the keys, as small as it gets; and how the tokens read."""
        _write(file, (self._outcome(key) for key in self.keys), compression_level=19)
        with whole_file(file.with_suffix(".json")) as draft:
            draft.write_text(json.dumps(self.texts, ensure_ascii=False, sort_keys=True), encoding="utf-8")

    def _outcome(self, key: tuple[str, int]) -> TokenScores | Failure:
        file, group = self._places[key]
        with damage_explained(file):
            (row,) = self._file(file).read_row_group(group).to_batches()
        return _outcome(row)

    @cached_property
    def _places(self) -> dict[tuple[str, int], tuple[Path, int]]:
        places: dict[tuple[str, int], tuple[Path, int]] = {}
        for file in sorted(self.path.glob("chunk-*.parquet")):
            with damage_explained(file):
                keys = self._file(file).read(columns=["prompt_id", "repeat"]).to_pylist()
            places |= {(row["prompt_id"], row["repeat"]): (file, group) for group, row in enumerate(keys)}
        return places

    def _file(self, file: Path) -> "pq.ParquetFile":
        import pyarrow.parquet as pq

        if file not in self._open:
            self._open[file] = pq.ParquetFile(file)
        return self._open[file]


class ScoreWriter:
    """A directory of `scores/` that is being written: whole chunks are kept, as those of a run are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> set[int]:
        """The numbers of the chunks that are on disk."""
        return {int(file.stem.partition("-")[2]) for file in self.path.glob("chunk-*.parquet")}

    def add_chunk(self, number: int, outcomes: Iterable[TokenScores | Failure]) -> None:
        """Keep a chunk, each answer as it comes: all of them, or none."""
        _write(self._chunk(number), outcomes)

    @property
    def texts(self) -> dict[int, str]:
        """How tokens read, as far as it is known."""
        return _texts(self.path)

    def add_texts(self, texts: Mapping[int, str]) -> None:
        """Keep how some more tokens read."""
        with whole_file(self.path / TEXTS) as draft:
            draft.write_text(json.dumps({**self.texts, **texts}, ensure_ascii=False), encoding="utf-8")

    def complete(self, scorer: Run, baseline: Run, depth: Depth) -> StoredScores:
        """Say that all chunks are there."""
        (self.path / WHY_NOT).unlink(missing_ok=True)
        failed = self._all_failed()
        write_record(
            self.path / MANIFEST, ScoresManifest(scorer=scorer.id, baseline=baseline.id, depth=depth, failed=failed)
        )
        return StoredScores(self.path)

    def _all_failed(self) -> str | None:
        """Why the engine failed on the first answer, if it failed on each."""
        reasons = [
            reason
            for number in sorted(self.finished)
            for reason in read_parquet(self._chunk(number), columns=["failure"])["failure"].to_pylist()
        ]
        return None if None in reasons or not reasons else f"{reasons[0]}"

    def subset(self, numbers: Iterable[int], path: Path) -> "ScoreWriter":
        """Some of the chunks at another place; they stay here too, so that more may follow."""
        path.mkdir(parents=True, exist_ok=True)
        for file in (*map(self._chunk, numbers), self.path / TEXTS):
            if file.is_file():
                shutil.copyfile(file, path / file.name)
        return ScoreWriter(path)

    def adopt(self, file: Path) -> None:
        """Take a file as the first and only chunk, and what lies beside it."""
        for source, target in ((file, self._chunk(0)), (file.with_suffix(".json"), self.path / TEXTS)):
            if source.is_file():
                with whole_file(target) as draft:
                    shutil.copyfile(source, draft)

    def give_up(self, why: str) -> None:
        """Write down why there will be no scores, for whoever asks; another attempt is free to succeed."""
        with whole_file(self.path / WHY_NOT) as draft:
            draft.write_text(why, encoding="utf-8")

    def _chunk(self, number: int) -> Path:
        return self.path / f"chunk-{number:05d}.parquet"


@contextmanager
def writing(path: Path) -> Iterator[ScoreWriter | StoredScores]:
    """Scores to write, or the finished ones; another command that writes the same is waited for."""
    with full_disk_explained(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield finished(path) or ScoreWriter(path)


def scores_path(scorer: Run, baseline: Run, depth: Depth) -> Path:
    """Where a run's scores of the baseline's tokens lie, finished or not: in the store that the run lies in."""
    return inside(_folder(scorer), scores_name(scorer.name, scorer.manifest.digest, baseline, depth))


def scores_name(scorer: str, digest: str, baseline: Run, depth: Depth) -> str:
    """`<scorer>-on-<baseline>-<digest8>`: of a scorer with this name and digest."""
    known = [digest, baseline.manifest.digest, asdict(depth)]
    return f"{scorer}-on-{baseline.name}-{hashlib.sha256(json.dumps(known).encode()).hexdigest()[:8]}"


def finished(path: Path) -> StoredScores | None:
    """The scores in a directory, if all of them are there."""
    return StoredScores(path) if (path / MANIFEST).is_file() else None


def scores_of(run: Run) -> list[StoredScores]:
    """All that a run has scored, its own tokens and others'."""
    there = [StoredScores(manifest.parent) for manifest in sorted(_folder(run).glob(f"{run.name}-on-*/{MANIFEST}"))]
    return [scores for scores in there if scores.manifest.scorer == run.id]


def adopt_scores(run: Run, root: Path) -> None:
    """Copy what a run of another store has scored into the store at `root`, as far as it isn't there."""
    for scores in scores_of(run):
        path = inside(root, "scores", scores.path.name)
        if not finished(path):
            chunks = sorted(file.name for file in scores.path.glob("chunk-*.parquet"))
            copy_files(scores.path, path, [*chunks, TEXTS, MANIFEST])


def adopt_export(file: Path, scorer: Run, baseline: Run, depth: Depth) -> None:
    """Take what `StoredScores.export` wrote as the scores of a run, unless it has them."""
    with writing(scores_path(scorer, baseline, depth)) as writer:
        if isinstance(writer, ScoreWriter):
            writer.adopt(file)
            writer.complete(scorer, baseline, depth)


def together(baseline: Run, other: Run, *, whole_vocabulary: bool) -> tuple[StoredScores, StoredScores] | str:
    """What both made of the baseline's tokens, at the same depth, the deepest there is; or why there is no such thing.

    Only forced against forced is compared: decoding runs through other kernels.
    """
    own = [stored for stored in scores_of(baseline) if stored.manifest.baseline == baseline.id]
    own = [stored for stored in own if (stored.depth.top_k == WHOLE_VOCABULARY) is whole_vocabulary]
    own.sort(key=lambda stored: (stored.depth.top_k, stored.depth.prompts or 0, stored.depth.tokens or 0))
    why = _why_not(other if own else baseline, baseline, whole_vocabulary)
    for scores in reversed(own):
        if beside := finished(scores_path(other, baseline, scores.depth)):
            failed = beside.manifest.failed or scores.manifest.failed
            if failed is None:
                return scores, beside
            why = failed
    return why


def both_scored(baseline: Run, other: Run, *, whole_vocabulary: bool) -> Iterator[tuple[TokenScores, TokenScores]]:
    """What both made of each of the baseline's answers, one after another; those that one of them lacks are left out.

    Raises:
        StoreError: They weren't forced; the message says why.
    """
    both = together(baseline, other, whole_vocabulary=whole_vocabulary)
    if isinstance(both, str):
        raise StoreError(both)
    baseline_scores, other_scores = both
    for key in baseline_scores.keys:
        pair = baseline_scores.get(*key), other_scores.get(*key)
        if pair[0] and pair[1]:
            yield pair[0], pair[1]


def _why_not(run: Run, baseline: Run, whole_vocabulary: bool) -> str:
    notes = [
        note.read_text(encoding="utf-8") for note in _folder(run).glob(f"{run.name}-on-{baseline.name}-*/{WHY_NOT}")
    ]
    if notes and not whole_vocabulary:
        return notes[0]
    what = "over the whole vocabulary (kl: {exact: true})" if whole_vocabulary else "by forcing"
    return f"{run.name} did not score the tokens of {baseline.name} {what}"


def _texts(folder: Path) -> dict[int, str]:
    file = folder / TEXTS
    read = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {int(token): text for token, text in read.items()}


def _folder(run: Run) -> Path:
    return run.path.resolve().parent.parent / "scores"


def _schema() -> "pa.Schema":
    import pyarrow as pa

    ints, floats = pa.list_(pa.int32()), pa.list_(pa.float32())
    return pa.schema(
        {
            "prompt_id": pa.string(),
            "repeat": pa.int32(),
            "failure": pa.string(),
            "token_ids": ints,
            "logprobs": floats,
            "ranks": ints,
            "top_ids": ints,
            "top_logprobs": floats,
        }
    )


def _row(outcome: TokenScores | Failure, schema: "pa.Schema") -> "pa.RecordBatch":
    """A table of n x k numbers is one list, row after row; of the whole vocabulary the ids go without saying."""
    import pyarrow as pa

    fields: dict[str, object] = {"prompt_id": outcome.prompt_id, "repeat": outcome.repeat}
    if isinstance(outcome, Failure):
        fields["failure"] = outcome.reason
    else:
        fields |= {key: getattr(outcome, key) for key in ("token_ids", "logprobs", "ranks", "top_ids", "top_logprobs")}
        if is_whole_vocabulary(outcome):
            fields["top_ids"] = None
    return pa.record_batch([_cell(fields.get(field.name), field.type) for field in schema], schema=schema)


def _cell(value: Any, kind: "pa.DataType") -> "pa.Array[Any]":
    import pyarrow as pa

    if not isinstance(value, np.ndarray):
        return pa.array([value], kind)
    return pa.ListArray.from_arrays(pa.array([0, value.size], pa.int32()), pa.array(value.reshape(-1), kind.value_type))


def is_whole_vocabulary(scores: TokenScores) -> bool:
    """Whether the columns are every token, by id: their one row of ids is repeated, not stored."""
    return scores.top_ids.shape[0] > 0 and scores.top_ids.strides[0] == 0


def _write(file: Path, outcomes: Iterable[TokenScores | Failure], *, compression_level: int | None = None) -> None:
    import pyarrow.parquet as pq

    floats = ["logprobs.list.element", "top_logprobs.list.element"]
    with (
        whole_file(file) as draft,
        pq.ParquetWriter(
            draft,
            _schema(),
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=False,
            use_byte_stream_split=floats,
        ) as writer,
    ):
        for outcome in outcomes:
            writer.write_batch(_row(outcome, writer.schema))


def _outcome(row: "pa.RecordBatch") -> TokenScores | Failure:
    prompt_id, repeat, failure = (row[key][0].as_py() for key in ("prompt_id", "repeat", "failure"))
    if failure is not None:
        return Failure(prompt_id, failure, repeat)
    arrays = {key: row[key].flatten().to_numpy() for key in ("token_ids", "logprobs", "ranks", "top_logprobs")}
    n = len(arrays["token_ids"])
    table = (n, len(arrays["top_logprobs"]) // max(1, n))
    ids = row["top_ids"]
    top_ids = ids.flatten().to_numpy().reshape(table) if ids[0].is_valid else every_id(*table)
    arrays["top_logprobs"] = arrays["top_logprobs"].reshape(table)
    return TokenScores(prompt_id, top_ids=top_ids, repeat=repeat, **arrays)
