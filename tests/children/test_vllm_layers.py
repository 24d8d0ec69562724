"""What ran, read from a model's layers. The classes imitate vLLM's: only their names and attributes count."""

import enum
from types import SimpleNamespace

import pytest

from fidelity.children.vllm_layers import attention_backend, layer_groups, of_all_stages


def named(name, **attributes):
    return type(name, (), attributes)()


def model(*layers):
    return SimpleNamespace(modules=lambda: iter(layers))


def linear(kernel=None, *, scheme=None, method="CompressedTensorsLinearMethod", config=None, **attributes):
    scheme = named(scheme) if scheme else None
    quant_method = named(method, quant_config=config)
    if kernel is not None:
        (scheme or quant_method).kernel = kernel
    return named("RowParallelLinear", quant_method=quant_method, scheme=scheme, **attributes)


def mixed(bits, group=64, act="torch.bfloat16", name="MarlinLinearKernel", is_float=False):
    weight = SimpleNamespace(size_bits=bits, is_floating_point=lambda: is_float)
    return named(name, config=SimpleNamespace(weight_type=weight, act_type=act, group_size=group))


def ran(*layers):
    return [
        (group["format"], group["kernel"], group["quantized"], group["count"]) for group in layer_groups(model(*layers))
    ]


@pytest.mark.parametrize(
    ("layer", "number_format"),
    [
        # W4A16 on a CPU with AMX runs as W4A8, and no line of vLLM's log mentions it.
        (
            linear(mixed(4, name="CPUWNA16LinearKernel"), scheme="CompressedTensorsWNA16", use_w4a8=True),
            "W4A8-INT4 g64",
        ),
        (linear(mixed(4), scheme="CompressedTensorsWNA16", use_w4a8=False), "W4A16-INT4 g64"),
        (linear(mixed(8, group=-1), method="GPTQMarlinLinearMethod"), "W8A16-INT8"),
        (linear(mixed(4, act="torch.float8_e4m3fn"), scheme="CompressedTensorsW4A8Fp8"), "W4A8-INT4 g64"),
        (linear(mixed(4, name="Dynamic4bitLinearKernel"), scheme="CompressedTensorsW4A8Int"), "W4A8-INT4 g64"),
        (linear(named("CPUInt8ScaledMMLinearKernel"), scheme="CompressedTensorsW8A8Int8"), "W8A8-INT8"),
        (linear(named("CutlassFP8ScaledMMLinearKernel"), method="Fp8LinearMethod"), "W8A8-FP8"),
        # A GPU without FP8 units multiplies in 16 bits.
        (linear(named("MarlinFP8ScaledMMLinearKernel"), method="Fp8LinearMethod"), "W8A16-FP8"),
        (linear(named("FlashInferCutlassNvFp4LinearKernel"), method="ModelOptNvFp4LinearMethod"), "W4A4-NVFP4"),
        (linear(named("MarlinNvFp4LinearKernel"), method="ModelOptNvFp4LinearMethod"), "W4A16-NVFP4"),
        (linear(scheme="CompressedTensorsW8A16Fp8"), "W8A16-FP8"),
        (linear(method="BitsAndBytesLinearMethod"), "BitsAndBytesLinearMethod"),
        # Marlin and Machete don't quantize inputs, whatever the checkpoint states (vllm#38066).
        (linear(mixed(4), scheme="CompressedTensorsW4A8Int"), "W4A16-INT4 g64"),
        (linear(mixed(4, name="MacheteLinearKernel"), scheme="CompressedTensorsWNA8Int"), "W4A16-INT4 g64"),
        # VLLM_MARLIN_INPUT_DTYPE=int8
        (linear(mixed(4, act="torch.int8"), method="AutoGPTQLinearMethod"), "W4A8-INT4 g64"),
        (linear(mixed(4, name="CutlassW4A8LinearKernel"), scheme="CompressedTensorsW4A8Int"), "W4A8-INT4 g64"),
        (linear(mixed(4, name="HummingLinearKernel"), scheme="CompressedTensorsWNA4Int"), "W4A4-INT4 g64"),
        (linear(mixed(3, name="HummingLinearKernel"), scheme="CompressedTensorsWNA16"), "W3A16-INT3 g64"),
        *(
            (linear(mixed(4, name=f"{name}LinearKernel"), method="AutoAWQMarlinLinearMethod"), "W4A16-INT4 g64")
            for name in ("Machete", "Marlin", "Conch", "Exllama", "TritonW4A16", "Humming")
        ),
        (linear(named("MarlinMxFp4LinearKernel"), scheme="CompressedTensorsW4A4Mxfp4"), "W4A16-MXFP4"),
        (linear(named("HummingNvFp4LinearKernel"), scheme="CompressedTensorsW4A4Fp4"), "W4A16-NVFP4"),
        (linear(named("HummingNvFp4LinearKernel"), method="ModelOptLinearMethod", input_scale_2=1), "W4A4-NVFP4"),
        (linear(named("EmulationNvFp4LinearKernel"), scheme="CompressedTensorsW4A4Fp4"), "W4A4-NVFP4"),
        (linear(named("B12xNvFp4W4A16LinearKernel"), method="ModelOptLinearMethod"), "W4A16-NVFP4"),
        (linear(named("DeepGemmFp8BlockScaledMMKernel"), method="Fp8LinearMethod"), "W8A8-FP8"),
        (linear(named("EmulationMxfp8LinearKernel"), scheme="CompressedTensorsW8A8Mxfp8"), "W8A8-MXFP8"),
        (
            linear(method="AutoAWQLinearMethod", config=SimpleNamespace(weight_bits=4, group_size=128)),
            "W4A16-INT4 g128",
        ),
        (
            linear(
                method="BitsAndBytesLinearMethod",
                config=SimpleNamespace(load_in_4bit=True, load_in_8bit=False, bnb_4bit_quant_type="nf4"),
            ),
            "W4A16-NF4",
        ),
    ],
)
def test_the_format_is_the_kernels(layer, number_format):
    ((format_name, _, quantized, count),) = ran(layer)
    assert (format_name, quantized, count) == (number_format, True, 1)


