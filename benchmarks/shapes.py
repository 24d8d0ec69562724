"""Checkpoints of real shape with random weights, to measure price. Speed depends on shapes and formats, not on values.

    python benchmarks/shapes.py FOLDER SHAPE [FORMAT ...] --tokenizer DIR [--dummy] [--context 8192]
    python benchmarks/shapes.py --sizes

A checkpoint `FOLDER/SHAPE-FORMAT` has the layout that llm-compressor writes (compressed-tensors). Quantized weights are
drawn in their own format: nothing is rounded, and what such a model answers means nothing, so it measures price and
never drift. A key in config.json marks it, and every report names it. `--dummy` writes the configuration and the
tokenizer alone, for vLLM's `load_format: dummy`, where the disk is too small. The tokenizer is that of any model with
a smaller vocabulary; it is extended to the shape's. `--sizes` makes nothing: it prints what weights and KV cache take
in each shape and format, and how many requests fit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rounded_checkpoints import INT4, TOKENS, compressed
from safetensors.torch import save_file

from fidelity.checkpoints import RANDOM_WEIGHTS, kv_cache
from fidelity.inspection import requests_that_fit

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STD = 0.02
"""Of all weights, as in a model before its training."""
GROUP, BLOCK = 128, 128
Tensors = dict[str, torch.Tensor]


def _llama(hidden: int, layers: int, heads: int, kv_heads: int, wide: int, **more: Any) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 128,
        "intermediate_size": wide,
        "vocab_size": 128_256,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 500_000.0,
        "attention_bias": False,
        "mlp_bias": False,
        **more,
    }


SHAPES: dict[str, dict[str, Any]] = {
    "llama-3.2-1b": _llama(2048, 16, 32, 8, 8192, head_dim=64, tie_word_embeddings=True),
    "llama-3.2-3b": _llama(3072, 28, 24, 8, 8192, tie_word_embeddings=True),
    "llama-3.1-8b": _llama(4096, 32, 32, 8, 14_336),
    "llama-3.1-70b": _llama(8192, 80, 64, 8, 28_672),
    "qwen3-30b-a3b": {
        **_llama(2048, 48, 32, 4, 6144),
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "vocab_size": 151_936,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    },
    "tiny": _llama(256, 2, 4, 2, 512, head_dim=64, vocab_size=50_000),
}
"""The published configurations; `tiny` is for tests."""

INT8 = {"num_bits": 8, "type": "int", "strategy": "channel"}
FP8 = {**INT8, "type": "float"}
FP8_BLOCKS = {**FP8, "strategy": "block", "block_structure": [BLOCK, BLOCK]}
FP8_GROUPS = {**TOKENS, "strategy": "group", "group_size": GROUP}
FORMATS: dict[str, dict[str, Any] | None] = {
    "bf16": None,
    "w8a8-fp8": compressed("float-quantized", FP8, TOKENS),
    "fp8-block": compressed("float-quantized", FP8_BLOCKS, FP8_GROUPS),
    "w8a8-int8": compressed("int-quantized", INT8, {**TOKENS, "type": "int"}),
    "w4a16": compressed("pack-quantized", INT4),
    "w4a8-fp8": compressed("pack-quantized", INT4, TOKENS),
}
"""The `quantization_config` of each format. vLLM has a kernel for W4A8-FP8 on Hopper GPUs, and none for W4A8-INT8."""


def sizes() -> None:
    """Print the size of weights and KV cache, and the requests of `rag` that fit into two GPUs' memory, at most."""
    global DEVICE
    DEVICE = "meta"
    print("| shape | format | weights | KV cache per 1,000 tokens | `rag` at once in 80 GB | in 141 GB |")
    print("|---|---|---:|---:|---:|---:|")
    for shape, config in SHAPES.items():
        cache = kv_cache({**config, "dtype": "bfloat16"})
        if shape == "tiny" or cache is None:
            continue
        for name in FORMATS:
            weights = sum(t.nbytes for tensors in _layers(config, DRAWN[name]) for t in tensors.values())
            fitting = [
                requests_that_fit(memory=memory, weights=weights, bytes_per_token=cache.bytes_per_token)["rag"]
                for memory in (80 * 10**9, 141 * 10**9)
            ]
            cells = [f"{weights / 1e9:.1f} GB", f"{cache.bytes_per_token / 1e3:.0f} MB", *(f"{n:,}" for n in fitting)]
            print(f"| {shape} | {name} | {' | '.join(cells)} |")


