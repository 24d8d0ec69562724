"""Families of quantized checkpoints, with a resolver each, picked by config.json's `quant_method`."""

from collections.abc import Mapping

from fidelity.checkpoints.config import ModelJson, Widths
from fidelity.checkpoints.families.auto_round import AutoRound
from fidelity.checkpoints.families.base import Contradiction, Reading, Resolver, UnknownLayout
from fidelity.checkpoints.families.bitsandbytes import BitsAndBytes
from fidelity.checkpoints.families.compressed_tensors import CompressedTensors
from fidelity.checkpoints.families.fp8 import Fp8
from fidelity.checkpoints.families.gguf import Gguf
from fidelity.checkpoints.families.gptq import Gptq
from fidelity.checkpoints.families.mlx import Mlx
from fidelity.checkpoints.families.modelopt import ModelOpt
from fidelity.checkpoints.families.mxfp4 import Mxfp4
from fidelity.checkpoints.families.plain import Plain
from fidelity.checkpoints.families.quark import Quark
from fidelity.checkpoints.families.torchao import TorchAo

__all__ = ["Contradiction", "Gguf", "Reading", "Resolver", "UnknownLayout", "family_of"]


def family_of(
    quantization: ModelJson | None, *, widths: Widths | None = None, metadata: Mapping[str, str] | None = None
) -> Resolver:
    """The resolver for a checkpoint.

    Args:
        quantization: What its config says of quantization, None where it says nothing.
        widths: Those that a row of weights may have by config.json.
        metadata: Of its safetensors headers.

    Raises:
        UnknownLayout: None of them knows the method.
        Contradiction: A value of the config is of another type than its key has.
    """
    if quantization is None:
        return Plain()
    widths = widths or Widths()
    written = str(quantization.get("quant_method") or "").lower().replace("_", "-")
    method = written.rpartition("/")[2]
    match method:
        case "compressed-tensors" | "sparseml":
            return CompressedTensors(quantization, widths)
        case "awq" | "gptq":
            return Gptq(quantization, method, widths)
        case "auto-round" | "inc":
            return AutoRound(quantization, widths)
        case "modelopt" | "modelopt-fp4" | "modelopt-mixed" | "modelopt-mxfp8":
            return ModelOpt(quantization)
        case "mxfp4":
            return Mxfp4(quantization)
        case "bitsandbytes":
            return BitsAndBytes(quantization)
        case "torchao":
            return TorchAo(quantization, metadata or {})
        case "fp8" | "fbgemm-fp8":
            return Fp8(quantization, per_row=method == "fbgemm-fp8")
        case "quark":
            return Quark(quantization)
        case "":
            if "config_groups" in quantization or "sparsity_config" in quantization:
                return CompressedTensors(quantization, widths)
            if isinstance(quantization.get("quantization"), Mapping) or "quant_algo" in quantization:
                return ModelOpt(quantization)
            if "group_size" in quantization and "bits" in quantization:
                return Mlx(quantization)
            if "load_in_4bit" in quantization or "load_in_8bit" in quantization:
                return BitsAndBytes(quantization)
    raise UnknownLayout(str(quantization.get("quant_method") or "no quant_method"))
