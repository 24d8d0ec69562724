"""Tiny checkpoints in the layouts of real ones, with what they truly are: a few KB each, zeros for weights.

Every packing here is written from its format's own description, without fidelity's resolvers: the truth of each
layout (parameters, scheme of every layer) comes from the shapes that went in.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ITEM = {"F32": 4, "I32": 4, "U32": 4, "BF16": 2, "F16": 2, "I16": 2, "I64": 8}
"""Bytes of an element; one where nothing is listed."""
Tensors = dict[str, tuple[str, list[int], bytes | None]]
"""Type, shape, and content where it isn't zeros."""


def stored(dtype, *shape, content=None):
    return dtype, list(shape), content


def whole_numbers(*numbers):
    return stored("I64", len(numbers), content=struct.pack(f"<{len(numbers)}q", *numbers))


@dataclass(frozen=True)
class Model:
    """A Llama, or a mixture of experts where there are any."""

    hidden: int = 128
    intermediate: int = 256
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    vocabulary: int = 160
    tied: bool = False
    experts: int = 0
    dtype: str = "BF16"

    @property
    def config(self):
        names = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
        experts = {"num_local_experts": self.experts, "model_type": "some_moe"} if self.experts else {}
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": self.tied,
            "torch_dtype": names[self.dtype],
            **experts,
        }

    @property
    def linears(self):
        """Name, outputs, inputs of every linear layer that quantizers take."""
        head = self.hidden // self.heads
        for layer in range(self.layers):
            attention, mlp = f"model.layers.{layer}.self_attn.", f"model.layers.{layer}.mlp."
            yield attention + "q_proj", self.hidden, self.hidden
            yield attention + "k_proj", self.kv_heads * head, self.hidden
            yield attention + "v_proj", self.kv_heads * head, self.hidden
            yield attention + "o_proj", self.hidden, self.hidden
            for block in [f"{mlp}experts.{n}." for n in range(self.experts)] or [mlp]:
                yield block + "gate_proj", self.intermediate, self.hidden
                yield block + "up_proj", self.intermediate, self.hidden
                yield block + "down_proj", self.hidden, self.intermediate

    @property
    def others(self) -> Tensors:
        """Embeddings, norms, routers, lm_head: what is never quantized here."""
        plain = {"model.embed_tokens.weight": stored(self.dtype, self.vocabulary, self.hidden)}
        for layer in range(self.layers):
            for norm in ("input_layernorm", "post_attention_layernorm"):
                plain[f"model.layers.{layer}.{norm}.weight"] = stored(self.dtype, self.hidden)
            if self.experts:
                plain[f"model.layers.{layer}.mlp.gate.weight"] = stored(self.dtype, self.experts, self.hidden)
        plain["model.norm.weight"] = stored(self.dtype, self.hidden)
        if not self.tied:
            plain["lm_head.weight"] = stored(self.dtype, self.vocabulary, self.hidden)
        return plain


@dataclass(frozen=True)
class Layout:
    """A checkpoint that can be written, and the truth about it."""

    model: Model
    quantization: Mapping | None
    tensors: Tensors
    schemes: Mapping[str, str]
    """Each linear layer's scheme, in fidelity's words."""
    headline: str | None = None
    config: Mapping = field(default_factory=dict)
    """Further keys of config.json."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Further files."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the safetensors header."""
    extra_parameters: int = 0

    @property
    def parameters(self):
        rows = sum(outputs * inputs for _, outputs, inputs in self.model.linears)
        return rows + sum(math.prod(shape) for _, shape, _ in self.model.others.values()) + self.extra_parameters

    @property
    def tensor_bytes(self):
        return sum(math.prod(shape) * ITEM.get(dtype, 1) for dtype, shape, _ in self.tensors.values())

    def write(self, folder: Path) -> Path:
        """With weights of zeros that take no place on disk."""
        folder.mkdir(parents=True, exist_ok=True)
        stated = {} if self.quantization is None else {"quantization_config": self.quantization}
        (folder / "config.json").write_text(json.dumps({**self.model.config, **stated, **self.config}))
        for name, text in self.files.items():
            (folder / name).write_text(text)
        write_safetensors(folder / "model.safetensors", self.tensors, self.metadata)
        return folder


