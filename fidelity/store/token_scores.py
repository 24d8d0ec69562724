"""Token scores (teacher forcing) on disk: `scores/` of a store.

A directory holds one Parquet file per chunk, with one row group per answer, and a manifest, which is written last.
Distributions over the whole vocabulary take megabytes for an answer, so large files are read one answer at a time;
small ones are read at once.
"""

import hashlib
import json
import shutil
import weakref
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.children.wire import HeadFields
from fidelity.errors import StoreError
from fidelity.files import (
    check_unchanged,
    copy_files,
    damage_explained,
    locked,
    read_parquet,
    sha256_of,
    whole_file,
    wrong_column,
)
from fidelity.outside.documents import read_json
from fidelity.outside.paths import inside, open_regular, read_regular
from fidelity.records import Failure, Head, TokenScores
from fidelity.schema import REFUSE_UNKNOWN_KEYS
from fidelity.store.heads import add_head, adopt_head, read_head
from fidelity.store.record_files import MANIFEST, FileName, Manifest, read_record, write_record
from fidelity.store.runs import Run
from fidelity.store.score_tables import scores_in, scores_schema, write_scores

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

HELD_BYTES = 1 << 26
"""Of the files that are read at once: a row group takes half a millisecond, however few numbers it has."""
WHOLE_VOCABULARY = -1
TEXTS = "tokens.json"
KEYS = ["prompt_id", "repeat"]
WHY_NOT = "why-not.txt"


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of the distribution to store, and for which tokens."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    top_k: int
    """The number of most likely tokens at each position; -1 for the whole vocabulary."""
    prompts: int | None = None
    """Only this many prompts of the baseline. Default: all."""
    tokens: int | None = None
    """Only this many tokens of each answer. Default: all."""
    exact: bool = False
    """Also the hidden states, which are the whole distribution together with the model's head."""

    @property
    def whole_vocabulary(self) -> bool:
        """Whether the whole distribution is known: from hidden states, or as older versions stored it."""
        return self.exact or self.top_k == WHOLE_VOCABULARY

    @property
    def every_token(self) -> bool:
        return self.prompts is None and self.tokens is None

    def fields(self) -> dict[str, int | None]:
        """The fields that older versions had too, and `exact` only if it is set, so names and signatures are stable."""
        return {key: value for key, value in asdict(self).items() if key != "exact" or value}


class ScoresManifest(Manifest):
    """The manifest: which run scored which run's tokens, at which depth."""

    scorer: FileName
    """The id of the scoring run; the next field has the baseline's."""
    baseline: FileName
    depth: Depth
    failed: str | None
    """Why the engine failed on the first answer, if it failed on all."""
    refused: str | None = None
    """Why the first answer without hidden states has none, if they were requested."""
    files: Mapping[FileName, str] | None = None
    """SHA-256 of every file with scores or tokens' texts; None in those of older versions."""


