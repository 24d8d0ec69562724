"""Recognizing directories whose weights are in another format than a Hugging Face checkpoint's."""

from collections.abc import Mapping
from pathlib import Path

from fidelity.checkpoints.config import ModelJson
from fidelity.outside.documents import read_document

FOREIGN = {
    "an ONNX model": ("*.onnx", "onnx/*.onnx"),
    "an OpenVINO model": ("openvino*.xml",),
    "a Core ML model": ("*.mlpackage", "*.mlmodelc", "*.mlmodel"),
    "a LiteRT model": ("*.tflite", "*.litertlm", "*.task"),
    "a TensorRT engine": ("*.engine", "*.plan"),
    "a TensorRT-LLM checkpoint": ("rank[0-9]*.safetensors",),
    "an MLC model": ("mlc-chat-config.json",),
    "a TensorFlow model": ("saved_model.pb", "tf_model.h5", "*.keras"),
    "a Flax model": ("flax_model.msgpack", "flax_model.msgpack.index.json"),
    "a NeMo archive": ("*.nemo",),
    "a llamafile": ("*.llamafile",),
    "a diffusers pipeline": ("model_index.json",),
}
"""Files of other formats; nothing of them is read."""
META_SCHEMES = {"spinquant": "SpinQuant", "8da4w": "8da4w", "qat_lora": "QLoRA"}


def native_format(directory: Path) -> str | None:
    """The format of a directory without config.json or without its weights, and what loads it; None if unknown.

    Only JSON files are read, since a `.pth` is a pickle, which can run code.
    """
    if (adapter := _json_object(directory / "adapter_config.json")) is not None:
        return _adapter(adapter)
    if (params := _json_object(directory / "params.json")) is not None:
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
    if programs := sorted(directory.glob("*.pte")):
        return f"it contains an ExecuTorch program ({programs[0].name}); see docs/mobile.md for how to run it"
    for words, patterns in FOREIGN.items():
        if files := sorted(file for pattern in patterns for file in directory.glob(pattern)):
            return f"it is {words} ({files[0].name}), which neither vLLM nor transformers loads"
    return None


def _adapter(config: ModelJson) -> str:
    """The words for a PEFT folder: `a LORA adapter of rank 16 for org/base`."""
    kind, rank, base = (config.get(key) for key in ("peft_type", "r", "base_model_name_or_path"))
    words = f"{kind or 'PEFT'} adapter" + (f" of rank {rank}" if rank else "") + (f" for {base}" if base else "")
    return f"it is only a {words}, not a whole model; merge it into that model first"


def _json_object(file: Path) -> ModelJson | None:
    try:
        written = read_document(file)
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
