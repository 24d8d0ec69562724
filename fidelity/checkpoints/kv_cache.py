"""What a token takes in the KV cache, from a model's config.json alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fidelity.checkpoints.tensors import ModelJson
from fidelity.records import REFUSE_UNKNOWN_KEYS

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
ATTENTION = ("full_attention", "sliding_attention", "chunked_attention", "attention")
"""Types of layers (`layer_types` in config.json) that keep keys and values; others (Mamba, linear attention) keep a
state of fixed size, which isn't counted."""


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


def kv_cache(config: ModelJson, *, dtype: str | None = None) -> KVCache | None:
    """Attention layers x heads of keys and values x size of a head x 2 x bytes; None where the config doesn't say.

    With multi-head latent attention (DeepSeek) a layer keeps one compressed vector and one rotated key for all heads.

    Args:
        config: The content of config.json; of a multimodal model its text part is counted.
        dtype: What the cache is kept in (`bfloat16`, `fp8`); the checkpoint's own type if not given.
    """
    text = config.get("text_config") or config
    layers = _first(text, "num_hidden_layers", "n_layer", "num_layers")
    width = BYTES.get(str(dtype or _first(text, "dtype", "torch_dtype") or _first(config, "dtype", "torch_dtype")))
    if layers is None or width is None:
        return None
    if latent := text.get("kv_lora_rank"):
        each = (latent + text.get("qk_rope_head_dim", 0)) * width
        said = f"{layers} layers x ({latent} latent + {text.get('qk_rope_head_dim', 0)} rotated) x {width} bytes"
        return KVCache(layers * each, layers * each, None, said)
    heads = _first(text, "num_attention_heads", "n_head")
    kv_heads = 1 if text.get("multi_query") else _first(text, "num_key_value_heads", "num_kv_heads") or heads
    hidden = _first(text, "hidden_size", "n_embd")
    size = text.get("head_dim") or (hidden // heads if hidden and heads else None)
    if not kv_heads or not size:
        return None
    types = _layer_types(text, layers)
    holding = types[: len(types) - (text.get("num_kv_shared_layers") or 0)]
    full = sum(kind in ("full_attention", "attention") for kind in holding)
    windowed = sum(kind in ATTENTION for kind in holding) - full
    each = kv_heads * size * 2 * width
    said = f"{full + windowed} layers x {kv_heads} heads x {size} x 2 (keys and values) x {width} bytes"
    window = _first(text, "sliding_window", "attention_chunk_size") if windowed else None
    if windowed:
        said += f"; {windowed} of the layers hold {window} tokens at most"
    if len(holding) < layers:
        said += f"; {layers - len(holding)} layers share another's"
    if full + windowed < len(holding):
        said += f"; {len(holding) - full - windowed} layers without attention keep a state of fixed size, not counted"
    return KVCache((full + windowed) * each, full * each, window, said)


def _layer_types(text: ModelJson, layers: int) -> Sequence[str]:
    """The kind of every layer: as config.json lists them, else by the older ways to say where windows are."""
    if listed := text.get("layer_types") or text.get("layers_block_type"):
        return list(listed)
    window = text.get("sliding_window")
    if not window or text.get("use_sliding_window") is False:
        return ["full_attention"] * layers
    if every := text.get("sliding_window_pattern"):  # Gemma 3: each sixth layer sees everything
        return ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    if text.get("model_type") == "gemma2":  # every other layer, and its config doesn't say so
        return ["full_attention" if n % 2 else "sliding_attention" for n in range(layers)]
    below = text.get("max_window_layers") or 0  # Qwen2: the layers below see everything
    return ["full_attention" if n < below else "sliding_attention" for n in range(layers)]


def _first(config: ModelJson, *keys: str) -> Any:
    return next((config[key] for key in keys if config.get(key) is not None), None)
