"""What transformers made of a model's layers, read from modules that look like those of packages that aren't here."""

from types import SimpleNamespace

import pytest

from fidelity.children.transformers_layers import layer_groups


def module(name, *, weight="torch.bfloat16", **attributes):
    """An instance of a class with this name; its weight has the type that is named."""

    def parameters(self, recurse):
        return iter([self.weight] if hasattr(self, "weight") else [])

    made = type(name, (), {"parameters": parameters})()
    if weight:
        is_float = "float" in weight
        made.weight = SimpleNamespace(dtype=weight, data=None, is_floating_point=lambda: is_float)
    vars(made).update(attributes)
    return made


def groups(*modules, head=None):
    return layer_groups(SimpleNamespace(modules=lambda: iter(modules), get_output_embeddings=lambda: head))


def test_a_plain_model():
    head = module("Linear", weight="torch.float32")
    groups_of = groups(
        module("Embedding"), module("Linear"), module("Linear"), head, module("LlamaAttention"), head=head
    )
    assert [(g["kind"], g["format"], g["quantized"], g["count"]) for g in groups_of] == [
        ("linear", "BF16", False, 2),
        ("embedding", "BF16", False, 1),
        ("lm_head", "FP32", False, 1),
    ]


def test_what_has_no_weights_is_no_layer():
    assert groups(module("LlamaRotaryEmbedding", weight=None)) == []


SCHEME = SimpleNamespace(
    weights=SimpleNamespace(num_bits=4, type="int", group_size=64), input_activations=SimpleNamespace(num_bits=8)
)


@pytest.mark.parametrize(
    ("layer", "known_as"),
    [
        (module("Linear4bit", weight="torch.uint8"), "INT4"),
        (module("Linear8bitLt", weight="torch.int8"), "LLM.int8"),
        (module("TorchQuantLinear", weight=None, qweight=0, bits=4, group_size=128), "W4A16-INT4 g128"),
        (module("AwqTorchQuantLinear", weight=None, qweight=0, bits=4, group_size=-1), "W4A16-INT4"),
        (module("GgufLinear", weight="torch.uint8", ggml_type=3), "Q4_1"),
        (module("FP8Linear", weight="torch.float8_e4m3fn"), "W8A8-FP8"),
        (module("Linear", quantization_scheme=SCHEME), "W4A8-INT4 g64"),
        (module("HiggsLinear", weight="torch.int16"), "Higgs"),
    ],
)
def test_each_way_to_quantize_is_told_by_its_class(layer, known_as):
    if known_as == "Q4_1":
        pytest.importorskip("gguf")
    (groups_of,) = groups(layer)
    assert (groups_of["kind"], groups_of["format"], groups_of["quantized"]) == ("linear", known_as, True)


def test_bitsandbytes_names_its_4_bit_type():
    layer = module("Linear4bit", weight="torch.uint8")
    layer.weight.quant_type = "nf4"
    assert groups(layer)[0]["format"] == "NF4"


def test_experts_are_layers():
    assert groups(module("MixtralExperts", weight="torch.float16"))[0]["kind"] == "experts"
