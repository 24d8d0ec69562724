"""A cache of encoder results on disk, by content, so no text is encoded twice."""

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fidelity.encoders.base import Encoder, Inference, TokenVectors
from fidelity.encoders.opened import open_encoder
from fidelity.encoders.source import EncoderSource
from fidelity.errors import StoreError


class CachedEncoder:
    """An encoder with a cache in `folder`, keyed by text content. It is opened when a text is not in the cache.

    Each encoder revision has its own SQLite file in the folder. Two processes can share it: a text that both lack is
    encoded twice and stored once. If a process is killed, at most its last `block` texts are lost.
    """

    def __init__(
        self,
        source: EncoderSource,
        folder: Path,
        *,
        opener: Callable[[EncoderSource], Encoder] = open_encoder,
        block: int = 256,
    ) -> None:
        self.name, self.revision = source.name, source.revision
        self._source, self._opener, self._block = source, opener, block
        self._cache = _Cache(folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '--', source.name)}-{source.revision}.sqlite")
        self._opened: Encoder | None = None

    @property
    def max_tokens(self) -> int:
        known = self._cache.read("max_tokens", [b""])
        if not known:
            known = {b"": np.int64(self._open().max_tokens).tobytes()}
            self._cache.write("max_tokens", known)
        return int(np.frombuffer(known[b""], np.int64)[0])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder.embed`. A cached row is bit-identical to the stored row."""
        rows = self._through("embedding", texts, lambda missing: [row.tobytes() for row in self._open().embed(missing)])
        return np.stack([np.frombuffer(row, np.float32) for row in rows]) if rows else np.empty((0, 0), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        counts = self._through(
            "tokens", texts, lambda missing: [np.int64(n).tobytes() for n in self._open().count_tokens(missing)]
        )
        return [int(np.frombuffer(n, np.int64)[0]) for n in counts]

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        shares = self._through(
            "unknown", texts, lambda missing: [np.float64(x).tobytes() for x in self._open().unknown_share(missing)]
        )
        return [float(np.frombuffer(x, np.float64)[0]) for x in shares]

    def token_vectors(self, texts: Sequence[str], *, layer: int, overlap: int) -> list[TokenVectors]:
        """See `Encoder.token_vectors`. Not cached on disk, since it would take megabytes per text."""
        return self._open().token_vectors(texts, layer=layer, overlap=overlap)

    def infer(self, sentences: Sequence[tuple[str, str]]) -> list[Inference]:
        """See `Encoder.infer`."""
        by_name = {json.dumps(pair): pair for pair in sentences}
        packed = self._through(
            "inference",
            [json.dumps(pair) for pair in sentences],
            lambda missing: [
                np.array(one, np.float64).tobytes() for one in self._open().infer([by_name[n] for n in missing])
            ],
        )
        return [Inference(*np.frombuffer(pair, np.float64).tolist()) for pair in packed]

    def _through(self, what: str, texts: Sequence[str], compute: Callable[[list[str]], list[bytes]]) -> list[bytes]:
        keys = {text: _key(text) for text in dict.fromkeys(texts)}
        known = self._cache.read(what, list(keys.values()))
        missing = sorted((text for text, key in keys.items() if key not in known), key=lambda text: (-len(text), text))
        for start in range(0, len(missing), self._block):
            block = missing[start : start + self._block]
            fresh = dict(zip((keys[text] for text in block), compute(block), strict=True))
            self._cache.write(what, fresh)
            known |= fresh
        return [known[keys[text]] for text in texts]

    def _open(self) -> Encoder:
        if self._opened is None:
            self._opened = self._opener(self._source)
        return self._opened


class _Cache:
    """Bytes by kind and key in an SQLite file. The rollback journal, unlike WAL, works on network file systems.

    An entry that doesn't have its checksum counts as missing; those of older versions have none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self, what: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        if not self._file.exists():
            return {}
        cached: dict[bytes, bytes] = {}
        with self._connection() as connection:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    "SELECT key, value, crc FROM entries LEFT JOIN checksums USING (what, key) "  # noqa: S608 - marks and fixed names, no values
                    f"WHERE what = ? AND key IN ({marks})",
                    (what, *some),
                )
                cached.update((key, value) for key, value, crc in rows if crc in (None, crc32(value)))
        return cached

    def write(self, what: str, entries: dict[bytes, bytes]) -> None:
        with self._connection() as connection, connection:
            for table, cells in (("entries", entries), ("checksums", {k: crc32(v) for k, v in entries.items()})):
                connection.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608 - marks and fixed names, no values
                    [(what, key, cell) for key, cell in cells.items()],
                )

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, so none outlives a fork or holds a lock between calls."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._file, timeout=120)) as connection:
                for table, kind in (("entries", "value BLOB"), ("checksums", "crc INTEGER")):
                    connection.execute(
                        f"CREATE TABLE IF NOT EXISTS {table} "
                        f"(what TEXT, key BLOB, {kind}, PRIMARY KEY (what, key)) WITHOUT ROWID"
                    )
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the cache of embeddings {self._file} can't be used: {error}; "
                "if the disk is not full, delete that file and it is created again"
            ) from error


def damage_of_cache(file: Path) -> str:
    """Why a file with cached results can't be used; empty if it can."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            wrong = 0
            ((pages,), (size,)) = (
                connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
            )
            if "entries" not in tables or pages * size > file.stat().st_size:
                result = "it is cut short"
            if result == "ok" and {"entries", "checksums"} <= tables:
                rows = connection.execute("SELECT value, crc FROM entries JOIN checksums USING (what, key)")
                wrong = sum(crc != crc32(value) for value, crc in rows)
    except (sqlite3.Error, OSError, TypeError) as error:
        return f"{file}: damaged ({error}); delete it, and it is created again"
    if result == "ok" and not wrong:
        return ""
    why = f"{wrong} entries were changed after they were written" if wrong else result
    return f"{file}: damaged ({why}); delete it, and it is created again"


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()
