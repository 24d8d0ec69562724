"""Random checkpoints whose truth is known: any model, any family and its parameters, and what can be wrong with it."""

import math
from dataclasses import replace

from hypothesis import strategies as st

from fidelity.checkpoints import FLOATS
from tests.checkpoints.layouts import Model, build, stored
from tests.checkpoints.packings import (
    LOCAL_FP4,
    TOKEN_FP8,
    TOKEN_INT8,
    awq,
    bitmask,
    bitsandbytes,
    compressed,
    fp8_blocks,
    fp8_rows,
    fp8_tensor,
    gptq,
    group,
    int8,
    int_packed,
    llm_int8,
    marlin_24,
    mlx,
    modelopt_int4,
    modelopt_nvfp4,
    mxfp4,
    mxfp8,
    nvfp4,
    quark_mxfp4,
    torchao_bytes,
    torchao_notes,
)

HEAD = 32


@st.composite
def models(draw):
    """Widths in multiples of 64, since packing needs whole groups and tiles."""
    kv_heads = draw(st.integers(1, 3))
    each = draw(st.integers(1, 3)) * (2 if kv_heads % 2 else 1)
    return Model(
        hidden=kv_heads * each * HEAD,
        intermediate=64 * draw(st.integers(1, 6)),
        layers=draw(st.integers(1, 3)),
        heads=kv_heads * each,
        kv_heads=kv_heads,
        vocabulary=8 * draw(st.integers(1, 300)),
        tied=draw(st.booleans()),
        experts=draw(st.sampled_from([0, 0, 2, 5])),
        dtype=draw(st.sampled_from(["BF16", "BF16", "F16", "F32"])),
    )


def size_of(draw, model):
    return draw(st.sampled_from([size for size in (16, 32, 64) if not model.hidden % size]))


def label(bits, size):
    return f"INT{bits}" + (f" g{size}" if size else "")


def compressed_integers(draw, model, *, targets=("Linear",)):
    bits = draw(st.sampled_from([2, 3, 4, 5, 6, 7, 8]))
    size = draw(st.sampled_from([None, size_of(draw, model)]))
    inputs = draw(st.sampled_from([None, None, TOKEN_INT8, TOKEN_FP8]))
    strategy = {"strategy": "group", "group_size": size} if size else {"strategy": "channel"}
    shape = draw(st.booleans()) or 32 % bits != 0
    pack = int_packed(bits, size, shape=shape, zeros=draw(st.booleans()))
    return group(bits, inputs=inputs, targets=targets, **strategy), pack, label(bits, size)


def compressed_bytes(draw, model, *, targets=("Linear",)):
    choices = [
        (group(8, inputs=TOKEN_INT8, targets=targets), int8, "INT8"),
        (group(8, "float", inputs=TOKEN_FP8, targets=targets), fp8_rows, "FP8"),
        (group(8, "float", "tensor", inputs=TOKEN_FP8, targets=targets), fp8_tensor, "FP8"),
        (
            group(8, "float", "block", TOKEN_FP8, targets=targets, block_structure=[128, 128]),
            fp8_blocks(name="weight_scale"),
            "FP8 block 128x128",
        ),
        (group(4, "float", "tensor_group", LOCAL_FP4, targets=targets, group_size=16), nvfp4, "NVFP4 g16"),
        (group(4, "float", "group", targets=targets, group_size=32), mxfp4, "MXFP4 g32"),
    ]
    return draw(st.sampled_from(choices))


def of_compressed_tensors(draw, model):
    kinds = (compressed_integers, compressed_bytes)
    if draw(st.booleans()):
        one, pack, scheme = draw(st.sampled_from(kinds))(draw, model)
        return compressed(one, ignore=["lm_head", r"re:.*mlp\.gate$"]), pack, scheme
    both = [
        draw(st.sampled_from(kinds))(draw, model, targets=[f"re:.*{word}.*_proj$"]) for word in ("self_attn", "mlp")
    ]
    packs, schemes = ({"self_attn": both[0][n], "mlp": both[1][n]} for n in (1, 2))
    return compressed(both[0][0], both[1][0]), packs, schemes


def of_sparse(draw, model):
    pruned = {"format": "sparse-24-bitmask", "sparsity_structure": "2:4", "targets": ["Linear"]}
    ignored = {"ignore": ["lm_head", r"re:.*mlp\.gate$"]}
    if draw(st.booleans()):
        config = compressed(group(8, "float", inputs=TOKEN_FP8), sparsity_config={**pruned, **ignored}, **ignored)
        return config, bitmask, "FP8 2:4"
    bits, size = draw(st.sampled_from([4, 8])), draw(st.sampled_from([None, 32]))
    strategy = {"strategy": "group", "group_size": size} if size else {}
    return (
        compressed(group(bits, **strategy), format="marlin-24", **ignored),
        marlin_24(bits, size),
        f"{label(bits, size)} 2:4",
    )


