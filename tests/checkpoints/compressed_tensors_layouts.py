"""A checkpoint in every layout of compressed-tensors."""

from dataclasses import replace

from tests.checkpoints.layouts import Model, build
from tests.checkpoints.packings import (
    FP8_CACHE,
    LOCAL_FP4,
    TOKEN_FP8,
    TOKEN_INT8,
    bitmask,
    compressed,
    fp8_blocks,
    fp8_rows,
    group,
    int8,
    int_packed,
    kv_scales,
    marlin_24,
    mxfp4,
    mxfp8,
    nvfp4,
)

M = Model()
MOE = Model(experts=4)
NVFP4_GROUP = group(4, "float", "tensor_group", LOCAL_FP4, group_size=16)
MLP_ONLY = ["re:.*mlp.*"]
ATTENTION_ONLY = ["re:.*self_attn.*"]

COMPRESSED_TENSORS = {
    **{
        f"compressed-tensors W{bits}A16": build(
            M,
            compressed(group(bits, strategy="group", group_size=64)),
            int_packed(bits, 64),
            f"INT{bits} g64",
            f"W{bits}A16-INT{bits} g64",
        )
        for bits in (2, 3, 4, 5, 6, 8)
    },
    "compressed-tensors W3A16, shapes not readable": build(
        M, compressed(group(3, strategy="group", group_size=128)), int_packed(3, 128, shape=False), "INT3 g128"
    ),
    "compressed-tensors W4A16 per row": build(M, compressed(group(4)), int_packed(4), "INT4", "W4A16-INT4"),
    "compressed-tensors W3A16 per row, shapes not readable": build(
        M, compressed(group(3)), int_packed(3, shape=False), "INT3", "W3A16-INT3"
    ),
    "compressed-tensors W4A16 asymmetric": build(
        M, compressed(group(4, strategy="group", group_size=32)), int_packed(4, 32, zeros=True), "INT4 g32"
    ),
    "compressed-tensors W8A8-INT8": build(
        M, compressed(group(8, inputs=TOKEN_INT8), format="int-quantized"), int8, "INT8", "W8A8-INT8"
    ),
    "compressed-tensors W8A16 in bytes": build(M, compressed(group(8)), int8, "INT8", "W8A16-INT8"),
    "compressed-tensors W4A8 in bytes": build(
        M, compressed(group(4, inputs=TOKEN_INT8), format="int-quantized"), int8, "INT4", "W4A8-INT4"
    ),
    "compressed-tensors W8A8-FP8": build(
        M, compressed(group(8, "float", inputs=TOKEN_FP8)), fp8_rows, "FP8", "W8A8-FP8"
    ),
    "compressed-tensors FP8 in blocks": build(
        M,
        compressed(group(8, "float", "block", TOKEN_FP8, block_structure=[128, 128])),
        fp8_blocks(name="weight_scale"),
        "FP8 block 128x128",
        "W8A8-FP8 block 128x128",
    ),
    "compressed-tensors NVFP4": build(
        M, compressed(NVFP4_GROUP, format="nvfp4-pack-quantized"), nvfp4, "NVFP4 g16", "W4A4-NVFP4 g16"
    ),
    "compressed-tensors NVFP4, weights only": build(
        M, compressed(group(4, "float", "tensor_group", group_size=16)), nvfp4, "NVFP4 g16", "W4A16-NVFP4 g16"
    ),
    "compressed-tensors MXFP4": build(
        M, compressed(group(4, "float", "group", group_size=32)), mxfp4, "MXFP4 g32", "W4A16-MXFP4 g32"
    ),
    "compressed-tensors MXFP8": build(
        M,
        compressed(group(8, "float", "group", TOKEN_FP8, group_size=32), format="mxfp8-quantized"),
        mxfp8,
        "MXFP8 g32",
        "W8A8-MXFP8 g32",
    ),
    "compressed-tensors FP8 attention and NVFP4 MLP": build(
        M,
        compressed(
            group(8, "float", inputs=TOKEN_FP8, targets=ATTENTION_ONLY),
            {**NVFP4_GROUP, "targets": MLP_ONLY},
            format="mixed-precision",
        ),
        {"self_attn": fp8_rows, "mlp": nvfp4},
        {"self_attn": "FP8", "mlp": "NVFP4 g16"},
        "mixed: NVFP4 g16 (MLP), FP8 (attention)",
    ),
    "compressed-tensors, 8 bits in a few layers": build(
        Model(layers=8),
        compressed(
            group(8, strategy="group", group_size=64, targets=["re:.*k_proj$"]),
            group(4, strategy="group", group_size=64),
        ),
        {"k_proj": int_packed(8, 64), "": int_packed(4, 64)},
        {"k_proj": "INT8 g64", "": "INT4 g64"},
        "W4A16-INT4 g64",
    ),
    "compressed-tensors, experts left out": build(
        replace(MOE, experts=8),
        compressed(group(4, strategy="group", group_size=32, targets=["re:.*self_attn.*"])),
        {"self_attn": int_packed(4, 32)},
        {"self_attn": "INT4 g32"},
        "4-bit attention only: most of the weights are BF16",
    ),
    "compressed-tensors, 2:4 sparse FP8": build(
        M,
        compressed(
            group(8, "float", inputs=TOKEN_FP8),
            format="float-quantized",
            sparsity_config={"format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]},
        ),
        bitmask,
        "FP8 2:4",
        "W8A8-FP8, 2:4 sparse",
    ),
    "compressed-tensors, 2:4 sparse and not quantized": build(
        M,
        compressed(
            format="dense",
            sparsity_config={"format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]},
        ),
        lambda outputs, inputs: bitmask(outputs, inputs, "BF16"),
        "BF16 2:4",
        "BF16, 2:4 sparse",
    ),
    "marlin-24": build(
        M,
        compressed(group(4, strategy="group", group_size=128), format="marlin-24"),
        marlin_24(4, 128),
        "INT4 g128 2:4",
        "W4A16-INT4 g128, 2:4 sparse",
    ),
    "FP8 with FP8 KV scales": build(
        M,
        compressed(group(8, "float", inputs=TOKEN_FP8), kv_cache_scheme=FP8_CACHE),
        fp8_rows,
        "FP8",
        "W8A8-FP8, KV cache FP8 (calibrated)",
        extra_tensors=kv_scales(M),
    ),
}
