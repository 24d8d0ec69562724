"""The schemes of torchao that a YAML file can name."""

from typing import Any


def torchao_config(scheme: str, group_size: int | None) -> Any:
    """The torchao configuration of `int8wo`, `int4wo`, `8da8w` or `8da4w`."""
    import torch
    from torchao import quantization

    grouped = {"weight_dtype": torch.int4}
    match scheme:
        case "int8wo":
            return quantization.Int8WeightOnlyConfig()
        case "8da8w":
            return quantization.Int8DynamicActivationInt8WeightConfig()
        case "int4wo":
            return quantization.IntxWeightOnlyConfig(**grouped, granularity=quantization.PerGroup(group_size))
    per_group = quantization.PerGroup(group_size)
    return quantization.Int8DynamicActivationIntxWeightConfig(**grouped, weight_granularity=per_group)