def write_safetensors(file: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
    header, end, contents = {}, 0, []
    for name, (dtype, shape, content) in tensors.items():
        size = math.prod(shape) * ITEM.get(dtype, 1)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        if content is not None:
            assert len(content) == size, name
            contents.append((end, content))
        end += size
    text = json.dumps({"__metadata__": {"format": "pt", **(metadata or {})}, **header}).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for begin, content in contents:
            stream.seek(8 + len(text) + begin)
            stream.write(content)
        stream.truncate(8 + len(text) + end)


Pack = Callable[[int, int], Tensors]
"""Outputs and inputs of a layer to its tensors, by the ends of their names."""


def build(
    model: Model,
    quantization: Mapping | None,
    pack: Pack | Mapping[str, Pack],
    scheme: str | Mapping[str, str],
    headline: str | None = None,
    *,
    plain: Callable[[str], bool] = lambda name: False,
    **more,
) -> Layout:
    """All linear layers packed in one way, or by the first word of a mapping that is in a name; some left `plain`."""
    tensors, schemes = {}, {}
    for name, outputs, inputs in model.linears:
        kind = next((word for word in pack if word in name), "") if isinstance(pack, Mapping) else ""
        packing = pack.get(kind) if isinstance(pack, Mapping) else pack
        if packing is None or plain(name):
            tensors[f"{name}.weight"] = stored(model.dtype, outputs, inputs)
            schemes[name] = {"BF16": "BF16", "F16": "FP16", "F32": "FP32"}[model.dtype]
            continue
        tensors |= {name + end: tensor for end, tensor in packing(outputs, inputs).items()}
        schemes[name] = scheme if isinstance(scheme, str) else scheme[kind]
    tensors |= more.pop("extra_tensors", {})
    return Layout(model, quantization, {**model.others, **tensors}, schemes, headline, **more)


# ---- compressed-tensors


def group(bits, kind="int", strategy="channel", inputs=None, targets=("Linear",), **more):
    weights = {"num_bits": bits, "type": kind, "strategy": strategy, "symmetric": True, "dynamic": False, **more}
    return {"targets": list(targets), "weights": weights, "input_activations": inputs, "output_activations": None}


def compressed(*groups, format="pack-quantized", ignore=("lm_head",), **more):
    return {
        "quant_method": "compressed-tensors",
        "format": format,
        "quantization_status": "compressed",
        "ignore": list(ignore),
        "config_groups": {f"group_{n}": one for n, one in enumerate(groups)},
        **more,
    }


TOKEN_INT8 = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}
TOKEN_FP8 = {**TOKEN_INT8, "type": "float"}
LOCAL_FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "dynamic": "local"}


