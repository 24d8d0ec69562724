"""What a checkpoint is, read from its config and safetensors headers without loading it: parameters, format, bytes."""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError, MissingPackageError

FLOATS = {"BF16": "BF16", "F16": "FP16", "F32": "FP32"}
PACKED = ("weight_packed", "qweight")
"""Tensors that hold several quantized weights in each integer."""
NO_PARAMETERS = ("scale", "scales", "zero_point", "qzeros", "g_idx", "weight_shape")
"""Endings of tensors that describe quantized weights and aren't parameters of the model."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as its files describe it; None where they don't say."""

    format: str | None
    """`BF16`, `W8A8-INT8`, `W4A16-INT4 g64`, `W8A8-FP8`, ..."""
    parameters: int | None
    """Weights of the model as it was before it was packed; a tied lm_head counts once."""
    bytes: int | None
    """Of all weight files on disk."""


def local_directory(model: str, revision: str | None, *, download: bool = True) -> Path:
    """The directory of a checkpoint: a local one as it is, a Hub id from the Hub's cache (downloaded if need be).

    Raises:
        ConfigError: There is no such directory, or it is no checkpoint, or the Hub doesn't have it.
    """
    path = Path(model)
    if not path.is_absolute():
        return _from_hub(model, revision, download=download)
    if not path.is_dir():
        raise ConfigError(f"{path}: no such directory; 'model' is a checkpoint's directory or a Hub id (org/name)")
    if not (path / "config.json").is_file():
        raise ConfigError(f"{path}: not a model: it has no config.json; name a Hugging Face checkpoint's directory")
    return path


def content_id(directory: Path, remembered: Path) -> str:
    """What the checkpoint's content is known by: the Hub's commit, or a SHA-256 over all its files.

    A hash is remembered by path, size and modification time in the JSON file `remembered`, so that a large checkpoint
    is read once.
    """
    if directory.parent.name == "snapshots":
        return directory.name
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(remembered.read_text())
    total = hashlib.sha256()
    for file in sorted(p for p in directory.rglob("*") if p.is_file() and not p.name.startswith(".")):
        stat = file.stat()
        key = f"{file}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in known:
            with file.open("rb") as stream:
                known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.relative_to(directory)}={known[key]}\n".encode())
    with suppress(OSError):  # forgetting costs time, nothing else
        remembered.parent.mkdir(parents=True, exist_ok=True)
        draft = remembered.with_suffix(f".{os.getpid()}.draft")
        draft.write_text(json.dumps(known, indent=0))
        draft.replace(remembered)
    return total.hexdigest()


def describe(directory: Path) -> Checkpoint:
    """Read what the checkpoint is.

    Raises:
        ConfigError: Its config.json or a safetensors header is damaged.
    """
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{directory / 'config.json'}: can't be read as JSON ({error})") from error
    files = sorted(directory.glob("*.safetensors"))
    tensors = {name: tensor for file in files for name, tensor in _header(file).items()}
    quantization = config.get("quantization_config") or config.get("compression_config")
    return Checkpoint(
        format=_quantized_format(quantization) if quantization else _float_format(config, tensors),
        parameters=sum(_parameters(tensors, _bits(quantization))) or None,
        bytes=sum(file.stat().st_size for file in files) or None,
    )


def chat_template(directory: Path) -> Any:
    """The template of a checkpoint's tokenizer, or several by name; None where it has none."""
    with suppress(OSError):
        return (directory / "chat_template.jinja").read_text(encoding="utf-8")
    written = None
    with suppress(OSError, ValueError):
        written = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    return {one["name"]: one["template"] for one in written} if isinstance(written, list) else written


def fingerprint(template: Any) -> str | None:
    """What a chat template is known by in `EngineInfo.chat_template`; None where there is none."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16] if template else None


def _from_hub(model: str, revision: str | None, *, download: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingPackageError("huggingface_hub", extra="vllm", needed_by=f"the Hub model {model!r}") from error
    patterns = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
    try:
        found = snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=not download)
        return Path(found)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"model {model!r}: neither a directory here nor to be had from the Hub "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def _header(file: Path) -> dict[str, Any]:
    """The safetensors header: tensor names with dtype and shape (8 bytes of length, then JSON)."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header: dict[str, Any] = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error, MemoryError, OverflowError) as error:
        raise ConfigError(f"{file}: damaged: its safetensors header can't be read ({error}); fetch it again") from error
    header.pop("__metadata__", None)
    return header


def _float_format(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> str | None:
    """The type that most weights are stored in; the config's word where there are no safetensors."""
    weight: dict[str, int] = {}
    for tensor in tensors.values():
        weight[tensor["dtype"]] = weight.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    stored = max(weight, key=lambda dtype: weight[dtype]) if weight else None
    if stored:
        return FLOATS.get(stored, stored)
    named = config.get("dtype") or config.get("torch_dtype")
    return {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}.get(str(named))


def _quantized_format(quantization: Mapping[str, Any]) -> str:
    """`W4A16-INT4 g64` from a quantization_config (compressed-tensors, AWQ, GPTQ, FP8); else its method's name."""
    weights, activations = _scheme(quantization)
    if weights:
        kind = "FP" if str(weights.get("type", "int")).startswith("float") else "INT"
        bits = weights["num_bits"]
        inputs = activations["num_bits"] if activations else 16
        group = weights.get("group_size")
        return f"W{bits}A{inputs}-{kind}{bits}" + (f" g{group}" if group and group > 0 else "")
    method = str(quantization.get("quant_method", "unknown"))
    if method in {"awq", "gptq", "auto-round"}:
        bits, group = quantization.get("bits", 4), quantization.get("group_size", -1)
        return f"W{bits}A16-INT{bits}" + (f" g{group}" if group > 0 else "") + f" ({method})"
    return "W8A8-FP8" if method in {"fp8", "fbgemm_fp8"} else method


def _scheme(quantization: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Weights and input activations of a compressed-tensors config's first group."""
    for group in (quantization.get("config_groups") or {}).values():
        if group.get("weights"):
            return group["weights"], group.get("input_activations")
    return None, None


def _bits(quantization: Mapping[str, Any] | None) -> int:
    weights = _scheme(quantization)[0] if quantization else None
    return int(weights["num_bits"] if weights else (quantization or {}).get("bits", 4))


def _parameters(tensors: Mapping[str, Any], bits: int) -> Iterator[int]:
    for name, tensor in tensors.items():
        last = name.rpartition(".")[2]
        if last.endswith(NO_PARAMETERS):
            continue
        yield math.prod(tensor["shape"]) * (32 // bits if last in PACKED and tensor["dtype"] == "I32" else 1)