def test_layers_are_grouped_and_those_without_weights_left_out():
    plain = [
        named(
            "QKVParallelLinear",
            quant_method=named("UnquantizedLinearMethod"),
            weight=SimpleNamespace(dtype="torch.bfloat16"),
        )
        for _ in range(3)
    ]
    attention = named("Attention", quant_method=named("CompressedTensorsKVCacheMethod"))
    kernel = named("CPUInt8ScaledMMLinearKernel")
    assert ran(*plain, linear(kernel), attention, named("RMSNorm")) == [
        ("BF16", None, False, 3),
        ("W8A8-INT8", "CPUInt8ScaledMMLinearKernel", True, 1),
    ]


def test_experts_have_a_backend_instead_of_a_kernel():
    """vLLM's methods for experts name their backend by an enumeration."""
    method = named("Mxfp4MoEMethod")
    method.mxfp4_backend = enum.Enum("Mxfp4MoeBackend", ["MARLIN", "TRITON"]).MARLIN
    assert ran(named("FusedMoE", quant_method=method)) == [("W4A16-MXFP4", "MARLIN", True, 1)]
    method.mxfp4_backend = "TRITON"
    assert ran(named("FusedMoE", quant_method=method)) == [("W4A16-MXFP4", "TRITON", True, 1)]
    method.mxfp4_backend = "FLASHINFER_TRTLLM"
    assert ran(named("FusedMoE", quant_method=method)) == [("W4A4-MXFP4", "FLASHINFER_TRTLLM", True, 1)]


def test_kinds_of_layers():
    method = named("UnquantizedEmbeddingMethod")
    weight = SimpleNamespace(dtype="torch.float32")
    layers = [
        named(name, quant_method=method, weight=weight)
        for name in ("VocabParallelEmbedding", "ParallelLMHead", "FusedMoE")
    ]
    assert [(g["kind"], g["format"]) for g in layer_groups(model(*layers))] == [
        ("embedding", "FP32"),
        ("lm_head", "FP32"),
        ("experts", "FP32"),
    ]


@pytest.mark.parametrize(
    ("tensor", "attributes", "scheme"),
    [
        (
            "IntxUnpackedToInt8Tensor",
            {"target_dtype": "torch.int4", "block_size": (1, 32), "activation_quantization": "int8_asym_per_token"},
            "8da4w g32",
        ),
        (
            "IntxUnpackedToInt8Tensor",
            {"target_dtype": "torch.int4", "block_size": (1, 64), "activation_quantization": None},
            "int4wo g64",
        ),
        ("Int8Tensor", {"block_size": (1, 576), "act_quant_kwargs": None}, "int8wo"),
        ("Int8Tensor", {"block_size": (1, 576), "act_quant_kwargs": object()}, "8da8w"),
        ("Float8Tensor", {"block_size": (1, 576), "act_quant_kwargs": object()}, "8da8wf"),
    ],
)
def test_torchao_is_read_from_the_tensor(tensor, attributes, scheme):
    weight = named(tensor, shape=(960, 576), **attributes)
    layer = linear(method="TorchAOLinearMethod", weight=SimpleNamespace(data=weight))
    assert ran(layer) == [(scheme, None, True, 1)]


def test_torchao_that_left_a_layer_alone():
    weight = SimpleNamespace(data=named("Tensor"), dtype="torch.bfloat16")
    assert ran(linear(method="TorchAOLinearMethod", weight=weight)) == [("BF16", None, False, 1)]


def test_gguf_has_its_own_types():
    pytest.importorskip("gguf")
    fused = linear(method="GGUFLinearMethod", qweight_type=SimpleNamespace(shard_weight_type={"q": 3, "k": 3, "v": 14}))
    whole = linear(method="GGUFLinearMethod", qweight_type=SimpleNamespace(weight_type=0))
    assert ran(fused, whole) == [("Q4_1+Q6_K", None, True, 1), ("F32", None, False, 1)]


def test_the_attention_backend_is_recorded_by_name():
    backend = SimpleNamespace(get_name=lambda: "FLASH_ATTN")
    assert attention_backend(model(named("RMSNorm"), named("Attention", attn_backend=backend))) == "FLASH_ATTN"
    assert attention_backend(model(named("RMSNorm"))) is None


def test_layers_of_all_stages_count_once_for_each_share():
    def stage(plain, quantized):
        group = {"kind": "linear", "method": "Method"}
        return [
            {**group, "format": "BF16", "kernel": None, "quantized": False, "count": plain},
            {**group, "format": "FP8", "kernel": "Cutlass", "quantized": True, "count": quantized},
        ]

    first, second = stage(1, 40), stage(2, 38)
    one_process = of_all_stages([first], shares=1)
    assert [(group["format"], group["count"]) for group in one_process] == [("FP8", 40), ("BF16", 1)]
    assert of_all_stages([first, first], shares=2) == one_process  # two tensor-parallel workers share each layer
    four = of_all_stages([first, first, second, second], shares=2)
    assert [(group["format"], group["count"]) for group in four] == [("FP8", 78), ("BF16", 3)]
