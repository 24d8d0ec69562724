"""All checkpoints of the study, on the GPU host, from the two models' weights in BF16.

    python benchmarks/study_2026/checkpoints.py WORK CARRIED [NAME ...]

CARRIED has models/smollm2-135m (of examples/make_models.py), gemma/gemma.gguf with models/gemma-3-270m (its tokenizer
and config), and models/NAME-gptq with the linear layers that gptq.py wrote. Everything else is rounded to nearest here.
A checkpoint appears in WORK/models by rename: complete or absent. One that fails leaves NAME.failed and costs no other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "benchmarks")]
S, G, P = "smollm2-135m", "gemma-3-270m", "smollm2-135m-padded"
COMPLETE = "complete"
"""The mark that none of the others will come."""
Recipe = Callable[[Path], object]
GEMMA_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
"""What a GGUF calls Gemma's tensors, and what transformers does."""


def main() -> None:
    """Make the checkpoints that are named, or all that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("carried", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1")
    models = chosen.work / "models"
    models.mkdir(parents=True, exist_ok=True)
    recipes = recipes_of(models, chosen.carried)
    for name in chosen.names or recipes:
        if not (models / name).exists():
            make(models, name, recipes[name])
    (models / COMPLETE).touch()
    print("made all", flush=True)


def make(models: Path, name: str, recipe: Recipe) -> None:
    """One checkpoint, or the reason why there is none."""
    import torch

    began, draft = time.monotonic(), models / f".{name}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        with torch.no_grad():
            recipe(draft)
        draft.rename(models / name)
        print(f"made {name} in {time.monotonic() - began:.1f} s", flush=True)
    except Exception:  # one format's failure costs no other
        (models / f"{name}.failed").write_text(traceback.format_exc())
        print(f"FAILED {name}\n{traceback.format_exc()[-1500:]}", flush=True)


def recipes_of(models: Path, carried: Path) -> dict[str, Recipe]:
    """How each checkpoint is made, those first that are needed first."""
    import make_models
    import rounded_checkpoints as rounded

    make_models.MODELS = models

    def integers(base: str, group_size: int) -> Recipe:
        weights = {**make_models.INT4, "group_size": group_size}
        return lambda folder: make_models.quantize(base, folder, weights=weights)

    recipes: dict[str, Recipe] = {
        S: lambda folder: shutil.copytree(carried / "models" / S, folder, dirs_exist_ok=True),
        P: partial(rounded.pad, models / S),
        G: partial(gemma, carried / "gemma" / "gemma.gguf", carried / "models" / G),
    }
    for name in ("w8a8-int8", "w4a16-g64", "w8a8-fp8", "w4a16-g64-gptq", "w4a16-g32", "w4a16-g32-gptq"):
        for base in (S, G):
            scheme = make_models.SCHEMES.get(name)
            recipes[f"{base}-{name}"] = (
                partial(make_models.quantize, base, **scheme)
                if scheme
                else partial(calibrated, models / base, carried / "models" / f"{base}-{name}")
                if name.endswith("gptq")
                else integers(base, int(name.rpartition("g")[2]))
            )
    for name in ("fp8-block", "w4a8-fp8", "nvfp4a16"):
        for base in (G, P):
            recipes[f"{base}-{name}"] = lambda folder, base=base, name=name: rounded.write(models / base, folder, name)
    return recipes | {f"{base}-w4a16-g128": integers(base, 128) for base in (G, P)}


def calibrated(base: Path, carried: Path, folder: Path) -> None:
    """A GPTQ checkpoint: the carried linear layers, and the base model's other tensors."""
    from safetensors.torch import load_file, save_file

    linear, tensors = load_file(carried / "linear.safetensors"), load_file(base / "model.safetensors")
    layers = {name.rpartition(".")[0] for name in linear}
    others = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] not in layers}
    quantization: dict[str, Any] = json.loads((carried / "quantization.json").read_text())
    with_config(base, folder, {"quantization_config": quantization})
    save_file({**others, **linear}, folder / "model.safetensors", metadata={"format": "pt"})


def gemma(source: Path, described: Path, folder: Path) -> None:
    """Gemma 3 270M in BF16 from its GGUF, without accelerate; equal bit by bit to what transformers makes of it."""
    import gguf
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for tensor in gguf.GGUFReader(source).tensors:
        values = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy()).float()
        name = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}.get(
            tensor.name
        )
        if name is None:
            _, number, kind, _ = tensor.name.split(".")
            name = f"model.layers.{number}.{GEMMA_NAMES[kind]}.weight"
        tensors[name] = (values - 1 if "norm" in name else values).bfloat16().contiguous()  # GGUFs store norms plus 1
    with_config(described, folder, {})
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def with_config(base: Path, folder: Path, more: dict[str, Any]) -> None:
    """Tokenizer and config of a model, with additional keys."""
    shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    config = json.loads((base / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **more}, indent=1))


if __name__ == "__main__":
    main()
