"""The KV cache that a checkpoint configures: bytes per token, type and scales."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fidelity.checkpoints.config import ModelJson, count, quantization_of, text_of
from fidelity.checkpoints.tensors import Tensor
from fidelity.schema import REFUSE_UNKNOWN_KEYS

NAMES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16", "fp8": "FP8", "int8": "INT8", "nvfp4": "NVFP4"}
"""Types of caches by the engines' names."""
WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1}
"""Bytes per number, of types without scales."""
ATTENTION = ("full_attention", "sliding_attention", "chunked_attention", "attention")
"""Types of layers (`layer_types` in config.json) that store keys and values; others (Mamba, linear attention) have
a state of fixed size, which isn't counted."""
MOST_LAYERS = 10_000
"""A config with more layers is damaged."""
NO_SCALES = "no scales: servers use 1.0, a known accuracy problem"
Scales = Literal["calibrated", "in the checkpoint", "all 1.0", "in some layers", "none", "dynamic"]


@dataclass(frozen=True, slots=True)
class KVCache:
    """Bytes of keys and values. Engines round up to whole blocks of tokens."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    bytes_per_token: int
    """Bytes of a token that is in every attention layer."""
    bytes_per_token_beyond_window: int
    """Bytes of a further token when the layers with a sliding window (or chunk) are full."""
    window: int | None
    """The size of the sliding window in tokens; None if no layer has one."""
    counted: str
    """The calculation: `30 layers x 3 heads x 64 x 2 (keys and values) x 2 bytes`."""
    dtype: str | None = None
    """`BF16`, `FP8`: the type that the checkpoint configures, else its own type."""
    scales: Scales | None = None
    """The scales of a quantized cache; None if the cache isn't quantized."""

    @property
    def fault(self) -> str | None:
        """The problem with the scales, or None."""
        match self.scales:
            case "none":
                return NO_SCALES
            case "all 1.0":
                return "its scales are all 1.0, as without scales: a known accuracy problem"
            case "in some layers":
                return "scales only in some layers: servers use 1.0 in the others, a known accuracy problem"
        return None


