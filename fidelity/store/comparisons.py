"""Comparisons on disk: one Parquet file per metric signature, beside a manifest."""

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fidelity.errors import StoreError
from fidelity.files import read_parquet, read_parquet_schema, write_parquet
from fidelity.records import Column, Side
from fidelity.store.manifests import MANIFEST, ComparisonManifest, damage_of, read_record, write_record

if TYPE_CHECKING:
    import pyarrow as pa


SIDES: dict[Side | None, int] = {None: 0, "baseline": 1, "candidate": 2, "pair": 3}


@dataclass(frozen=True)
class Comparison:
    """A scored pair of runs on disk: one Parquet file per metric signature. A control is compared like a candidate."""

    path: Path

    @cached_property
    def manifest(self) -> ComparisonManifest:
        """Which runs were compared, the pairs that could not be made, and what was scored.

        Raises:
            StoreError: It is damaged.
        """
        return read_record(self.path / MANIFEST, ComparisonManifest)

    @property
    def damage(self) -> str:
        """Why it can't be read; empty where it can."""
        return damage_of(self.path, ComparisonManifest)

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The prompt of each pair, in the order of every column's values."""
        return self.manifest.prompt_ids

    def columns(self, signature: str, *, only: Container[str] | None = None) -> tuple[Column, ...] | None:
        """The columns of one metric, or `only` some of them; None if it has not been scored yet.

        Raises:
            StoreError: The file can't be read, was changed since, or is another comparison's.
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
                f"{file}: the numbers of {name} were changed since they were scored, or are another comparison's; "
                f"delete the file and compare again"
            )
        return column

    def _digest(self, signature: str, column: Column) -> str:
        """Of a column's numbers, and of what they are of."""
        of = [self.manifest.baseline, self.manifest.candidate, signature]
        described = [column.name, column.better, column.summary, column.bounds]
        digest = hashlib.sha256(json.dumps([*of, *described]).encode())
        for values in (column.values, column.weights or (), [SIDES[side] for side in column.sides or ()]):
            digest.update(np.array(values, np.float64).tobytes())  # None is NaN
        return digest.hexdigest()

    def described(self, **changes: object) -> "Comparison":
        """The same comparison with other values of some fields of its manifest, which is read anew."""
        before = Comparison(self.path).manifest
        after = before.replace(**changes)
        if after != before:
            write_record(self.path / MANIFEST, after)
        return Comparison(self.path)

    def add_columns(self, signature: str, columns: Sequence[Column]) -> None:
        """Keep a metric's columns, one value per pair.

        Raises:
            StoreError: A value is NaN, or it isn't known whose answer keeps a pair from being scored.
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


def _scores_file(signature: str) -> str:
    return f"{signature.partition('|')[0]}-{hashlib.sha256(signature.encode()).hexdigest()[:12]}.parquet"


def _sides(column: Column) -> Sequence[Side | None]:
    """Whose answer keeps each pair from being scored; empty where all are scored."""
    sides = column.sides or (None,) * len(column.values)
    if [value is None for value in column.values] != [side is not None for side in sides]:
        raise StoreError(f"the column {column.name!r} leaves pairs unscored and doesn't say whose answer prevents it")
    return sides if any(sides) else ()


def _numbers(name: str, values: Sequence[float | None]) -> "pa.Array[pa.DoubleScalar]":
    import pyarrow as pa

    if any(value != value for value in values):
        raise StoreError(f"the column {name!r} holds NaN; a pair that can't be scored is None")
    return pa.array(values, pa.float64())
