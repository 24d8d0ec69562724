"""Comparisons on disk: one Parquet file per metric signature, and a manifest."""

import hashlib
import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ValidationError

from fidelity.errors import StoreError
from fidelity.files import damage_explained, locked, read_parquet, read_parquet_schema, write_parquet
from fidelity.records import CODES, Better, Column, ColumnNumbers, PackedTexts, Sides, SummaryKind
from fidelity.store.manifests import ColumnSource, ComparisonManifest
from fidelity.store.record_files import MANIFEST, Record, damage_of, read_record, write_record, wrong_keys

if TYPE_CHECKING:
    import pyarrow as pa


class _StoredColumn(Record):
    """A column of a table: what its numbers don't show."""

    name: str
    weighted: bool
    better: Better
    summary: SummaryKind
    bounds: tuple[float, float] | None
    sides: bool = False
    """Whether a second column has the side of each unscored pair; older versions stored none."""
    digest: str | None = None
    """Of the numbers; None in tables of older versions."""

    @property
    def in_table(self) -> tuple[str, ...]:
        """The names of the columns with its numbers."""
        beside = (("@weight", self.weighted), ("@side", self.sides))
        return (self.name, *(self.name + suffix for suffix, there in beside if there))


class _StoredColumns(Record):
    """A table's metadata: what its numbers do not show."""

    signature: str
    columns: tuple[_StoredColumn, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        """What is written in a table.

        Raises:
            StoreError: The file is damaged.
        """
        schema = read_parquet_schema(file)
        try:
            stored = cls.model_validate_json((schema.metadata or {}).get(b"fidelity", b""))
        except ValidationError as error:
            raise StoreError(f"{file}: damaged ({wrong_keys(error)}); delete the file and compare again") from error
        lacking = [name for column in stored.columns for name in column.in_table if name not in schema.names]
        if lacking:
            raise StoreError(f"{file}: damaged (column {lacking[0]!r} is missing); delete the file and compare again")
        return stored


@dataclass(frozen=True)
class Comparison:
    """A scored pair of runs on disk: one Parquet file per metric signature. Controls are compared like candidates."""

    path: Path

    @cached_property
    def manifest(self) -> ComparisonManifest:
        """The manifest: which runs were compared, which prompts have no pair, and what was scored.

        Raises:
            StoreError: The manifest is damaged.
        """
        return read_record(self.path / MANIFEST, ComparisonManifest)

    @property
    def damage(self) -> str:
        """Why the comparison can't be read; empty if it can."""
        return damage_of(self.path, ComparisonManifest)

    @property
    def prompt_ids(self) -> Sequence[str]:
        """The prompt of each pair, in the order of every column's values."""
        return self.manifest.prompt_ids

    def columns(self, signature: str, *, only: Container[str] | None = None) -> tuple[Column, ...] | None:
        """Read the columns of one metric, or `only` some of them; None if it has not been scored yet.

        Raises:
            StoreError: The file can't be read, was changed, or belongs to another comparison.
        """
        file = self.path / _scores_file(signature)
        if not file.is_file():
            return None
        stored = _StoredColumns.read(file)
        columns = [column for column in stored.columns if only is None or column.name in only]
        table = read_parquet(file, columns=[name for column in columns for name in column.in_table])
        return tuple(self._column(file, signature, column, table) for column in columns)

    @property
    def damages(self) -> dict[Path, str]:
        """Why files of the comparison can't be used, by path, those included that its manifest lists and has lost."""
        damages = {self.path / MANIFEST: self.damage} if self.damage else {}
        for file in sorted(self.path.glob("*.parquet")) if not damages else ():
            try:
                signature = _StoredColumns.read(file).signature
                if file.name != _scores_file(signature):
                    raise StoreError(f"{file}: has the scores of another file; delete the file and compare again")
                read_parquet(file)
                self.columns(signature)
            except StoreError as error:
                damages[file] = str(error)
        for source in self.manifest.columns.values() if not self.damage else ():
            for signature in filter(None, (source.signature, source.chance)):
                file = self.path / _scores_file(signature)
                if not file.is_file():
                    damages[file] = str(self.missing(signature, source.column))
        return damages

    def forget_missing(self) -> None:
        """List only columns whose files are there."""

        def present(source: ColumnSource) -> bool:
            files = (self.path / _scores_file(s) for s in (source.signature, source.chance) if s)
            return all(file.is_file() for file in files)

        self.updated(lambda m: {"columns": {name: source for name, source in m.columns.items() if present(source)}})

    def missing(self, signature: str, column: str) -> StoreError:
        """The error about a column that the manifest lists and no file has."""
        file = self.path / _scores_file(signature)
        if file.is_file():
            return StoreError(f"{file}: damaged (column {column!r} is missing); delete the file and compare again")
        return StoreError(f"{file}: is missing, with the scores of {column}; run fidelity compare again")

    def _column(self, file: Path, signature: str, stored: "_StoredColumn", table: "pa.Table") -> Column:
        with damage_explained(file):
            of_pairs: dict[str, Any] = {name: _of_pairs(table, name) for name in stored.in_table}
        column = Column(
            name=stored.name,
            values=of_pairs[stored.name],
            weights=of_pairs.get(f"{stored.name}@weight"),
            better=stored.better,
            summary=stored.summary,
            bounds=stored.bounds,
            sides=of_pairs.get(f"{stored.name}@side"),
        )
        whole = len(column.values) == len(self.prompt_ids)
        if not whole or stored.digest not in (None, self._digest(signature, column)):
            raise StoreError(
                f"{file}: the numbers of {stored.name} were changed after scoring, or belong to another comparison; "
                f"delete the file and run fidelity compare again"
            )
        return column

    def _digest(self, signature: str, column: Column) -> str:
        """Hash of a column's numbers and of the runs that they belong to."""
        of = [self.manifest.baseline, self.manifest.candidate, signature]
        described = [column.name, column.better, column.summary, column.bounds]
        digest = hashlib.sha256(json.dumps([*of, *described]).encode())
        for values in (column.values, column.weights or (), Sides.of(column.sides or ()).array):
            digest.update(np.asarray(values, np.float64).tobytes())  # None is NaN
        return digest.hexdigest()

    def begun(self, manifest: ComparisonManifest, *, paired: Mapping[str, object]) -> "Comparison":
        """The same comparison, made if it isn't there; else with the fields of `paired`.

        If a run has other answers since, because its failed prompts were asked again, nothing of what was scored stays.
        """
        if not (self.path / MANIFEST).is_file():
            with locked(self.path):
                if not (self.path / MANIFEST).is_file():
                    write_record(self.path / MANIFEST, manifest)
        if _same_answers(Comparison(self.path).manifest, manifest):
            return self.described(**paired)
        with locked(self.path):
            if not _same_answers(Comparison(self.path).manifest, manifest):
                for file in self.path.glob("*.parquet"):
                    file.unlink()
                write_record(self.path / MANIFEST, manifest)
        return Comparison(self.path)

    def described(self, **changes: object) -> "Comparison":
        """The same comparison with other values of some fields of its manifest."""
        return self.updated(lambda _: changes)

    def updated(self, changes: Callable[[ComparisonManifest], Mapping[str, object]]) -> "Comparison":
        """The same of values that depend on what is there; no other command writes it meanwhile."""
        before = Comparison(self.path).manifest
        if before.replace(**changes(before)) == before:
            return Comparison(self.path)
        with locked(self.path):
            before = Comparison(self.path).manifest
            after = before.replace(**changes(before))
            if after != before:
                write_record(self.path / MANIFEST, after)
        return Comparison(self.path)

    def add_columns(self, signature: str, columns: Sequence[Column]) -> None:
        """Store a metric's columns, one value per pair.

        Raises:
            StoreError: A value is NaN, or an unscored pair has no side.
        """
        import pyarrow as pa

        data = {"prompt_id": _in_arrow(PackedTexts.of(self.prompt_ids))}
        for column in columns:
            data[column.name] = _numbers(column.name, column.values)
            if column.weights is not None:
                data[column.name + "@weight"] = _numbers(column.name, column.weights)
            if sides := _sides(column):
                data[column.name + "@side"] = pa.array(list(sides), pa.dictionary(pa.int8(), pa.string()))
        described = tuple(
            _StoredColumn(
                name=c.name,
                weighted=c.weights is not None,
                better=c.better,
                summary=c.summary,
                bounds=c.bounds,
                sides=bool(c.sides),
                digest=self._digest(signature, c),
            )
            for c in columns
        )
        written = _StoredColumns(signature=signature, columns=described)
        meta = {"fidelity": json.dumps(written.model_dump(mode="json", exclude_defaults=True))}
        write_parquet(self.path / _scores_file(signature), pa.table(data).replace_schema_metadata(meta))


def _in_arrow(texts: PackedTexts) -> "pa.Array[pa.StringScalar]":
    import pyarrow as pa

    places, encoded = pa.py_buffer(texts.ends), pa.py_buffer(texts.encoded)
    return pa.Array.from_buffers(pa.large_string(), len(texts), [None, places, encoded]).cast(pa.string())


def _same_answers(before: ComparisonManifest, now: ComparisonManifest) -> bool:
    """Whether what was scored is what is compared now; an older version has only the prompts of its pairs."""
    return before.prompt_ids == now.prompt_ids and (before.answers is None or before.answers == now.answers)


def _of_pairs(table: "pa.Table", name: str) -> ColumnNumbers | Sides:
    """Numbers, or sides; ValueError where the column holds something else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not name.endswith("@side"):
        numbers = table[name].cast(pa.float64())
        array = numbers.to_numpy().copy()
        array[pc.is_null(numbers).to_numpy()] = np.nan  # one NaN, whatever Arrow fills in
        return ColumnNumbers(array)
    sides = table[name].cast(pa.string())
    if unknown := set(pc.unique(sides).to_pylist()) - CODES.keys():
        raise ValueError(f"column {name!r} holds {unknown.pop()!r}")
    codes = np.zeros(len(sides), np.int8)
    for side, code in CODES.items():
        if side is not None:
            codes[pc.fill_null(pc.equal(sides, side), False).to_numpy()] = code
    return Sides(codes)


def _scores_file(signature: str) -> str:
    return f"{signature.partition('|')[0]}-{hashlib.sha256(signature.encode()).hexdigest()[:12]}.parquet"


def _sides(column: Column) -> Sides | None:
    """The side that keeps each pair from being scored; None if all are scored."""
    unscored = np.isnan(ColumnNumbers.of(column.values).array)
    sides = Sides.of(column.sides) if column.sides else Sides(np.zeros(len(unscored), np.int8))
    if len(unscored) != len(sides) or (unscored != (sides.array != CODES[None])).any():
        raise StoreError(f"the column {column.name!r} has unscored pairs without the side that prevents scoring")
    return sides if unscored.any() else None


def _numbers(name: str, values: Sequence[float | None]) -> "pa.Array[pa.DoubleScalar]":
    import pyarrow as pa

    try:
        array = ColumnNumbers.of(values).array
    except ValueError:
        raise StoreError(f"the column {name!r} holds NaN; a pair that can't be scored is None") from None
    return pa.array(array, pa.float64(), from_pandas=True)