def kv_cache(
    config: ModelJson, *, dtype: str | None = None, scales: Mapping[str, Tensor] | None = None
) -> KVCache | None:
    """Attention layers x KV heads x head size x 2 x bytes; None if the config doesn't state them.

    With multi-head latent attention (DeepSeek) a layer stores one compressed vector and one rotated key for all heads.

    Args:
        config: The content of config.json; for a multimodal model its text_config is used.
        dtype: The cache's type (`bfloat16`, `fp8`). Default: the type that the checkpoint configures, else its own.
        scales: The checkpoint's tensors that scale the cache, by name.
    """
    text = text_of(config)
    layers = count(text, "num_hidden_layers", "n_layer", "num_layers")
    asked, dynamic = asked_cache(config)
    own = next(
        (str(place[key]) for place in (text, config) for key in ("dtype", "torch_dtype") if place.get(key)), None
    )
    stored_as = dtype or asked or own
    if layers is None or layers > MOST_LAYERS or stored_as is None:
        return None
    types = _layer_types(text, layers)
    holding = types[: max(0, len(types) - (count(text, "num_kv_shared_layers") or 0))]
    full = sum(kind in ("full_attention", "attention") for kind in holding)
    windowed = sum(kind in ATTENTION for kind in holding) - full
    scaling = _scales(config, asked, dynamic, scales or {}, full + windowed) if asked and not dtype else None
    name = NAMES.get(stored_as, stored_as)
    if latent := count(text, "kv_lora_rank"):
        rotated, width = count(text, "qk_rope_head_dim") or 0, WIDTHS.get(stored_as)
        if width is None:
            return None
        words = f"{layers} layers x ({latent} latent + {rotated} rotated) x {width} bytes"
        each = layers * (latent + rotated) * width
        return KVCache(each, each, None, words, name, scaling)
    heads = count(text, "num_attention_heads", "n_head")
    kv_heads = 1 if text.get("multi_query") else count(text, "num_key_value_heads", "num_kv_heads") or heads
    hidden = count(text, "hidden_size", "n_embd")
    size = count(text, "head_dim") or (hidden // heads if hidden and heads else None)
    if not kv_heads or not size or (stored := _bytes_of_a_head(stored_as, size)) is None:
        return None
    each = kv_heads * stored[0]
    words = f"{full + windowed} layers x {kv_heads} heads x {stored[1]}"
    window = count(text, "sliding_window", "attention_chunk_size") if windowed else None
    if windowed:
        words += f"; {windowed} of the layers store at most {window} tokens"
    if len(holding) < layers:
        words += f"; {layers - len(holding)} layers share another's"
    if full + windowed < len(holding):
        words += f"; {len(holding) - full - windowed} layers without attention have a state of fixed size, not counted"
    return KVCache((full + windowed) * each, full * each, window, words, name, scaling)


def asked_cache(config: ModelJson) -> tuple[str | None, bool]:
    """The cache's type that a checkpoint configures (`fp8`), and whether its scales are computed while serving."""
    written: ModelJson = quantization_of(config) or {}
    nested = written.get("quantization")
    places = (written, nested) if isinstance(nested, Mapping) else (written,)
    for place in places:
        scheme = place.get("kv_cache_scheme") or place.get("kv_cache_quant_algo")
        if isinstance(scheme, str):
            kind = scheme.lower().partition("_")[0]
            return (kind if kind in NAMES else None), False
        if isinstance(scheme, Mapping):
            kinds = {(8, "float"): "fp8", (4, "float"): "nvfp4", (8, "int"): "int8"}
            stated = scheme.get("num_bits"), scheme.get("type", "int")
            return next((kinds[key] for key in kinds if key == stated), None), scheme.get("dynamic") is True
    return _of_outputs(written), False


def _of_outputs(written: ModelJson) -> str | None:
    """Quark's way: the outputs of the layers that compute keys and values are quantized."""
    for key in ("kv_cache_quant_config", "layer_quant_config"):
        stated = written.get(key)
        for name, entry in stated.items() if isinstance(stated, Mapping) else ():
            outputs = entry.get("output_tensors") if isinstance(entry, Mapping) else None
            if re.search(r"[kv]_proj", str(name)) and isinstance(outputs, Mapping):
                kind = str(outputs.get("dtype")).partition("_")[0]
                return kind if kind in NAMES else None
    return None


def _scales(config: ModelJson, asked: str, dynamic: bool, scales: Mapping[str, Tensor], layers: int) -> Scales | None:
    """The state of the scales. Model Optimizer raises scales below 1.0 to 1.0, so its scales prove nothing."""
    if dynamic or asked == "nvfp4":
        return "dynamic" if dynamic else None
    keys = {name: tensor for name, tensor in scales.items() if re.search(r"\b(k|kv)_scale$", name)}
    if not keys:
        return "none"
    if len(keys) < layers:
        return "in some layers"
    values = [numbers for tensor in scales.values() if (numbers := tensor.numbers()) is not None]
    if values and all(number == 1.0 for numbers in values for number in numbers):
        return "all 1.0"
    method = str((quantization_of(config) or {}).get("quant_method") or "")
    return "in the checkpoint" if method.startswith("modelopt") else "calibrated"


def _bytes_of_a_head(dtype: str, size: int) -> tuple[int, str] | None:
    """The bytes of one token's keys and values per head, with the calculation; None for a type with an unknown layout.

    Layouts of vLLM 0.32: NVFP4 adds a byte per 16 numbers, per-token-head scales 4 bytes per side, TurboQuant 2 bytes
    for keys of 3 or 4 bits and 4 bytes for values.
    """
    if width := WIDTHS.get(dtype):
        return 2 * size * width, f"{size} x 2 (keys and values) x {width} bytes"
    if dtype in ("nvfp4", "nvfp4_4over6"):
        each = size // 2 + size // 16
        return 2 * each, f"{each} bytes of 4-bit floats and scales x 2 (keys and values)"
    if dtype.endswith("_per_token_head"):
        each = (size // 2 if dtype.startswith("int4") else size) + 4
        return 2 * each, f"{each} bytes of numbers and scale x 2 (keys and values)"
    if turbo := re.fullmatch(r"turboquant_(?:k(\d)v(\d)|(\d)bit_nc|k(\d)v(\d)_nc)", dtype):
        key = int(turbo[1] or turbo[3] or turbo[4])
        value = int(turbo[2] or turbo[3] or turbo[5])
        keys = size if key == 8 else -(-size * key // 8) + 2
        total = keys + -(-size * value // 8) + 4
        return total + total % 2, f"{total + total % 2} bytes of keys and values"
    return None


def _layer_types(text: ModelJson, layers: int) -> Sequence[str]:
    """The kind of every layer: from config.json's list, else from the older keys for sliding windows."""
    listed = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(listed, list) and listed:
        return [str(kind) for kind in listed]
    window = count(text, "sliding_window")
    if not window or text.get("use_sliding_window") is False:
        return ["full_attention"] * layers
    if every := count(text, "sliding_window_pattern"):  # Gemma 3: every sixth layer has full attention
        return ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    if text.get("model_type") == "gemma2":  # every other layer, which its config doesn't state
        return ["full_attention" if n % 2 else "sliding_attention" for n in range(layers)]
    below = count(text, "max_window_layers") or 0  # Qwen2: the lower layers have full attention
    return ["full_attention" if n < below else "sliding_attention" for n in range(layers)]
