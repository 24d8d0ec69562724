"""Comparisons on disk: one Parquet file per metric signature, and a manifest."""

import hashlib
import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fidelity.errors import StoreError
from fidelity.files import locked, read_parquet, read_parquet_schema, write_parquet
from fidelity.records import Column, Side
from fidelity.store.manifests import MANIFEST, ComparisonManifest, damage_of, read_record, write_record

if TYPE_CHECKING:
    import pyarrow as pa


SIDES: dict[Side | None, int] = {None: 0, "baseline": 1, "candidate": 2, "pair": 3}


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
    def prompt_ids(self) -> tuple[str, ...]:
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
        schema = read_parquet_schema(file)
        made = json.loads(schema.metadata[b"fidelity"])["columns"]
        described = [c for c in made if only is None or c["name"] in only]
        wanted = {c["name"] + suffix for c in described for suffix in ("", "@weight", "@side")}
        table = read_parquet(file, columns=[name for name in schema.names if name in wanted])
        return tuple(self._column(file, signature, c, table) for c in described)

    def _column(self, file: Path, signature: str, described: Mapping[str, Any], table: "pa.Table") -> Column:
        name = described["name"]
        column = Column(
            name=name,
            values=tuple(table[name].to_pylist()),
            weights=tuple(table[f"{name}@weight"].to_pylist()) if described["weighted"] else None,
            better=described["better"],
            summary=described["summary"],
            bounds=tuple(described["bounds"]) if described["bounds"] else None,
            sides=tuple(table[f"{name}@side"].to_pylist()) if described.get("sides") else None,
        )
        if described.get("digest") not in (None, self._digest(signature, column)):
            raise StoreError(
                f"{file}: the numbers of {name} were changed after scoring, or belong to another comparison; "
                f"delete the file and run fidelity compare again"
            )
        return column

    def _digest(self, signature: str, column: Column) -> str:
        """Hash of a column's numbers and of the runs that they belong to."""
        of = [self.manifest.baseline, self.manifest.candidate, signature]
        described = [column.name, column.better, column.summary, column.bounds]
        digest = hashlib.sha256(json.dumps([*of, *described]).encode())
        for values in (column.values, column.weights or (), [SIDES[side] for side in column.sides or ()]):
            digest.update(np.array(values, np.float64).tobytes())  # None is NaN
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

        data = {"prompt_id": pa.array(self.prompt_ids, pa.string())}
        for column in columns:
            data[column.name] = _numbers(column.name, column.values)
            if column.weights is not None:
                data[column.name + "@weight"] = _numbers(column.name, column.weights)
            if sides := _sides(column):
                data[column.name + "@side"] = pa.array(sides, pa.dictionary(pa.int8(), pa.string()))
        described = [
            {
                "name": c.name,
                "weighted": c.weights is not None,
                "better": c.better,
                "summary": c.summary,
                "bounds": list(c.bounds) if c.bounds else None,
                **({"sides": True} if c.sides else {}),
                "digest": self._digest(signature, c),
            }
            for c in columns
        ]
        meta = {"fidelity": json.dumps({"signature": signature, "columns": described})}
        write_parquet(self.path / _scores_file(signature), pa.table(data).replace_schema_metadata(meta))


def _same_answers(before: ComparisonManifest, now: ComparisonManifest) -> bool:
    """Whether what was scored is what is compared now; an older version has only the prompts of its pairs."""
    return before.prompt_ids == now.prompt_ids and (before.answers is None or before.answers == now.answers)


def _scores_file(signature: str) -> str:
    return f"{signature.partition('|')[0]}-{hashlib.sha256(signature.encode()).hexdigest()[:12]}.parquet"


def _sides(column: Column) -> Sequence[Side | None]:
    """The side that keeps each pair from being scored; empty if all are scored."""
    sides = column.sides or (None,) * len(column.values)
    if [value is None for value in column.values] != [side is not None for side in sides]:
        raise StoreError(f"the column {column.name!r} has unscored pairs without the side that prevents scoring")
    return sides if any(sides) else ()


def _numbers(name: str, values: Sequence[float | None]) -> "pa.Array[pa.DoubleScalar]":
    import pyarrow as pa

    if any(value != value for value in values):
        raise StoreError(f"the column {name!r} holds NaN; a pair that can't be scored is None")
    return pa.array(values, pa.float64())