def int_packed(bits, size=None, *, shape=True, zeros=False):
    """32 // bits weights an integer, the last of a row padded; scales per group or row."""

    def pack(outputs, inputs):
        groups = inputs // size if size else 1
        tensors = {
            ".weight_packed": stored("I32", outputs, math.ceil(inputs / (32 // bits))),
            ".weight_scale": stored("BF16", outputs, groups),
            ".weight_shape": whole_numbers(outputs, inputs) if shape else stored("I64", 2),
        }
        if zeros:
            tensors[".weight_zero_point"] = stored("I32", math.ceil(outputs / (32 // bits)), groups)
        return tensors

    return pack


def int8(outputs, inputs):
    return {".weight": stored("I8", outputs, inputs), ".weight_scale": stored("BF16", outputs, 1)}


def fp8_rows(outputs, inputs):
    return {".weight": stored("F8_E4M3", outputs, inputs), ".weight_scale": stored("BF16", outputs, 1)}


def fp8_tensor(outputs, inputs):
    return {
        ".weight": stored("F8_E4M3", outputs, inputs),
        ".weight_scale": stored("F32"),
        ".input_scale": stored("F32"),
    }


def fp8_blocks(rows=128, columns=128, name="weight_scale_inv"):
    def pack(outputs, inputs):
        scale = stored("F32", math.ceil(outputs / rows), math.ceil(inputs / columns))
        return {".weight": stored("F8_E4M3", outputs, inputs), f".{name}": scale}

    return pack


def nvfp4(outputs, inputs):
    return {
        ".weight_packed": stored("U8", outputs, inputs // 2),
        ".weight_scale": stored("F8_E4M3", outputs, inputs // 16),
        ".weight_global_scale": stored("F32", 1),
        ".input_global_scale": stored("F32", 1),
    }


def mxfp4(outputs, inputs):
    return {".weight_packed": stored("U8", outputs, inputs // 2), ".weight_scale": stored("U8", outputs, inputs // 32)}


def mxfp8(outputs, inputs):
    return {".weight": stored("F8_E4M3", outputs, inputs), ".weight_scale": stored("U8", outputs, inputs // 32)}


def bitmask(outputs, inputs, dtype="F8_E4M3"):
    scale = {".weight_scale": stored("BF16", outputs, 1)} if dtype == "F8_E4M3" else {}
    return {
        ".compressed": stored(dtype, outputs, inputs // 2),
        ".bitmask": stored("U8", outputs, math.ceil(inputs / 8)),
        ".shape": stored("I64", 2, 1, content=struct.pack("<2q", outputs, inputs)),
        **scale,
    }


def marlin_24(bits, size):
    """vLLM's gptq_marlin_24: half of the inputs in tiles of 16, 32 // bits weights an integer."""

    def pack(outputs, inputs):
        return {
            ".weight_packed": stored("I32", inputs // 16 // 2, outputs * 16 // (32 // bits)),
            ".scale_packed": stored("F16", inputs // size if size else 1, outputs),
            ".meta": stored("I16", inputs // 8 // 2 // 2, outputs * 2),
        }

    return pack


# ---- other families


def awq(bits, size, version="gemm"):
    def pack(outputs, inputs):
        each = 32 // bits
        if version == "gemv":
            return {
                ".qweight": stored("I32", outputs, inputs // each),
                ".qzeros": stored("I32", outputs, max(1, inputs // size // each)),
                ".scales": stored("F16", outputs, max(each, inputs // size)),
            }
        return {
            ".qweight": stored("I32", inputs, outputs // each),
            ".qzeros": stored("I32", inputs // size, outputs // each),
            ".scales": stored("F16", inputs // size, outputs),
        }

    return pack


def gptq(bits, size=None, *, g_idx=True):
    def pack(outputs, inputs):
        groups = math.ceil(inputs / size) if size else 1
        tensors = {
            ".qweight": stored("I32", inputs * bits // 32, outputs),
            ".qzeros": stored("I32", groups, outputs * bits // 32),
            ".scales": stored("F16", groups, outputs),
        }
        return {**tensors, ".g_idx": stored("I32", inputs)} if g_idx else tensors

    return pack


def modelopt_nvfp4(outputs, inputs):
    return {
        ".weight": stored("U8", outputs, inputs // 2),
        ".weight_scale": stored("F8_E4M3", outputs, inputs // 16),
        ".weight_scale_2": stored("F32"),
        ".input_scale": stored("F32"),
    }


def modelopt_int4(size):
    """Model Optimizer's AWQ: two outputs a byte."""

    def pack(outputs, inputs):
        return {
            ".weight": stored("U8", outputs // 2, inputs),
            ".weight_scale": stored("F32", outputs, inputs // size),
            ".pre_quant_scale": stored("BF16", inputs),
        }

    return pack


def quark_mxfp4(outputs, inputs):
    return {".weight": stored("U8", outputs, inputs // 2), ".weight_scale": stored("U8", outputs, inputs // 32)}


def bitsandbytes(kind="nf4", size=64, *, nested=True, storage="U8", noted=True):
    def pack(outputs, inputs):
        count = outputs * inputs
        scales = math.ceil(count / size)
        state = json.dumps({"quant_type": kind, "blocksize": size, "dtype": "bfloat16", "shape": [outputs, inputs]})
        tensors = {
            ".weight": stored(storage, count // 2 // ITEM.get(storage, 1), 1),
            ".weight.absmax": stored("U8" if nested else "F32", scales),
            ".weight.quant_map": stored("F32", 16),
            f".weight.quant_state.bitsandbytes__{kind}": stored(
                "U8", len(state), content=state.encode() if noted else None
            ),
        }
        if nested:
            tensors[".weight.nested_absmax"] = stored("F32", math.ceil(scales / 256))
            tensors[".weight.nested_quant_map"] = stored("F32", 256)
        return tensors

    return pack


def llm_int8(outputs, inputs):
    return {
        ".weight": stored("I8", outputs, inputs),
        ".SCB": stored("F32", outputs),
        ".weight_format": stored("U8"),
    }


def mlx(bits, size, *, mode="affine"):
    def pack(outputs, inputs):
        scale = "BF16" if mode == "affine" else "U8"
        tensors = {
            ".weight": stored("U32", outputs, inputs * bits // 32),
            ".scales": stored(scale, outputs, inputs // size),
        }
        return {**tensors, ".biases": stored("BF16", outputs, inputs // size)} if mode == "affine" else tensors

    return pack


def fused_mxfp4(model):
    """gpt-oss: all experts of a layer in one tensor, blocks and scales, with biases."""
    tensors: Tensors = {}
    for layer in range(model.layers):
        experts = f"model.layers.{layer}.mlp.experts."
        for name, outputs, inputs in (
            ("gate_up_proj", 2 * model.intermediate, model.hidden),
            ("down_proj", model.hidden, model.intermediate),
        ):
            tensors[f"{experts}{name}_blocks"] = stored("U8", model.experts, outputs, inputs // 32, 16)
            tensors[f"{experts}{name}_scales"] = stored("U8", model.experts, outputs, inputs // 32)
            tensors[f"{experts}{name}_bias"] = stored("BF16", model.experts, outputs)
    return tensors


def kv_scales(model, form="{attention}.{side}_scale", value=0.5):
    """One scale a side of every layer's cache."""
    content = struct.pack("<f", value)
    return {
        form.format(attention=f"model.layers.{layer}.self_attn", side=side): stored("F32", 1, content=content)
        for layer in range(model.layers)
        for side in "kv"
    }


FP8_CACHE = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}


def torchao_notes(model, kind, size=None, **attributes):
    """What torchao writes into the header, a JSON for each tensor; without `size` a scale is for a row."""
    return {
        f"{name}.weight": json.dumps(
            {
                "_type": kind,
                "_data": {"block_size": [1, size or inputs], **attributes},
                "_tensor_data_names": ["qdata", "scale"],
            }
        )
        for name, _, inputs in model.linears
    }


def torchao_bytes(size=None, dtype="I8"):
    def pack(outputs, inputs):
        return {
            "._weight_qdata": stored(dtype, outputs, inputs),
            "._weight_scale": stored("F32", outputs, inputs // size if size else 1),
            "._weight_zero_point": stored("I8", outputs, inputs // size if size else 1),
        }

    return pack


def without(model: Model, layout: Layout, scheme: str = "BF16") -> Layout:
    """The same config over weights that aren't quantized."""
    tensors = {f"{name}.weight": stored(model.dtype, rows, columns) for name, rows, columns in model.linears}
    return replace(layout, tensors={**model.others, **tensors}, schemes=dict.fromkeys(layout.schemes, scheme))