def of_gptq(draw, model):
    bits, size = draw(st.sampled_from([2, 3, 4, 8])), draw(st.sampled_from([None, size_of(draw, model)]))
    config = {"quant_method": "gptq", "bits": bits, "group_size": size or -1, "desc_act": draw(st.booleans())}
    if size and draw(st.booleans()):
        config["dynamic"] = {r"+:.*\.self_attn\..*": {"bits": 8}}
        packs = {"self_attn": gptq(8, size), "mlp": gptq(bits, size)}
        return config, packs, {"self_attn": label(8, size), "mlp": label(bits, size)}
    return config, gptq(bits, size, g_idx=draw(st.booleans())), label(bits, size)


def of_awq(draw, model):
    bits, size = draw(st.sampled_from([4, 8])), size_of(draw, model)
    return (
        {"quant_method": "awq", "bits": bits, "group_size": size, "version": "gemm"},
        awq(bits, size),
        label(bits, size),
    )


def of_auto_round(draw, model):
    bits, size, other = draw(st.sampled_from([2, 4])), size_of(draw, model), draw(st.sampled_from([2, 8]))
    packing, pack = draw(st.sampled_from([("auto_round:auto_gptq", gptq), ("auto_round:auto_awq", awq)]))
    config = {"quant_method": "auto-round", "bits": bits, "group_size": size, "packing_format": packing}
    config["extra_config"] = {name: {"bits": other} for name, _, _ in model.linears if "self_attn" in name}
    packs = {"self_attn": pack(other, size), "mlp": pack(bits, size)}
    return config, packs, {"self_attn": label(other, size), "mlp": label(bits, size)}


MODEL_OPT = {
    "FP8": (fp8_tensor, "FP8"),
    "NVFP4": (modelopt_nvfp4, "NVFP4 g16"),
    "MXFP8": (mxfp8, "MXFP8 g32"),
    "W4A16_AWQ": (modelopt_int4(32), "INT4 g32"),
}


def of_model_optimizer(draw, model):
    algorithms = sorted(MODEL_OPT)
    one, two = draw(st.sampled_from(algorithms)), draw(st.sampled_from(algorithms))
    if one == two:
        return {"quant_method": "modelopt", "quant_algo": one, "group_size": 32, "ignore": ["lm_head"]}, *MODEL_OPT[one]
    listed = {
        name: {"quant_algo": one if "self_attn" in name else two, "group_size": 32} for name, _, _ in model.linears
    }
    config = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": listed}
    packs, schemes = ({"self_attn": MODEL_OPT[one][n], "mlp": MODEL_OPT[two][n]} for n in (0, 1))
    return config, packs, schemes


def of_bitsandbytes(draw, model):
    if draw(st.booleans()):
        return {"quant_method": "bitsandbytes", "load_in_8bit": True}, llm_int8, "INT8"
    kind, size = draw(st.sampled_from(["nf4", "fp4"])), draw(st.sampled_from([64, 128]))
    config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}
    storage, nested = draw(st.sampled_from(["U8", "BF16", "F32"])), draw(st.booleans())
    return config, bitsandbytes(kind, size, nested=nested, storage=storage), f"{kind.upper()} g{size}"


def of_mlx(draw, model):
    bits, other, size = draw(st.sampled_from([2, 3, 4, 5, 6, 8])), draw(st.sampled_from([4, 8])), 32
    config = {"bits": bits, "group_size": size}
    config |= {name: {"bits": other, "group_size": size} for name, _, _ in model.linears if "self_attn" in name}
    packs = {"self_attn": mlx(other, size), "mlp": mlx(bits, size)}
    return config, packs, {"self_attn": label(other, size), "mlp": label(bits, size)}


def of_fp8(draw, model):
    if draw(st.booleans()):
        return {"quant_method": "fp8", "activation_scheme": "static"}, fp8_tensor, "FP8"
    rows, columns = draw(st.sampled_from([(128, 128), (64, 32), (1, 64)]))
    config = {"quant_method": "fp8", "weight_block_size": [rows, columns]}
    return config, fp8_blocks(rows, columns), f"FP8 block {rows}x{columns}"


def of_quark(draw, model):
    weight = {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}
    config = {"quant_method": "quark", "global_quant_config": {"weight": weight}, "exclude": ["lm_head"]}
    return config, quark_mxfp4, "MXFP4 g32"


def of_torchao(draw, model):
    size = draw(st.sampled_from([None, 32]))
    kind = "Int8WeightOnlyConfig" if size is None else "Int8DynamicActivationIntxWeightConfig"
    config = {"quant_method": "torchao", "quant_type": {"default": {"_type": kind, "_data": {}}}}
    return config, torchao_bytes(size), "INT4 g32" if size else "INT8"


