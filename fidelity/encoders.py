"""Text encoders: which one is meant and whether it is here (light), opened (heavy), and behind a cache on disk.

`locate` settles the model's files and revision, `CachedEncoder` answers from the cache and opens the model only for a
text that it has never seen, so that a comparison made a second time loads no torch.
"""

import contextlib
import hashlib
import importlib.util
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidelity.errors import ConfigError, MissingPackageError, StoreError
from fidelity.metrics.base import Encoder

LONGEST_INPUT = 8192
"""Tokens at once for an encoder that names no limit of its own; keeps memory bounded."""


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """An encoder whose files are on this machine: opening it never reaches the network."""

    name: str
    """The directory's name, or the Hub id."""
    revision: str
    """Twelve hex digits: of the Hub snapshot's commit, or of a hash over a directory's model files."""
    path: Path


def locate(name: str) -> EncoderSource:
    """Find an encoder by directory or Hub id, without loading it. A Hub id that is not in the local cache is fetched.

    Raises:
        ConfigError: there is no such directory, it holds no encoder, or the Hub can't be reached.
        MissingPackageError: a Hub id, and huggingface_hub is not installed.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        path = path.resolve()
        _check_is_encoder(path)
        return EncoderSource(path.name, _content_hash(path), path)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise ConfigError(f"encoder: {name!r} is neither a directory nor a Hub id such as 'owner/model'")
    path = _snapshot(name)
    _check_is_encoder(path)
    return EncoderSource(name, path.name[:12], path)


def open_encoder(source: EncoderSource) -> Encoder:
    """Load the encoder through sentence-transformers, on a GPU where there is one.

    Raises:
        MissingPackageError: sentence-transformers is not installed.
        ConfigError: the directory holds something that sentence-transformers can't open.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingPackageError("sentence-transformers", extra="semantic", needed_by=f"the encoder {source.name!r}")
    return SentenceEncoder(source)


class SentenceEncoder:
    """A sentence-transformers model. Float32, no dropout: a text gives the same vector in any batch to 1e-5."""

    def __init__(self, source: EncoderSource) -> None:
        from sentence_transformers import SentenceTransformer

        self.name, self.revision = source.name, source.revision
        try:
            with _quiet():
                self._model: Any = SentenceTransformer(str(source.path), local_files_only=True).eval()
        except Exception as error:  # the library raises OSError, ValueError, KeyError, SafetensorError, ... for this
            raise ConfigError(
                f"encoder: {source.path} can't be opened by sentence-transformers "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}); "
                "name a sentence-transformers model, such as a copy of all-MiniLM-L6-v2"
            ) from error
        self._tokenizer: Any = self._model.tokenizer
        self._model.max_seq_length = min(self._model.max_seq_length or LONGEST_INPUT, LONGEST_INPUT)
        prompt = self._model.prompts.get(self._model.default_prompt_name or "", "")
        reserved = self._tokenizer.num_special_tokens_to_add() + sum(self.count_tokens([prompt]))
        self.max_tokens: int = self._model.max_seq_length - reserved

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector per text, in the order given; distinct texts once, in batches of similar length."""
        distinct = list(dict.fromkeys(texts))
        lengths = [min(n, self.max_tokens) for n in self.count_tokens(distinct)]
        rows = np.empty((len(distinct), self._model.get_embedding_dimension()), np.float32)
        for batch in batches_by_length(lengths):
            cleaned = [_encodable(distinct[i]) for i in batch]
            rows[batch] = self._model.encode(
                cleaned, batch_size=len(batch), normalize_embeddings=True, show_progress_bar=False
            )
        row = {text: i for i, text in enumerate(distinct)}
        return rows[[row[text] for text in texts]]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each whole text, special tokens not counted."""
        return [len(ids) for block in self._tokenize(texts) for ids in block["input_ids"]]

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Share of each text's characters, white space apart, inside tokens that the vocabulary lacks."""
        shares: list[float] = []
        for start, block in zip(range(0, len(texts), 1024), self._tokenize(texts, offsets=True), strict=True):
            for text, ids, spans in zip(
                texts[start : start + 1024], block["input_ids"], block["offset_mapping"], strict=True
            ):
                unknown = sum(
                    end - begin for i, (begin, end) in zip(ids, spans, strict=True) if i == self._tokenizer.unk_token_id
                )
                written = len(text) - sum(map(str.isspace, text))
                shares.append(min(1.0, unknown / written) if written else 0.0)
        return shares

    def _tokenize(self, texts: Sequence[str], *, offsets: bool = False) -> Iterator[Any]:
        for start in range(0, len(texts), 1024):
            yield self._tokenizer(
                [_encodable(text) for text in texts[start : start + 1024]],
                add_special_tokens=False,
                return_offsets_mapping=offsets,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )


