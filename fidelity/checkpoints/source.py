"""Finding a checkpoint's files, and hashing their content."""

import hashlib
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from fidelity.checkpoints.native import native_format
from fidelity.checkpoints.remembered import read_remembered, remember
from fidelity.checkpoints.tensors import weight_files
from fidelity.checkpoints.tokenizer import read_json, read_tokenizer
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.outside.documents import LARGEST_DOCUMENT
from fidelity.outside.paths import open_regular, read_regular

AT_ONCE = 8
"""Files that are hashed at the same time."""
PICKLES = ("*.bin", "*.pt", "*.pth")
"""Weight files that Python unpickles, which can run code."""
OTHER_PICKLES = re.compile(r"(training_args|optimizer|scheduler|rng_state|adapter_|openvino|params_shard_).*")
"""Names of files with such an ending that aren't weights of a model that an engine loads."""
WEIGHTS = ("*.safetensors", "*.gguf", *PICKLES)
"""Files of weights."""


def local_directory(model: str, revision: str | None, *, download: bool = True) -> Path:
    """Return the directory of a checkpoint, or its GGUF file: a local path unchanged, a Hub id from the Hub's cache.

    Missing files are downloaded if that is allowed.

    Raises:
        ConfigError: There is no such directory, it is not a checkpoint, or the Hub doesn't have it.
    """
    path = Path(model)
    if not path.is_absolute():
        return _from_hub(model, revision, download=download)
    if path.is_file() and path.suffix == ".gguf":
        return path
    if not path.is_dir():
        raise ConfigError(f"{path}: no such directory; set 'model' to a checkpoint's directory or a Hub id (org/name)")
    if not (path / "config.json").is_file():
        if native := native_format(path):
            raise ConfigError(f"{path}: {native}")
        raise ConfigError(
            f"{path}: not a model: config.json is missing; give the directory of a Hugging Face checkpoint"
        )
    if not _has_weights(path) and (native := native_format(path)):
        raise ConfigError(f"{path}: {native}")
    return path


def _has_weights(directory: Path) -> bool:
    files = [file for file in weight_files(directory) if not re.match(r"rank\d+\.", file.name)]
    return bool(files or pickled_weights(directory))


def pickled_weights(directory: Path) -> list[Path]:
    """A directory's weight files that Python unpickles."""
    files = sorted(file for pattern in PICKLES for file in directory.glob(pattern))
    return [file for file in files if not OTHER_PICKLES.match(file.name)]


def content_id(directory: Path, remembered: Path) -> str:
    """The identity of a checkpoint's content: the Hub's commit, or a SHA-256 over all its files.

    Hashes are cached by path, size, times of change and inode in the JSON file `remembered`, so a large checkpoint is
    read once.
    """
    if directory.parent.name == "snapshots":
        return directory.name
    within = [directory] if directory.is_file() else directory.rglob("*")
    return _hash_of([p for p in within if p.is_file() and not p.name.startswith(".")], directory, remembered)


def weights_id(checkpoint: Path, remembered: Path) -> str | None:
    """The identity of a checkpoint's weights: a SHA-256 over their files; None if there are none.

    Checkpoints with equal weights can differ in chat template, config or tokenizer. `remembered` is as in `content_id`.
    """
    files = [p for pattern in WEIGHTS for p in checkpoint.glob(pattern)] if checkpoint.is_dir() else [checkpoint]
    return _hash_of(files, checkpoint, remembered) if files else None


def _hash_of(files: Iterable[Path], directory: Path, remembered: Path) -> str:
    known, total = read_remembered(remembered), hashlib.sha256()
    keys = {file: _state(file) for file in sorted(files)}
    unknown = [file for file, key in keys.items() if not isinstance(known.get(key), str)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        hashes = dict(zip(unknown, pool.map(_file_hash, unknown), strict=True))
    for file, key in keys.items():
        total.update(f"{file.relative_to(directory)}={hashes.get(file) or known[key]}\n".encode())
    if hashes:
        remember(remembered, {keys[file]: digest for file, digest in hashes.items()})
    return total.hexdigest()


def _state(file: Path) -> str:
    """What changes when a file is changed or replaced."""
    stat = file.stat()
    return f"{file}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}|{stat.st_ctime_ns}"


def _file_hash(file: Path) -> str:
    """SHA-256 of a file. The Hub's cache names large files by it, so they need not be read."""
    blob = file.resolve().name
    if file.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", blob):
        return blob
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def chat_template(directory: Path) -> Any:
    """The template of a checkpoint's tokenizer, or several by name, or None."""
    with suppress(OSError, ValueError):
        return read_regular(directory / "chat_template.jinja", most=LARGEST_DOCUMENT).decode("utf-8")
    written = read_json(directory / "tokenizer_config.json").get("chat_template")
    try:
        return {one["name"]: one["template"] for one in written} if isinstance(written, list) else written
    except (TypeError, KeyError):  # not a list of templates: the engine refuses it
        return written


def fingerprint(template: Any) -> str | None:
    """The hash of a chat template for `EngineInfo.chat_template`; None without a template."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16] if template else None


def vocabulary_id(directory: Path) -> str | None:
    """The hash of a checkpoint's vocabulary, as in `EngineInfo.tokenizer`; None without tokenizer.json."""
    tokenizer = read_tokenizer(directory)
    return fingerprint(dict(tokenizer.vocabulary)) if tokenizer else None


def _from_hub(model: str, revision: str | None, *, download: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingPackageError("huggingface_hub", extra="vllm", needed_by=f"the Hub model {model!r}") from error
    patterns = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
    try:
        snapshot = snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=not download)
        return Path(snapshot)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"model {model!r}: neither a directory on this machine nor available from the Hub "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
