"""Export a small Llama checkpoint to ExecuTorch in Meta's Llama 3.2 scheme: `python examples/export_executorch.py`.

The scheme: linear layers in 4 bits with a scale for each group of 32, on 8-bit activations scaled token by token; the
embeddings in 8 bits, the lm_head in 8 bits on 8-bit activations, both with a scale per channel. The weights are only
rounded to the nearest value: Meta's own checkpoints (SpinQuant, QLoRA) were trained or rotated to lose less.

Needs the packages executorch and safetensors. SmolLM2-135M takes one core 22 minutes, and two of its layers a minute
and a half. docs/mobile.md shows how to export Meta's own checkpoints, and how to compare the program.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from executorch.extension.llm.export.config import llm_config as settings
from executorch.extension.llm.export.export_llm import export_llama
from safetensors.torch import load_file
from torchao.quantization.quant_primitives import MappingType, choose_qparams_affine, quantize_affine

GROUP_SIZE = 32
NAMES = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""Hugging Face's names of a layer's parts, and Meta's."""


def metas_parameters(config: dict[str, Any], layers: int) -> dict[str, Any]:
    """The `params.json` of Meta's checkpoints from a Hugging Face `config.json`."""
    return {
        "dim": config["hidden_size"],
        "hidden_dim": config["intermediate_size"],
        "n_layers": layers,
        "n_heads": config["num_attention_heads"],
        "n_kv_heads": config["num_key_value_heads"],
        "head_dim": config["head_dim"],
        "norm_eps": config["rms_norm_eps"],
        "rope_theta": (config.get("rope_parameters") or config)["rope_theta"],
        "vocab_size": config["vocab_size"],
        "quantization_args": {"group_size": GROUP_SIZE},
    }


def metas_weights(model: Path, config: dict[str, Any], layers: int) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of the first layers in float32, under Meta's names and with Meta's order of the rotary dimensions."""
    stored = [item for file in sorted(model.glob("model*.safetensors")) for item in load_file(file).items()]
    weights = {name.removesuffix(".weight"): weight for name, weight in stored}
    yield "norm", weights["model.norm"].float()  # first: the exporter takes the checkpoint's type from its first tensor
    yield "tok_embeddings", weights["model.embed_tokens"].float()
    yield "output", weights.get("lm_head", weights["model.embed_tokens"]).float()
    for layer in range(layers):
        for hf_name, metas in NAMES.items():
            weight = weights[f"model.layers.{layer}.{hf_name}"].float()
            if metas in ("attention.wq", "attention.wk"):
                weight = interleaved(weight, config["head_dim"])
            yield f"layers.{layer}.{metas}", weight


def interleaved(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """A projection's rows in Meta's order: the two numbers that are rotated together are neighbours.

    Hugging Face keeps the first numbers of all pairs, then the second ones.
    """
    return weight.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).reshape(weight.shape)


def rounded(name: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """A weight and its scales in the layout of Meta's quantized checkpoints; the norms stay as they are."""
    if weight.dim() == 1:
        return {f"{name}.weight": weight}
    per_channel = name in ("tok_embeddings", "output")
    bits, block = (8, weight.shape[1]) if per_channel else (4, GROUP_SIZE)
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scales, zeros = choose_qparams_affine(weight, MappingType.SYMMETRIC, (1, block), torch.int8, least, most)
    whole = quantize_affine(weight, (1, block), scales, zeros, torch.int8, least, most)
    parts = {f"{name}.weight": whole, f"{name}.scales": scales.squeeze(-1)}
    if name != "tok_embeddings":  # it has no place for zero points; a linear layer without them can't be exported
        parts[f"{name}.zeros"] = torch.zeros_like(parts[f"{name}.scales"])
    return parts


def main() -> None:
    """Convert, round and export."""
    models = Path(__file__).resolve().parent.parent / "models"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=models / "smollm2-135m", help="a Llama checkpoint")
    parser.add_argument("target", type=Path, nargs="?", help="the .pte file (models/NAME-executorch.pte)")
    parser.add_argument("--layers", type=int, help="export only the first layers, to test the export")
    parser.add_argument("--context", type=int, default=2048, help="the longest prompt plus answer, in tokens")
    parser.add_argument("--at-once", type=int, default=128, help="the most tokens that one call may take")
    parser.add_argument("--float", choices=("fp32", "bf16"), help="export the weights as they are, as a baseline")
    parser.add_argument("--last-logits", action="store_true", help="leave out the logits for fast teacher forcing")
    chosen = parser.parse_args()
    config = json.loads((chosen.model / "config.json").read_text())
    layers = chosen.layers or config["num_hidden_layers"]
    name = f"{chosen.model.name}-{layers}-layers" if chosen.layers else chosen.model.name
    name += f"-{chosen.float}" if chosen.float else ""
    target = (chosen.target or models / f"{name}-executorch.pte").resolve()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        checkpoint, parameters = Path(scratch, "rounded.pth"), Path(scratch, "params.json")
        parts: dict[str, torch.Tensor] = {}
        for tensor_name, weight in metas_weights(chosen.model, config, layers):
            parts |= {f"{tensor_name}.weight": weight} if chosen.float else rounded(tensor_name, weight)
        torch.save(parts, checkpoint)
        parameters.write_text(json.dumps(metas_parameters(config, layers)))
        ends = config["eos_token_id"]
        export = settings.LlmConfig()
        export.base = settings.BaseConfig(
            model_class=settings.ModelType.llama3_2,
            checkpoint=str(checkpoint),
            params=str(parameters),
            metadata=json.dumps({"get_eos_ids": ends if isinstance(ends, list) else [ends]}),
        )
        if not chosen.float:
            export.base.preq_mode = settings.PreqMode.preq_8da4w_out_8da8w
            export.base.preq_group_size = GROUP_SIZE
            export.base.preq_embedding_quantize = "8,0"
        export.model = settings.ModelConfig(
            use_kv_cache=True,
            use_sdpa_with_kv_cache=True,
            dtype_override=settings.DtypeOverride(chosen.float or "fp32"),
        )
        export.export = settings.ExportConfig(
            max_seq_length=chosen.at_once,
            max_context_length=chosen.context,
            output_dir=scratch,
            output_name=f"{scratch}/model.pte",
        )
        export.debug = settings.DebugConfig(generate_full_logits=not chosen.last_logits)
        if not chosen.float:  # "the checkpoint is quantized already"
            export.quantization = settings.QuantizationConfig(use_qat=True)
        export.backend.xnnpack = settings.XNNPackConfig(enabled=True, extended_ops=False)
        export_llama(export)
        Path(scratch, "model.pte").rename(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