def main() -> None:
    """Make the checkpoints that are named."""
    if sys.argv[1:] == ["--sizes"]:
        sizes()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(FORMATS)} (default: all)")
    parser.add_argument("--tokenizer", type=Path, required=True, metavar="DIR")
    parser.add_argument("--dummy", action="store_true", help="no weights")
    parser.add_argument("--context", type=int, default=8192)
    chosen = parser.parse_args()
    if unknown := set(chosen.formats) - set(FORMATS):
        parser.error(f"no such format: {', '.join(sorted(unknown))}; there are {', '.join(FORMATS)}")
    for name in chosen.formats or FORMATS:
        began, target = time.monotonic(), chosen.folder / f"{chosen.shape}-{name}"
        describe(target, chosen.shape, name, tokenizer=chosen.tokenizer, context=chosen.context)
        size = 0 if chosen.dummy else fill(target, SHAPES[chosen.shape], name)
        print(f"{target}: {size / 1e9:.2f} GB in {time.monotonic() - began:.1f} s", flush=True)


def describe(target: Path, shape: str, name: str, *, tokenizer: Path, context: int) -> None:
    """Write the configuration and the tokenizer."""
    target.mkdir(parents=True, exist_ok=True)
    config = {**SHAPES[shape], "max_position_embeddings": context, "dtype": "bfloat16", "torch_dtype": "bfloat16"}
    config[RANDOM_WEIGHTS] = True
    config |= {"bos_token_id": 1, "eos_token_id": 2, "initializer_range": STD, "use_cache": True}
    if quantization := FORMATS[name]:
        ignored = ["lm_head", *(["re:.*mlp.gate$"] if "num_experts" in config else [])]
        config["quantization_config"] = {**quantization, "ignore": ignored}
    (target / "config.json").write_text(json.dumps(config, indent=1))
    (target / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))
    for file in [*tokenizer.glob("tokenizer*"), *tokenizer.glob("*.jinja"), *tokenizer.glob("special_tokens*")]:
        shutil.copy(file, target / file.name)
    extend_tokenizer(target / "tokenizer.json", size=config["vocab_size"])


def extend_tokenizer(file: Path, *, size: int) -> None:
    """Add names for the tokens that the model can answer with and the tokenizer lacks; no text is encoded to them."""
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    first = 1 + max([*vocabulary.values(), *(token["id"] for token in content["added_tokens"])])
    if first > size:
        raise SystemExit(f"{file}: {first} tokens are more than the shape's {size}; name another --tokenizer")
    vocabulary |= {f"unused{number}": number for number in range(first, size)}
    file.write_text(json.dumps(content))


def fill(target: Path, shape: dict[str, Any], name: str) -> int:
    """Write random weights, a file per layer, and return their size in bytes."""
    draw = DRAWN[name]
    index: dict[str, str] = {}
    total = 0
    with ThreadPoolExecutor(4) as pool:
        saving = []
        for number, tensors in enumerate(_layers(shape, draw)):
            file = f"model-{number:05d}.safetensors"
            index |= dict.fromkeys(tensors, file)
            total += sum(tensor.nbytes for tensor in tensors.values())
            saving.append(pool.submit(save_file, tensors, target / file, metadata={"format": "pt"}))
            while sum(not one.done() for one in saving) > 8:  # no more than eight layers in memory
                time.sleep(0.01)
        for one in saving:
            one.result()
    content = {"metadata": {"total_size": total}, "weight_map": index}
    (target / "model.safetensors.index.json").write_text(json.dumps(content))
    return total


