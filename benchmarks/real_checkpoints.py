"""Bits and parameters of checkpoints that the libraries themselves write, against what these libraries state.

    python benchmarks/real_checkpoints.py FOLDER [LIBRARY ...] [--model models/smollm2-135m]

Cuts the model to two layers and quantizes it on the CPU with every scheme of each installed library. A row compares
fidelity's reading of the files with the library's own objects: the number format of the quantized layers and the
parameters of the unquantized model. Prints Markdown, writes FOLDER/real.json, and exits with 1 if a row differs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fidelity.checkpoints import FLOATS, dissect
from fidelity.errors import FidelityError

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = "not installed"


@dataclass(frozen=True)
class Row:
    """A scheme: the format of most quantized weights, and all parameters."""

    library: str
    scheme: str
    library_format: str
    fidelity_format: str
    library_parameters: int
    fidelity_parameters: int | None
    bits_per_weight: float | None

    @property
    def equal(self) -> bool:
        same = self.library_format == self.fidelity_format
        return same and self.library_parameters == self.fidelity_parameters


Stated = tuple[str, int | None]
"""The library's format in fidelity's words, and its parameters if they aren't the base model's."""
Schemes = Iterator[tuple[str, Callable[[], Stated]]]


def compressed_tensors(base: Path, folder: Path) -> Schemes:
    """The library's presets, with groups that divide the model's width."""
    from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES, preset_name_to_scheme

    def make(name: str) -> Stated:
        import torch
        from compressed_tensors.compressors import ModelCompressor
        from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config

        model = _model(base)
        scheme = preset_name_to_scheme(name, ["Linear"])
        if (scheme.weights.group_size or 0) > 32:
            scheme.weights.group_size = 64
        config = QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"])
        apply_quantization_config(model, config)
        with torch.no_grad():
            for module in model.modules():
                for role, value in module.named_parameters(recurse=False):
                    if hasattr(module, "quantization_scheme") and role.endswith("scale"):
                        value.fill_(1)
        compressor = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        model.save_pretrained(folder)
        compressor.update_config(str(folder))
        first = next(m.quantization_scheme for m in model.modules() if hasattr(m, "quantization_scheme"))
        return _of_arguments(first.weights, first.input_activations), None

    names = [name for name in PRESET_SCHEMES if name != "UNQUANTIZED"]
    return ((name, lambda name=name: make(name)) for name in names)


def _of_arguments(weights: Any, inputs: Any) -> str:
    kind = "FP" if str(getattr(weights.type, "value", weights.type)) == "float" else "INT"
    number = f"{kind}{weights.num_bits}"
    if kind == "FP" and weights.group_size:
        number = {16: "NV", 32: "MX"}[weights.group_size] + number
    size = f" g{weights.group_size}" if weights.group_size and weights.group_size > 0 else ""
    structure = weights.block_structure
    block = f" block {structure[0]}x{structure[1]}" if structure else ""
    return f"W{weights.num_bits}A{inputs.num_bits if inputs else 16}-{number}{size}{block}"


def torchao(base: Path, folder: Path) -> Schemes:
    """Configs that serialize to safetensors."""
    import torch
    import torchao.quantization as quantization

    configs = {
        "Int8WeightOnly": quantization.Int8WeightOnlyConfig(),
        "Int8DynamicActivationInt8Weight": quantization.Int8DynamicActivationInt8WeightConfig(),
        "Int8DynamicActivationIntxWeight": quantization.Int8DynamicActivationIntxWeightConfig(
            weight_dtype=torch.int4, weight_granularity=quantization.PerGroup(32)
        ),
        "Float8WeightOnly": quantization.Float8WeightOnlyConfig(),
        "Float8DynamicActivationFloat8Weight": quantization.Float8DynamicActivationFloat8WeightConfig(),
        **{
            f"IntxWeightOnly int{bits}": quantization.IntxWeightOnlyConfig(
                weight_dtype=getattr(torch, f"int{bits}"), granularity=quantization.PerGroup(32)
            )
            for bits in (2, 3, 4, 5, 6, 7, 8)
        },
    }

    def make(config: Any) -> Stated:
        from transformers import TorchAoConfig

        model = _model(base, quantization_config=TorchAoConfig(config))
        model.save_pretrained(folder)
        weight = model.model.layers[0].mlp.up_proj.weight.data
        target = str(getattr(weight, "target_dtype", "")).rpartition("int")[2]
        bits = int(target) if target.isdigit() else 8
        size = weight.block_size[-1] if weight.block_size[-1] < weight.shape[-1] else None
        inputs = getattr(weight, "activation_quantization", None) or getattr(weight, "act_quant_kwargs", None)
        kind = "FP" if "Float8" in type(weight).__name__ else "INT"
        return f"W{bits}A{8 if inputs else 16}-{kind}{bits}" + (f" g{size}" if size else ""), None

    return ((name, lambda config=config: make(config)) for name, config in configs.items())


def bitsandbytes(base: Path, folder: Path) -> Schemes:
    """NF4 and FP4, with and without nested scales, and LLM.int8()."""
    import bitsandbytes  # noqa: F401
    import torch

    def make(**keywords: Any) -> Stated:
        from transformers import BitsAndBytesConfig

        model = _model(base, quantization_config=BitsAndBytesConfig(**keywords), device_map="cpu")
        model.save_pretrained(folder)
        weight = model.model.layers[0].mlp.up_proj.weight
        if keywords.get("load_in_8bit"):
            return f"W8A8-{str(weight.data.dtype).removeprefix('torch.').upper()}", None
        state = weight.quant_state
        return f"W4A16-{state.quant_type.upper()} g{state.blocksize}", None

    four = {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.bfloat16}
    choices = {
        "NF4": {**four, "bnb_4bit_quant_type": "nf4"},
        "NF4, nested": {**four, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        "NF4 as BF16": {**four, "bnb_4bit_quant_type": "nf4", "bnb_4bit_quant_storage": torch.bfloat16},
        "FP4": {**four, "bnb_4bit_quant_type": "fp4"},
        "LLM.int8": {"load_in_8bit": True},
    }
    return ((name, lambda keywords=keywords: make(**keywords)) for name, keywords in choices.items())


def auto_round(base: Path, folder: Path) -> Schemes:
    """Round to nearest (iters=0) in its own presets, in its own formats."""
    import auto_round  # noqa: F401

    def make(bits: int, size: int, packing: str) -> Stated:
        from auto_round import AutoRound
        from transformers import AutoTokenizer

        rounding = AutoRound(
            _model(base),
            AutoTokenizer.from_pretrained(base),
            bits=bits,
            group_size=size,
            iters=0,
            disable_opt_rtn=True,
            device_map="cpu",
        )
        rounding.quantize_and_save(str(folder), format=packing)
        stated = next(one for name, one in rounding.layer_config.items() if "up_proj" in name)
        return f"W{stated['bits']}A16-INT{stated['bits']} g{stated['group_size']}", None

    cases = [(bits, 32, "auto_round") for bits in (2, 3, 4, 8)] + [(4, 32, "auto_gptq"), (4, 32, "auto_awq")]
    return ((f"W{b}A16 g{g} ({p})", lambda b=b, g=g, p=p: make(b, g, p)) for b, g, p in cases)


def modelopt(base: Path, folder: Path) -> Schemes:
    """Model Optimizer's configs that its export to Hugging Face's layout takes."""
    import modelopt.torch.quantization as quantization

    formats = {
        "FP8_DEFAULT_CFG": "W8A8-FP8",
        "NVFP4_DEFAULT_CFG": "W4A4-NVFP4 g16",
        "MXFP8_DEFAULT_CFG": "W8A8-MXFP8 g32",
        "FP8_PER_CHANNEL_PER_TOKEN_CFG": "W8A8-FP8",
        "INT8_SMOOTHQUANT_CFG": "W8A8-INT8",
    }

    def make(name: str) -> Stated:
        import torch
        from modelopt.torch.export import export_hf_checkpoint

        model = _model(base)
        tokens = torch.arange(1, 33)[None]
        quantization.quantize(model, getattr(quantization, name), lambda m: m(tokens))
        quantizer = model.model.layers[0].mlp.up_proj.weight_quantizer
        bits = quantizer.num_bits
        stated = formats[name]
        width = bits if isinstance(bits, int) else 1 + sum(bits)
        if not stated.startswith(f"W{width}A"):
            raise ValueError(f"{name}: the quantizer has {bits} bits")
        export_hf_checkpoint(model, export_dir=folder)
        return stated, None

    return ((name, lambda name=name: make(name)) for name in formats)


def gguf(base: Path, folder: Path) -> Schemes:
    """Every type of tensors of the gguf package, by its own table of block sizes."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

    def make(kind: Any) -> Stated:
        import numpy as np
        from safetensors.torch import load_file

        folder.mkdir()
        parameters = 0
        writer = GGUFWriter(folder / "model.gguf", "llama")
        count, size = GGML_QUANT_SIZES[kind]
        names = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I8": np.int8, "I16": np.int16}
        for number, weight in enumerate(load_file(base / "model.safetensors").values()):
            if weight.dim() == 2:
                rows, columns = weight.shape[0], -(-weight.shape[1] // 256) * 256
                parameters += rows * columns
                if kind.name in names:
                    writer.add_tensor(f"blk.{number}.ffn_up.weight", np.zeros((rows, columns), names[kind.name]))
                else:
                    raw = np.zeros((rows, columns // count * size), np.uint8)
                    writer.add_tensor(f"blk.{number}.ffn_up.weight", raw, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return f"GGUF {kind.name} ({8 * size / count:g} bits)", parameters

    kinds = [kind for kind in GGMLQuantizationType if kind.name not in ("I8", "I16", "I32", "I64", "F64")]
    return ((kind.name, lambda kind=kind: make(kind)) for kind in kinds)


LIBRARIES: dict[str, Callable[[Path, Path], Schemes]] = {
    "compressed_tensors": compressed_tensors,
    "torchao": torchao,
    "bitsandbytes": bitsandbytes,
    "auto_round": auto_round,
    "modelopt": modelopt,
    "gguf": gguf,
}


def _model(base: Path, **keywords: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, **keywords)


def cut(model: Path, folder: Path) -> None:
    """The first two layers of a model, with its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(model)
    config.num_hidden_layers = 2
    shallow = AutoModelForCausalLM.from_pretrained(model, config=config, dtype=torch.bfloat16)
    shallow.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)


def rows_of(library: str, base: Path, folder: Path) -> Iterator[Row | str]:
    """A row for each scheme of a library; a sentence for one that it can't make here."""
    parameters = dissect(base).checkpoint.parameters or 0
    try:
        schemes = list(LIBRARIES[library](base, folder))
    except ImportError as error:
        yield f"{library}: {SKIPPED} ({error})"
        return
    for name, make in schemes:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            stated, own = make()
        except Exception as error:  # what a library can't make on this machine costs no other row
            yield f"{library} {name}: not made ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            continue
        yield _row(library, name, stated, own or parameters, folder)
    shutil.rmtree(folder, ignore_errors=True)


def _row(library: str, name: str, stated: str, parameters: int, folder: Path) -> Row:
    try:
        folders = sorted(path.parent for path in folder.rglob("config.json"))
        anatomy = dissect(folders[0] if folders else folder / "model.gguf")
    except FidelityError as error:
        return Row(library, name, stated, str(error).replace(str(folder), ""), parameters, None, None)
    checkpoint, bits = anatomy.checkpoint, anatomy.bits_per_weight
    if library == "gguf":
        weight = anatomy.parts[0]
        title = {"F32": "FP32", "F16": "FP16"}.get(weight.scheme, weight.scheme)
        own = f"GGUF {title.replace('FP32', 'F32').replace('FP16', 'F16')} ({weight.bits_per_weight or 0:g} bits)"
        return Row(library, name, stated, own, parameters, checkpoint.parameters, bits)
    formats = [scheme for scheme, _ in anatomy.shares if scheme not in FLOATS.values()]
    own = formats[0] if formats else str(checkpoint.format)
    return Row(library, name, stated, own, parameters, checkpoint.parameters, bits)


def main() -> None:
    """Make, read and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)} (default: all)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    chosen = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", CUDA_VISIBLE_DEVICES="")
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    base = chosen.folder.resolve() / "base"
    if not base.exists():
        cut(chosen.model, base)
    print("| library | scheme | the library | fidelity | parameters | fidelity's | bits |\n|" + "---|" * 7, flush=True)
    rows = []
    for library in chosen.libraries or LIBRARIES:
        for row in rows_of(library, base, chosen.folder.resolve() / "made"):
            if isinstance(row, str):
                print(row, file=sys.stderr, flush=True)
                continue
            rows.append(row)
            bits = f"{row.bits_per_weight:.2f}" if row.bits_per_weight else "-"
            mark = "" if row.equal else " **differs**"
            cells = (row.library, row.scheme, row.library_format, row.fidelity_format + mark, row.library_parameters)
            print(f"| {' | '.join(map(str, cells))} | {row.fidelity_parameters} | {bits} |", flush=True)
    (chosen.folder / "real.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    sys.exit(any(not row.equal for row in rows))


if __name__ == "__main__":
    main()