class StoredScores:
    """A finished directory of `scores/`. Files of up to `HELD_BYTES` together are held, others read by answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[Path, pq.ParquetFile] = {}
        self._held: dict[Path, pa.RecordBatch | None] = {}
        self._room = HELD_BYTES

    @cached_property
    def manifest(self) -> ScoresManifest:
        """The manifest: which run scored which run's tokens, at which depth."""
        return read_record(self.path / MANIFEST, ScoresManifest)

    @property
    def depth(self) -> Depth:
        return self.manifest.depth

    @cached_property
    def texts(self) -> dict[int, str]:
        """The tokens' texts, as far as the engine reported them."""
        if (self.path / TEXTS).is_file():
            self._check(self.path / TEXTS)
        return _texts(self.path)

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Prompt id and repeat of every answer."""
        return sorted(self._places)

    def get(self, prompt_id: str, repeat: int = 0, *, hidden: bool = False) -> TokenScores | None:
        """Read one answer's scores; None if there are none, or if the engine failed on them.

        Hidden states are large, and only read with `hidden`.

        Raises:
            StoreError: The file is damaged.
        """
        key = prompt_id, repeat
        outcome = self._outcome(key, hidden=hidden) if key in self._places else None
        return outcome if isinstance(outcome, TokenScores) else None

    def export(self, file: Path) -> None:
        """Write all scores as one highly compressed chunk, in the order of the keys, and the tokens' texts."""
        write_scores(file, (self._outcome(key) for key in self.keys), compression_level=19)
        with whole_file(file.with_suffix(".json")) as draft:
            draft.write_text(json.dumps(self.texts, ensure_ascii=False, sort_keys=True), encoding="utf-8")

    @property
    def heads(self) -> list[str]:
        """The names of the heads of its hidden states."""
        chunks = self.chunks if self.depth.exact else []
        tables = [read_parquet(file, columns=["head"]) for file in chunks]
        return sorted({name for table in tables for name in table["head"].to_pylist() if name})

    def _outcome(self, key: tuple[str, int], *, hidden: bool = False) -> TokenScores | Failure:
        file, group = self._places[key]
        with damage_explained(file):
            if hidden:
                (row,) = self._file(file).read_row_group(group).to_batches()
                return scores_in(row, partial(read_head, _root_of(self.path)))
            rows = self._rows(file)
            if rows is None:
                columns = scores_schema().names
                (row,) = self._file(file).read_row_group(group, columns=columns, use_threads=False).to_batches()
                return scores_in(row)
            return scores_in(rows.slice(group, 1))

    def _rows(self, file: Path) -> "pa.RecordBatch | None":
        """All answers of a file, without hidden states; None if it is too large."""
        if file not in self._held:
            parquet, columns = self._file(file), scores_schema().names
            size = _bytes_of(parquet.metadata, columns)
            if size <= self._room:
                self._room -= size
                (self._held[file],) = parquet.read(columns=columns, use_threads=False).combine_chunks().to_batches()
            else:
                self._held[file] = None
        return self._held[file]

    @cached_property
    def _places(self) -> dict[tuple[str, int], tuple[Path, int]]:
        places: dict[tuple[str, int], tuple[Path, int]] = {}
        for file in self.chunks:
            self._check(file)
            with damage_explained(file):
                known = scores_schema(exact=self.depth.exact)
                if wrong := wrong_column(self._file(file).schema_arrow, known):
                    raise ValueError(wrong)
                if not self._file(file).metadata.num_rows:
                    continue
                rows = self._rows(file)
                known_keys = self._file(file).read(columns=KEYS) if rows is None else rows.select(KEYS)
                keys = known_keys.to_pylist()
            places |= {(row["prompt_id"], row["repeat"]): (file, group) for group, row in enumerate(keys)}
        return places

    @property
    def chunks(self) -> list[Path]:
        """The files with the scores: those that the manifest lists; all, where an older version wrote it.

        Raises:
            StoreError: A listed file is missing.
        """
        if self.manifest.files is None:
            return sorted(self.path.glob("chunk-*.parquet"))
        chunks = [self.path / name for name in sorted(self.manifest.files) if name != TEXTS]
        for file in chunks:
            if not file.is_file():
                raise StoreError(f"{file}: is missing; delete the folder {self.path.name} and run again")
        return chunks

    def _check(self, file: Path) -> None:
        check_unchanged(file, (self.manifest.files or {}).get(file.name))

    def _file(self, file: Path) -> "pq.ParquetFile":
        import pyarrow.parquet as pq

        if file not in self._open:
            stream = open_regular(file)
            weakref.finalize(self, stream.close)
            self._open[file] = pq.ParquetFile(stream, page_checksum_verification=True)
        return self._open[file]


def _bytes_of(metadata: "pq.FileMetaData", columns: Container[str]) -> int:
    """The uncompressed bytes of some columns of a file."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    places = (group.column(place) for group in groups for place in range(group.num_columns))
    return sum(one.total_uncompressed_size for one in places if one.path_in_schema.partition(".")[0] in columns)


class ScoreWriter:
    """A directory of `scores/` that is being written. Finished chunks are on disk, as for a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> set[int]:
        """The numbers of the chunks that are on disk."""
        return {int(file.stem.partition("-")[2]) for file in self.path.glob("chunk-*.parquet")}

    def add_chunk(self, number: int, outcomes: Iterable[TokenScores | Failure], *, exact: bool = False) -> None:
        """Write a chunk atomically, answer by answer. With `exact`, it has hidden states too."""
        write_scores(self._chunk(number), outcomes, exact=exact)

    def add_head(self, write: Callable[[Path], HeadFields | str | None]) -> Head | str | None:
        """Store the head of its hidden states; see `heads.add_head`."""
        return add_head(_root_of(self.path), write)

    @property
    def texts(self) -> dict[int, str]:
        """The tokens' texts, as far as they are known."""
        return _texts(self.path)

    def add_texts(self, texts: Mapping[int, str]) -> None:
        """Add the texts of more tokens."""
        with whole_file(self.path / TEXTS) as draft:
            draft.write_text(json.dumps({**self.texts, **texts}, ensure_ascii=False), encoding="utf-8")

    def complete(self, scorer: Run, baseline: Run, depth: Depth) -> StoredScores:
        """Write the manifest, which marks all chunks as finished."""
        (self.path / WHY_NOT).unlink(missing_ok=True)
        written = (*map(self._chunk, sorted(self.finished)), self.path / TEXTS)
        manifest = ScoresManifest(
            scorer=scorer.id,
            baseline=baseline.id,
            depth=depth,
            failed=self._all_failed(),
            refused=next((reason for reason in self._read("refused") if reason), None) if depth.exact else None,
            files={file.name: sha256_of(file) for file in written if file.is_file()},
        )
        write_record(self.path / MANIFEST, manifest)
        return StoredScores(self.path)

    def _all_failed(self) -> str | None:
        """Why the engine failed on the first answer, if it failed on all."""
        reasons = self._read("failure")
        return None if None in reasons or not reasons else f"{reasons[0]}"

    def _read(self, column: str) -> list[str | None]:
        """A column of all finished chunks."""
        chunks = [read_parquet(self._chunk(number), columns=[column]) for number in sorted(self.finished)]
        return [value for chunk in chunks for value in chunk[column].to_pylist()]

    def subset(self, numbers: Iterable[int], path: Path) -> "ScoreWriter":
        """Copy some of the chunks to another directory. They remain here, so more can follow."""
        path.mkdir(parents=True, exist_ok=True)
        for file in (*map(self._chunk, numbers), self.path / TEXTS):
            if file.is_file():
                shutil.copyfile(file, path / file.name)
        return ScoreWriter(path)

    def adopt(self, file: Path) -> None:
        """Import a file as the only chunk, with the tokens' texts in the same directory."""
        for source, target in ((file, self._chunk(0)), (file.with_suffix(".json"), self.path / TEXTS)):
            if source.is_file():
                with whole_file(target) as draft:
                    shutil.copyfile(source, draft)

    def give_up(self, why: str) -> None:
        """Record why there are no scores. A later attempt can still succeed."""
        with whole_file(self.path / WHY_NOT) as draft:
            draft.write_text(why, encoding="utf-8")

    def _chunk(self, number: int) -> Path:
        return self.path / f"chunk-{number:05d}.parquet"


