"""What a token takes in the KV cache, what type a checkpoint asks for it, and whether it brings the scales."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fidelity.checkpoints.config import ModelJson, count, quantization_of, text_of
from fidelity.checkpoints.tensors import Tensor
from fidelity.records import REFUSE_UNKNOWN_KEYS

NAMES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16", "fp8": "FP8", "int8": "INT8", "nvfp4": "NVFP4"}
"""Types of caches, by the engines' names."""
WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1}
"""Bytes of one number, of the types that are nothing but numbers."""
ATTENTION = ("full_attention", "sliding_attention", "chunked_attention", "attention")
"""Types of layers (`layer_types` in config.json) that keep keys and values; others (Mamba, linear attention) keep a
state of fixed size, which isn't counted."""
NO_SCALES = "no scales: servers take 1.0, a known accuracy fault"
Scales = Literal["calibrated", "in the checkpoint", "all 1.0", "in some layers", "none", "dynamic"]


@dataclass(frozen=True, slots=True)
class KVCache:
    """Bytes of keys and values; an engine rounds up to whole blocks of tokens."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    bytes_per_token: int
    """Of each token that every attention layer holds."""
    bytes_per_token_beyond_window: int
    """Of each token more once the layers with a sliding window (or chunk) are full; as above where there are none."""
    window: int | None
    """Tokens that the layers with a window hold; None where there are none."""
    counted: str
    """In words: `30 layers x 3 heads x 64 x 2 (keys and values) x 2 bytes`."""
    dtype: str | None = None
    """`BF16`, `FP8`: what the checkpoint asks for, else its own type."""
    scales: Scales | None = None
    """Those of a quantized cache; None where the cache isn't quantized."""

    @property
    def fault(self) -> str | None:
        """What is wrong with the scales; None where nothing is."""
        match self.scales:
            case "none":
                return NO_SCALES
            case "all 1.0":
                return "its scales are all 1.0, as if there were none: a known accuracy fault"
            case "in some layers":
                return "scales in some layers only: servers take 1.0 in the others, a known accuracy fault"
        return None


def kv_cache(
    config: ModelJson, *, dtype: str | None = None, scales: Mapping[str, Tensor] | None = None
) -> KVCache | None:
    """Attention layers x heads of keys and values x size of a head x 2 x bytes; None where the config doesn't say.

    With multi-head latent attention (DeepSeek) a layer keeps one compressed vector and one rotated key for all heads.

    Args:
        config: The content of config.json; of a multimodal model its text part is counted.
        dtype: What the cache is kept in (`bfloat16`, `fp8`); what the checkpoint asks for, else its own type, if not
            given.
        scales: The checkpoint's tensors that scale the cache, by name.
    """
    text = text_of(config)
    layers = count(text, "num_hidden_layers", "n_layer", "num_layers")
    asked, dynamic = asked_cache(config)
    own = next(
        (str(place[key]) for place in (text, config) for key in ("dtype", "torch_dtype") if place.get(key)), None
    )
    stored_as = dtype or asked or own
    if layers is None or stored_as is None:
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
        words += f"; {windowed} of the layers hold {window} tokens at most"
    if len(holding) < layers:
        words += f"; {layers - len(holding)} layers share another's"
    if full + windowed < len(holding):
        words += f"; {len(holding) - full - windowed} layers without attention keep a state of fixed size, not counted"
    return KVCache((full + windowed) * each, full * each, window, words, name, scaling)


def asked_cache(config: ModelJson) -> tuple[str | None, bool]:
    """The cache's type that a checkpoint asks for (`fp8`), and whether its scales are found while serving."""
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
    return None, False


def _scales(config: ModelJson, asked: str, dynamic: bool, scales: Mapping[str, Tensor], layers: int) -> Scales | None:
    """What is known of the scales; Model Optimizer raises those below 1.0 to it, so that its own prove nothing."""
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
    """Keys and values of one token and head, in bytes and in words; None for a type whose layout isn't known here.

    Layouts of vLLM 0.32: NVFP4 adds a byte for 16 numbers, per-token-head scales 4 bytes a side, TurboQuant 2 bytes for
    keys of 3 or 4 bits and 4 bytes for values.
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
    """The kind of every layer: as config.json lists them, else by the older ways to say where windows are."""
    listed = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(listed, list) and listed:
        return [str(kind) for kind in listed]
    window = count(text, "sliding_window")
    if not window or text.get("use_sliding_window") is False:
        return ["full_attention"] * layers
    if every := count(text, "sliding_window_pattern"):  # Gemma 3: each sixth layer sees everything
        return ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    if text.get("model_type") == "gemma2":  # every other layer, and its config doesn't say so
        return ["full_attention" if n % 2 else "sliding_attention" for n in range(layers)]
    below = count(text, "max_window_layers") or 0  # Qwen2: the layers below see everything
    return ["full_attention" if n < below else "sliding_attention" for n in range(layers)]
