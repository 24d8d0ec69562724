"""What vLLM is asked for: its own arguments, torchao's schemes, and what a platform is known not to run."""

import importlib.util

import pytest

from fidelity.config import load_run
from fidelity.engines import vllm_settings
from fidelity.engines.platforms import refusal
from fidelity.engines.vllm_settings import check, known_arguments, settings
from fidelity.errors import ConfigError, MissingPackageError

INSTALLED = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


def asked(workspace, **engine):
    config = load_run(workspace.run("quant", engine={"kind": "vllm", **engine}))
    check(config.name, config.engine)
    return settings(config, config.engine)


@INSTALLED
def test_every_argument_of_the_installed_vllm_is_known_from_its_source():
    known = known_arguments()
    assert {"kv_cache_dtype", "tensor_parallel_size", "quantization", "trust_remote_code", "enforce_eager"} <= known
    assert "self" not in known


@INSTALLED
def test_a_typo_names_the_nearest_argument(workspace):
    with pytest.raises(ConfigError, match=r"engine\.options\.tensor_paralel_size: .* mean 'tensor_parallel_size'"):
        asked(workspace, options={"tensor_paralel_size": 2})


def test_a_vllm_whose_source_looks_different_judges_for_itself(workspace, monkeypatch):
    monkeypatch.setattr(vllm_settings, "known_arguments", frozenset)
    assert asked(workspace, options={"whatever": 1})["arguments"]["whatever"] == 1


@pytest.mark.parametrize("option", ["model", "dtype", "max_model_len", "revision"])
def test_an_option_that_has_a_place_of_its_own(workspace, option):
    with pytest.raises(ConfigError, match=rf"engine\.options\.{option}: set elsewhere"):
        asked(workspace, options={option: "x"})


def test_options_are_passed_on(workspace):
    request = asked(workspace, dtype="float32", max_model_len=64, options={"kv_cache_dtype": "fp8"})
    assert request == {
        "arguments": {
            "model": str(workspace.folder / "model"),
            "dtype": "float32",
            "max_model_len": 64,
            "kv_cache_dtype": "fp8",
        },
        "torchao": None,
        "tool_call_parser": None,
    }


class TestTorchao:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch):
        monkeypatch.setattr(vllm_settings, "find_spec", lambda name: object())
        monkeypatch.setattr(vllm_settings, "known_arguments", frozenset)

    def test_four_bit_weights_come_in_groups_of_32_by_default(self, workspace):
        assert asked(workspace, torchao={"scheme": "8da4w"})["torchao"] == {"scheme": "8da4w", "group_size": 32}
        assert asked(workspace, torchao={"scheme": "8da4w", "group_size": 64})["torchao"]["group_size"] == 64
        assert asked(workspace, torchao={"scheme": "8da8w"})["torchao"]["group_size"] is None

    def test_eight_bit_weights_have_no_groups(self, workspace):
        with pytest.raises(ConfigError, match="int8wo has one scale per output channel: remove 'group_size'"):
            asked(workspace, torchao={"scheme": "int8wo", "group_size": 32})

    def test_two_quantizations_at_once(self, workspace):
        with pytest.raises(ConfigError, match=r"quantization: can't be combined with engine\.torchao"):
            asked(workspace, torchao={"scheme": "8da4w"}, options={"quantization": "fp8"})

    def test_a_missing_package_names_its_extra(self, workspace, monkeypatch):
        monkeypatch.setattr(vllm_settings, "find_spec", lambda name: None)
        with pytest.raises(MissingPackageError, match=r"llm-fidelity\[torchao\]"):
            asked(workspace, torchao={"scheme": "8da4w"})


class TestPlatforms:
    def refusal(self, workspace, version, checkpoint_format="BF16", **options):
        engine = load_run(workspace.run("quant", engine={"kind": "vllm", "options": options})).engine
        return refusal(engine, checkpoint_format=checkpoint_format, vllm_version=version)

    def test_what_a_cpu_does_not_run_is_refused_with_what_would(self, workspace):
        refusal = self.refusal(workspace, "0.32.0+cpu", quantization="fp8")
        assert refusal.startswith("fp8 doesn't run on a CPU with vLLM 0.32.0")
        assert refusal.endswith("use instead: a W8A8-INT8 checkpoint, or torchao: {scheme: 8da8w}")
        assert "W8A16-INT8 doesn't" in self.refusal(workspace, "0.32.0+cpu", checkpoint_format="W8A16-INT8")

    @pytest.mark.parametrize("version", ["0.32.0", "0.26.0", "0.33.0+cpu"])
    def test_a_gpu_and_a_version_that_was_not_measured_judge_for_themselves(self, workspace, version):
        assert self.refusal(workspace, version, quantization="fp8") is None

    def test_what_runs_is_not_refused(self, workspace):
        assert self.refusal(workspace, "0.32.0+cpu", checkpoint_format="W8A8-INT8") is None
        assert self.refusal(workspace, "0.32.0+cpu", quantization="fp8_per_channel") is None