def _layers(shape: dict[str, Any], draw: Callable[[int, int], Tensors]) -> Iterator[Tensors]:
    """The tensors of each layer, and at the end those outside of the layers."""
    hidden, head = shape["hidden_size"], shape["head_dim"]
    queries, keys = shape["num_attention_heads"] * head, shape["num_key_value_heads"] * head
    attention = {"q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden)}
    attention["o_proj"] = (hidden, queries)
    for number in range(shape["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        shapes = {f"{layer}.self_attn.{name}": size for name, size in attention.items()}
        tensors = {f"{layer}.{name}.weight": _ones(hidden) for name in ("input_layernorm", "post_attention_layernorm")}
        wide, blocks = shape["intermediate_size"], [f"{layer}.mlp"]
        if experts := shape.get("num_experts"):
            wide, blocks = shape["moe_intermediate_size"], [f"{layer}.mlp.experts.{n}" for n in range(experts)]
            tensors |= _named(f"{layer}.mlp.gate", _bfloat16(experts, hidden))
            tensors |= {f"{layer}.self_attn.{name}.weight": _ones(head) for name in ("q_norm", "k_norm")}
        for block in blocks:
            shapes |= {f"{block}.{name}": (wide, hidden) for name in ("gate_proj", "up_proj")}
            shapes[f"{block}.down_proj"] = (hidden, wide)
        for name, size in shapes.items():
            tensors |= _named(name, draw(*size))
        yield tensors
    rest = {**_named("model.embed_tokens", _bfloat16(shape["vocab_size"], hidden)), "model.norm.weight": _ones(hidden)}
    yield rest | ({} if shape["tie_word_embeddings"] else _named("lm_head", _bfloat16(shape["vocab_size"], hidden)))


def _named(layer: str, tensors: Tensors) -> Tensors:
    return {f"{layer}.{role}": tensor if tensor.is_meta else tensor.cpu() for role, tensor in tensors.items()}


def _ones(size: int) -> torch.Tensor:
    return torch.ones(size, dtype=torch.bfloat16)


def _normal(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, device=DEVICE, dtype=torch.bfloat16)


def _bfloat16(rows: int, columns: int) -> Tensors:
    return {"weight": _normal(rows, columns) * STD}


def _scale(*size: int, largest: float) -> torch.Tensor:
    """Scales with which numbers of a standard deviation of `largest` / 3 become weights of STD."""
    return torch.full(size, 3 * STD / largest, dtype=torch.bfloat16)


def _fp8(rows: int, columns: int) -> Tensors:
    weight = (_normal(rows, columns) * (448 / 3)).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"weight": weight, "weight_scale": _scale(rows, 1, largest=448)}


def _fp8_block(rows: int, columns: int) -> Tensors:
    scale = _scale(-(-rows // BLOCK), -(-columns // BLOCK), largest=448)
    return {"weight": _fp8(rows, columns)["weight"], "weight_scale": scale}


def _int8(rows: int, columns: int) -> Tensors:
    weight = torch.randint(-127, 128, (rows, columns), device=DEVICE, dtype=torch.int8)
    return {"weight": weight, "weight_scale": _scale(rows, 1, largest=127 * 3**0.5)}


def _int4(rows: int, columns: int) -> Tensors:
    """Eight weights in each 32-bit number, all 16 values equally likely."""
    packed = torch.randint(-(1 << 31), 1 << 31, (rows, columns // 8), device=DEVICE, dtype=torch.int64)
    return {
        "weight_packed": packed.to(torch.int32),
        "weight_scale": _scale(rows, columns // GROUP, largest=8 * 3**0.5),
        "weight_shape": torch.tensor([rows, columns]),
    }


DRAWN: dict[str, Callable[[int, int], Tensors]] = {
    "bf16": _bfloat16,
    "w8a8-fp8": _fp8,
    "fp8-block": _fp8_block,
    "w8a8-int8": _int8,
    "w4a16": _int4,
    "w4a8-fp8": _int4,
}


if __name__ == "__main__":
    main()