FAMILIES = (
    of_compressed_tensors,
    of_sparse,
    of_gptq,
    of_awq,
    of_auto_round,
    of_model_optimizer,
    of_bitsandbytes,
    of_mlx,
    of_fp8,
    of_quark,
    of_torchao,
)


@st.composite
def layouts(draw):
    """A checkpoint in any of them, with some layers left unquantized where the config can state that."""
    model, family = draw(models()), draw(st.sampled_from(FAMILIES))
    quantization, pack, scheme = family(draw, model)
    metadata = {}
    if family is of_torchao and scheme != "INT8":
        target = {"target_dtype": {"_type": "torch.dtype", "_data": "int4"}}
        metadata = torchao_notes(model, "IntxUnpackedToInt8Tensor", 32, **target)
    elif family is of_torchao:
        metadata = torchao_notes(model, "Int8Tensor")
    left_out = {
        of_compressed_tensors: "ignore",
        of_model_optimizer: "exclude_modules",
        of_awq: "modules_to_not_convert",
    }
    name = None
    if family in left_out and quantization.get("quant_algo") != "MIXED_PRECISION" and draw(st.booleans()):
        name = draw(st.sampled_from([name for name, _, _ in model.linears]))
        quantization = {**quantization, left_out[family]: [*quantization.get(left_out[family], ()), name]}
    return build(model, quantization, pack, scheme, plain=lambda layer: layer == name, metadata=metadata)


JUNK = st.sampled_from([None, 0, -1, 3, 10**12, 2.5, True, "", "4", "x", [], [1], ["x"], {}, {"x": 1}, [[]], [None]])


@st.composite
def damaged(draw):
    """A layout with something wrong in its config or its tensors, and the kind of damage."""
    layout = draw(layouts())
    kind = draw(st.sampled_from(sorted(DAMAGES)))
    return DAMAGES[kind](draw, layout), kind


def other_value(draw, layout):
    """Any value for a key of the quantization_config, at any depth."""
    return replace(layout, quantization=_changed(draw, layout.quantization))


def _changed(draw, written):
    key = draw(st.sampled_from(sorted(written)))
    if isinstance(written[key], dict) and written[key] and draw(st.booleans()):
        return {**written, key: _changed(draw, written[key])}
    return {**written, key: draw(JUNK)}


def other_model_config(draw, layout):
    """Except whether embeddings are tied, which changes the truth."""
    keys = sorted({*layout.model.config} - {"tie_word_embeddings"})
    return replace(layout, config={draw(st.sampled_from(keys)): draw(JUNK)})


def other_family(draw, layout):
    quantization, _, _ = draw(st.sampled_from(FAMILIES))(draw, layout.model)
    return replace(layout, quantization=quantization)


def no_config(draw, layout):
    return replace(layout, quantization=None)


def _quantized(layout):
    """The tensors of quantized layers: that a whole unquantized layer is missing can't be seen."""
    plain = {f"{name}.weight" for name, scheme in layout.schemes.items() if scheme in FLOATS.values()}
    return [name for name in layout.tensors if name not in layout.model.others and name not in plain]


def missing_tensor(draw, layout):
    gone = draw(st.sampled_from(_quantized(layout)))
    return replace(layout, tensors={name: tensor for name, tensor in layout.tensors.items() if name != gone})


def other_tensor(draw, layout):
    """Another type or shape of a quantized layer's tensor. With one scale for all weights, any shape is possible."""
    name = draw(st.sampled_from(_quantized(layout)))
    dtype, shape, _ = layout.tensors[name]
    if any(math.prod(layout.tensors.get(f"{name}{end}", ("", [0]))[1]) == 1 for end in ("_scale", "_scale_inv")):
        return replace(layout, tensors={**layout.tensors, name: stored("I32", *shape)})
    dtype = draw(st.sampled_from([dtype, "BF16", "I32", "U8", "F8_E4M3", "I8"]))
    shape = draw(st.sampled_from([shape, [], [0], shape[::-1], [*shape, 2], [2 * length for length in shape], [7, 5]]))
    return replace(layout, tensors={**layout.tensors, name: stored(dtype, *shape)})


def further_tensor(draw, layout):
    name = draw(st.sampled_from([name for name, scheme in layout.schemes.items() if scheme not in FLOATS.values()]))
    role = draw(st.sampled_from(["codebook", "scales", "weight_zero", "qzeros", "lora_A.weight"]))
    return replace(layout, tensors={f"{name}.{role}": stored("F16", 8, 4), **layout.tensors})


DAMAGES = {
    "another value in the quantization_config": other_value,
    "another value in config.json": other_model_config,
    "another family's config": other_family,
    "no quantization_config": no_config,
    "a tensor is missing": missing_tensor,
    "another type or shape": other_tensor,
    "a further tensor": further_tensor,
}
