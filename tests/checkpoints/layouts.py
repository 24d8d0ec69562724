"""Tiny checkpoints in the layouts of real ones, with what they truly are: a few KB each, zeros for weights.

The truth of each layout (parameters, scheme of every layer) comes from the shapes that went in.
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


def without(model: Model, layout: Layout, scheme: str = "BF16") -> Layout:
    """The same config over weights that aren't quantized."""
    tensors = {f"{name}.weight": stored(model.dtype, rows, columns) for name, rows, columns in model.linears}
    return replace(layout, tensors={**model.others, **tensors}, schemes=dict.fromkeys(layout.schemes, scheme))