def batches_by_length(lengths: Sequence[int], *, tokens: int = 4096) -> Iterator[list[int]]:
    """Indices grouped so that a batch holds texts of similar length and at most `tokens` tokens, padding included."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * (lengths[batch[0]] + 2) > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


class CachedEncoder:
    """An encoder behind a cache in `folder`, keyed by text content; it is opened when a text is missing there.

    Each encoder revision has its own SQLite file in the folder. Two processes may share it: a text that both miss is
    encoded twice and stored once. A killed process keeps what it had stored, all but the last `block` texts.
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
        """As `Encoder.embed`; a row that comes from the cache is bit for bit the row that was stored."""
        found = self._through(
            "embedding", texts, lambda missing: [row.tobytes() for row in self._open().embed(missing)]
        )
        return np.stack([np.frombuffer(row, np.float32) for row in found]) if found else np.empty((0, 0), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        found = self._through(
            "tokens", texts, lambda missing: [np.int64(n).tobytes() for n in self._open().count_tokens(missing)]
        )
        return [int(np.frombuffer(n, np.int64)[0]) for n in found]

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        found = self._through(
            "unknown", texts, lambda missing: [np.float64(x).tobytes() for x in self._open().unknown_share(missing)]
        )
        return [float(np.frombuffer(x, np.float64)[0]) for x in found]

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
    """Bytes by kind and key in one SQLite file. Rollback journal, not WAL: that works on network file systems too."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self, what: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        if not self._file.exists():
            return {}
        found: dict[bytes, bytes] = {}
        with self._connection() as connection:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                found.update(
                    connection.execute(
                        f"SELECT key, value FROM entries WHERE what = ? AND key IN ({marks})", (what, *some)
                    )
                )
        return found

    def write(self, what: str, entries: dict[bytes, bytes]) -> None:
        with self._connection() as connection, connection:
            connection.executemany(
                "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)",
                [(what, key, value) for key, value in entries.items()],
            )

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, so that none outlives a fork or holds a lock between calls."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._file, timeout=120)) as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS entries "
                    "(what TEXT, key BLOB, value BLOB, PRIMARY KEY (what, key)) WITHOUT ROWID"
                )
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the cache of embeddings {self._file} can't be used: {error}; "
                "if the disk is not full, delete that file and it is made anew"
            ) from error


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()


def _encodable(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes: each becomes the replacement character."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _check_is_encoder(path: Path) -> None:
    if (path / "modules.json").is_file():
        return
    advice = "name a directory with a sentence-transformers model (it has a modules.json) or a Hugging Face encoder"
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise ConfigError(
            f"encoder: {path} holds no encoder (no modules.json, no readable config.json); {advice}"
        ) from None
    architectures = config.get("architectures") or []
    if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures):
        raise ConfigError(f"encoder: {path} holds a model that generates text ({architectures[0]}); {advice}")


_MODEL_FILES = frozenset({".json", ".txt", ".model", ".safetensors", ".bin", ".vocab", ".spm", ".jinja"})
_OTHER_FORMATS = frozenset({"onnx", "openvino", "coreml", "gguf"})


def _content_hash(path: Path) -> str:
    """Hash over names and bytes of the files that the model is loaded from; README, hidden files, ONNX copies apart."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if file.suffix not in _MODEL_FILES or any(p.startswith(".") or p in _OTHER_FORMATS for p in relative.parts):
            continue
        if file.suffix == ".bin" and any(file.parent.glob("*.safetensors")):
            continue
        with file.open("rb") as opened:
            digest.update(f"{relative.as_posix()}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _snapshot(name: str) -> Path:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingPackageError("huggingface_hub", extra="semantic", needed_by=f"the Hub encoder {name!r}")
    from huggingface_hub import snapshot_download

    for local in (True, False):
        with contextlib.suppress(Exception):
            path = Path(
                snapshot_download(
                    name, local_files_only=local, ignore_patterns=["onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"]
                )
            )
            if any(path.glob("*.safetensors")) or any(path.glob("*.bin")):
                return path
    raise ConfigError(
        f"encoder: {name!r} is neither a directory nor in the local Hub cache, and could not be fetched from the Hub; "
        "give the directory of a copy, or check the name and the network"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for loading a small model's weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
