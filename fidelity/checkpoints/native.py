"""Recognizing checkpoints in their makers' own formats, without config.json."""

from collections.abc import Mapping
from pathlib import Path

from fidelity.checkpoints.config import ModelJson
from fidelity.outside.documents import read_document

META_SCHEMES = {"spinquant": "SpinQuant", "8da4w": "8da4w", "qat_lora": "QLoRA"}


def native_format(directory: Path) -> str | None:
    """The format of a directory without config.json, and what loads it; None if unknown.

    Only `params.json` is read, since a `.pth` is a pickle, which can run code.
    """
    if (params := _params(directory)) is not None:
        pickles = sorted(directory.glob("*.pth"))
        if pickles:
            size = sum(file.stat().st_size for file in pickles)
            return (
                f"Meta's own format ({_dimensions(params)}{_meta_scheme(params)}, {size:,} bytes of .pth), which "
                f"vLLM and transformers can't load, but ExecuTorch can; see docs/mobile.md"
            )
        if any(directory.glob("consolidated*.safetensors")):
            return (
                f"Mistral's own format ({_dimensions(params)}: params.json and consolidated*.safetensors); download "
                f"the repository's config.json too"
            )
    if ggufs := sorted(directory.glob("*.gguf")):
        return f"it contains GGUF files; give one of them ({ggufs[0].name})"
    return None


def _params(directory: Path) -> ModelJson | None:
    try:
        written = read_document(directory / "params.json")
    except (OSError, ValueError, RecursionError):
        return None
    return written if isinstance(written, dict) else None


def _dimensions(params: ModelJson) -> str:
    return f"{params.get('n_layers', '?')} layers, width {params.get('dim', '?')}"


def _meta_scheme(params: ModelJson) -> str:
    """`, SpinQuant g32 by params.json`: the scheme that its quantized releases state."""
    stated = params.get("quantization_args")
    if not isinstance(stated, Mapping):
        return ""
    scheme, group = str(stated.get("scheme")), stated.get("group_size")
    named = META_SCHEMES.get(scheme, scheme) + (" with LoRA" if params.get("lora_args") else "")
    return f", {named}" + (f" g{group}" if group else "") + " by params.json"