@contextmanager
def writing(path: Path) -> Iterator[ScoreWriter | StoredScores]:
    """Scores to write, or the finished ones; another command that writes the same is waited for."""
    with locked(path):
        yield finished(path) or ScoreWriter(path)


def scores_path(scorer: Run, baseline: Run, depth: Depth) -> Path:
    """The directory of a run's scores of the baseline's tokens, finished or not, in the run's store."""
    return inside(folder_of(scorer), scores_name(scorer.name, scorer.manifest.digest, baseline, depth))


def scores_name(scorer: str, digest: str, baseline: Run, depth: Depth) -> str:
    """The directory name `<scorer>-on-<baseline>-<digest8>` for a scorer with this name and digest."""
    known = [digest, baseline.manifest.digest, depth.fields()]
    return f"{scorer}-on-{baseline.name}-{hashlib.sha256(json.dumps(known).encode()).hexdigest()[:8]}"


def finished(path: Path) -> StoredScores | None:
    """The scores in a directory, or None if they are unfinished."""
    return StoredScores(path) if (path / MANIFEST).is_file() else None


def scores_of(run: Run) -> list[StoredScores]:
    """All token scores of a run, for its own tokens and other runs'."""
    there = [StoredScores(manifest.parent) for manifest in sorted(folder_of(run).glob(f"{run.name}-on-*/{MANIFEST}"))]
    return [scores for scores in there if scores.manifest.scorer == run.id]


def adopt_scores(run: Run, root: Path) -> None:
    """Copy a run's token scores from another store to the store at `root`, unless they exist there."""
    for scores in scores_of(run):
        path = inside(root, "scores", scores.path.name)
        if not finished(path):
            for name in scores.heads:
                adopt_head(_root_of(scores.path), root, name)
            chunks = sorted(file.name for file in scores.path.glob("chunk-*.parquet"))
            copy_files(scores.path, path, [*chunks, TEXTS, MANIFEST])


def adopt_export(file: Path, scorer: Run, baseline: Run, depth: Depth) -> None:
    """Import what `StoredScores.export` wrote as a run's scores, unless it has them."""
    with writing(scores_path(scorer, baseline, depth)) as writer:
        if isinstance(writer, ScoreWriter):
            writer.adopt(file)
            writer.complete(scorer, baseline, depth)


def check_chunk(file: Path) -> None:
    """Read all scores in a chunk of an unfinished directory.

    Raises:
        StoreError: The file is damaged.
    """
    table = read_parquet(file)
    with damage_explained(file):
        if wrong := wrong_column(table.schema, scores_schema()):
            raise ValueError(wrong)
        for row in table.to_batches(max_chunksize=1):
            scores_in(row, partial(read_head, _root_of(file.parent)))


def _root_of(scores: Path) -> Path:
    """The store of a directory of `scores/`."""
    return scores.resolve().parent.parent


def _texts(folder: Path) -> dict[int, str]:
    file = folder / TEXTS
    try:
        read = read_json(read_regular(file)) if file.is_file() else {}
        return {int(token): str(text) for token, text in read.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{file}: damaged ({error}); delete it, and tokens are shown by their ids") from None


def folder_of(run: Run) -> Path:
    """The directory of all token scores in a run's store."""
    return run.path.resolve().parent.parent / "scores"
