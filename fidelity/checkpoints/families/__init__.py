"""Families of quantized checkpoints, with one resolver each, chosen by config.json's `quant_method`."""

from collections.abc import Callable, Mapping

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
    """Return the resolver for a checkpoint.

    Args:
        quantization: Its quantization_config, or None.
        widths: The possible widths of a row of weights, by config.json.
        metadata: The metadata of its safetensors headers.

    Raises:
        UnknownLayout: No resolver supports the method.
        Contradiction: A value of the config has the wrong type.
    """
    if quantization is None:
        return Plain()
    widths = widths or Widths()
    written = str(quantization.get("quant_method") or "").lower().replace("_", "-")
    method = written.rpartition("/")[2]
    resolvers: dict[str, Callable[[], Resolver | None]] = {
        "compressed-tensors": lambda: CompressedTensors(quantization, widths),
        "sparseml": lambda: CompressedTensors(quantization, widths),
        "awq": lambda: Gptq(quantization, method, widths),
        "gptq": lambda: Gptq(quantization, method, widths),
        "auto-round": lambda: AutoRound(quantization, widths),
        "inc": lambda: AutoRound(quantization, widths),
        "modelopt": lambda: ModelOpt(quantization),
        "modelopt-fp4": lambda: ModelOpt(quantization),
        "modelopt-mixed": lambda: ModelOpt(quantization),
        "modelopt-mxfp8": lambda: ModelOpt(quantization),
        "mxfp4": lambda: Mxfp4(quantization),
        "bitsandbytes": lambda: BitsAndBytes(quantization),
        "torchao": lambda: TorchAo(quantization, metadata or {}),
        "fp8": lambda: Fp8(quantization, per_row=False),
        "fbgemm-fp8": lambda: Fp8(quantization, per_row=True),
        "quark": lambda: Quark(quantization),
        "": lambda: _without_a_method(quantization, widths),
    }
    if resolver := resolvers[method]() if method in resolvers else None:
        return resolver
    raise UnknownLayout(str(quantization.get("quant_method") or "no quant_method"))


def _without_a_method(quantization: ModelJson, widths: Widths) -> Resolver | None:
    """The resolver for a config without `quant_method`, by the keys that only one family has."""
    if "config_groups" in quantization or "sparsity_config" in quantization:
        return CompressedTensors(quantization, widths)
    if isinstance(quantization.get("quantization"), Mapping) or "quant_algo" in quantization:
        return ModelOpt(quantization)
    if "group_size" in quantization and "bits" in quantization:
        return Mlx(quantization)
    if "load_in_4bit" in quantization or "load_in_8bit" in quantization:
        return BitsAndBytes(quantization)
    return None
