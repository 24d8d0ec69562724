"""A checkpoint's tensors, grouped into layers with a name and a kind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fidelity.checkpoints.tensors import Tensor

KINDS = {
    "embedding": r"embed|token_embd|wte\b|wpe\b",
    "lm_head": r"lm_head|^output$",
    "norm": r"norm|\bln_",
    "router": r"router|(mlp|moe|ffn|feed_forward)\.gate$|expert_gate$|ffn_gate_inp",
    "experts": r"experts?\b|_exps|_shexp|switch_(mlp|glu)",
    "attention": r"attn|attention",
    "mlp": r"mlp|ffn|feed_forward",
}
"""The kind of a layer by its name in Hugging Face checkpoints and GGUF; the first match counts."""
ROLES = (
    r"q?weight|bias|weight_packed|weight_scale(_2|_inv)?|weight_global_scale|weight_zero_point|weight_g_idx|weight_shape"
    r"|scale|scales|scale_inv|scale_packed|zeros|qzeros|biases|g_idx|meta|compressed|bitmask|shape|row_offsets|blocks"
    r"|input_scale|input_zero_point|input_global_scale|output_scale|pre_quant_scale|SCB|weight_format"
    r"|activation_scale|qscale_weight|qscale_act"
    r"|[kvq]_scale|kv_scale|prob_scale|[kv]_zero_point|absmax|quant_map|nested_absmax|nested_quant_map"
    r"|_weight_\w+|weight_bitmask|weight_compressed"
)
"""The role of a tensor in its layer, by the last word of its name."""
FUSED = re.compile(rf"(?P<layer>.+\.(\w*_proj|w\d+))_(?P<role>{ROLES})")
"""For experts in one tensor, name and role are joined by an underscore: `experts.gate_up_proj_blocks`."""
KV_SCALES = {"k_scale", "v_scale", "kv_scale", "q_scale", "prob_scale", "k_zero_point", "v_zero_point"}
"""Tensors that scale the KV cache (and the queries) rather than weights."""
OUTPUT_SCALES = re.compile(r"(?P<layer>.+\.(?P<side>[kv])_proj)\.output_scale")
"""Names of Quark and of older compressed-tensors for the scales of the KV cache: the outputs of these layers."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight with the tensors that describe it."""

    name: str
    kind: str
    tensors: Mapping[str, Tensor]
    """The tensors by role: `weight`, `weight_scale`, `qzeros`, `bias`."""

    @property
    def pattern(self) -> str:
        """Its name with `*` for every number, which is equal in every block of the model."""
        return re.sub(r"\b\d+\b", "*", self.name)

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for role, tensor in self.tensors.items() if role not in KV_SCALES)


def layers_of(tensors: Mapping[str, Tensor]) -> list[Layer]:
    """All layers, in the order of their first tensors."""
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        layer, role = layer_and_role(name)
        grouped.setdefault(layer, {})[role] = tensor
    return [Layer(name, kind_of(name), own) for name, own in grouped.items()]


def layer_and_role(tensor: str) -> tuple[str, str]:
    """`mlp.experts.down_proj_scales` is the `scales` of `mlp.experts.down_proj`; a bare name is a weight itself.

    `k_proj.output_scale` is the `k_scale` of `k_proj`.
    """
    if cache := OUTPUT_SCALES.fullmatch(tensor):
        return cache["layer"], f"{cache['side']}_scale"
    if fused := FUSED.fullmatch(tensor):
        return fused["layer"], fused["role"]
    prefix, dot, last = tensor.rpartition(".")
    if dot and re.fullmatch(ROLES, last):
        owner, _, between = prefix.rpartition(".")
        return (owner, f"{between}.{last}") if between == "weight" else (prefix, last)
    if noted := re.fullmatch(r"(.+?)\.((?:weight\.)?quant_state\.\w+)", tensor):
        return noted[1], noted[2]
    return tensor, "weight"


def kind_of(layer: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, layer)), "other")
