"""Which encoder is meant, and its files on this machine: a directory, or a Hub id fetched once. Loads no torch."""

import contextlib
import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError, MissingPackageError

ADVICE = "name a directory with a sentence-transformers model (it has a modules.json) or a Hugging Face encoder"
FETCHED = ["*.json", "*.txt", "*.model", "*.safetensors", "*.vocab", "*.spm", "*.jinja"]
"""What is fetched from the Hub: data only, neither Python nor pickles."""
_OTHER_FORMATS = frozenset({"onnx", "openvino", "coreml", "gguf"})
_MODEL_FILES = frozenset({".json", ".txt", ".model", ".safetensors", ".bin", ".vocab", ".spm", ".jinja"})


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
        ConfigError: there is no such directory, it holds no encoder, loading it would run code that it brings, or the
            Hub can't be reached.
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
        _refuse_code_of_its_own(path)
    else:
        config = _read_json(path / "config.json")
        if not isinstance(config, dict):
            raise ConfigError(f"encoder: {path} holds no encoder (no modules.json, no readable config.json); {ADVICE}")
        architectures = config.get("architectures")
        for architecture in architectures if isinstance(architectures, list) else ():
            if str(architecture).endswith(("ForCausalLM", "LMHeadModel")):
                raise ConfigError(f"encoder: {path} holds a model that generates text ({architecture}); {ADVICE}")
    _refuse_pickles(path)


def _refuse_code_of_its_own(path: Path) -> None:
    """Modules must be classes of sentence-transformers, whatever its version would do with others.

    Versions before 6 import a Python file that the directory itself holds, if `modules.json` names it.
    """
    modules = _read_json(path / "modules.json")
    if not isinstance(modules, list):
        raise ConfigError(f"encoder: {path} has no readable modules.json; {ADVICE}")
    for module in modules:
        kind, folder = (module.get(key) for key in ("type", "path")) if isinstance(module, dict) else (None, None)
        if not isinstance(kind, str) or not re.fullmatch(r"sentence_transformers(\.[A-Za-z]\w*)+", kind):
            raise ConfigError(
                f"encoder: {path / 'modules.json'} names the module {str(kind)[:80]!r}, which is not one of "
                f"sentence-transformers: loading it would run code that came with the model, so it is refused"
            )
        if not isinstance(folder, str) or not (path / folder).resolve().is_relative_to(path.resolve()):
            raise ConfigError(f"encoder: {path / 'modules.json'} names the folder {str(folder)[:80]!r} outside it")
    for file in path.rglob("config.json"):
        config = _read_json(file)
        function = config.get("activation_function") if isinstance(config, dict) else None
        if isinstance(function, str) and "." in function and not re.fullmatch(r"torch\.nn(\.\w+)+", function):
            raise ConfigError(
                f"encoder: {file} names the activation function {function[:80]!r}, which is not one of torch.nn: "
                f"importing it could run code, so it is refused"
            )


def _refuse_pickles(path: Path) -> None:
    """Weights that Python would unpickle; beside safetensors they are not read."""
    for file in sorted(path.rglob("*_model*.bin")):
        if not any(file.parent.glob("*.safetensors")) and not _OTHER_FORMATS & set(file.relative_to(path).parts):
            raise ConfigError(
                f"encoder: the weights in {file} are a Python pickle, which can run code when read; convert them to "
                f"safetensors (load the model once where you trust it, and save_pretrained), or name another encoder"
            )


def _read_json(file: Path) -> Any:
    """What a file holds; None where it can't be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return json.loads(file.read_text("utf-8"))
    return None


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

    ignored = [f"{folder}/*" for folder in sorted(_OTHER_FORMATS)]
    for local in (True, False):
        with contextlib.suppress(Exception):
            path = Path(
                snapshot_download(name, local_files_only=local, allow_patterns=FETCHED, ignore_patterns=ignored)
            )
            if any(path.glob("*.safetensors")):
                return path
    raise ConfigError(
        f"encoder: {name!r} is neither a directory nor in the local Hub cache, and could not be fetched from the Hub "
        "with weights as safetensors; give the directory of a copy, or check the name and the network"
    )
