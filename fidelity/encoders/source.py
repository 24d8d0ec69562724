"""Which encoder is meant, and its files on this machine: a directory, or a Hub id fetched once. Loads no torch."""

import contextlib
import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

from fidelity.errors import ConfigError, MissingPackageError


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
