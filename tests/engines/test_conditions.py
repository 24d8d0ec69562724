"""Which conditions of a run each engine records; real engines are checked in their own tests."""

import json

import pytest

from fidelity.config import load_run
from fidelity.engines.vllm_log import kernels_in, with_vllm_log
from fidelity.pipeline import generate
from fidelity.records import EngineInfo
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.conditions import CONDITIONS, ENGINES, check_conditions
from tests.engines.fake_server import FakeServer, Reply, text_reply

CONFIG = (
    "(EngineCore pid=8229) INFO 11-28 15:42:05 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: "
    "model='m', speculative_config=None, dtype=torch.bfloat16, max_seq_len=1024, tensor_parallel_size=1, "
    "dcp_comm_backend=ag_rs, kv_cache_dtype=auto, device_config={device}, served_model_name=s\n"
)
"""A line of vLLM 0.32's log; 0.26's has the same entries."""


def test_the_documented_table_is_what_the_engines_record():
    lines = (ROOT / "docs" / "comparability.md").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| recorded |"))
    engines = [cell.strip(" `") for cell in lines[start].split("|")[2:-1]]
    table = {}
    for line in lines[start + 2 : start + 2 + len(CONDITIONS)]:
        name, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        table[name] = {engine for engine, cell in zip(engines, cells, strict=True) if cell == "yes"}
    assert set(engines) == set(ENGINES)
    assert table == {
        name: {engine for engine, fields in ENGINES.items() if field in fields} for name, field in CONDITIONS.items()
    }


def test_a_server_that_reports_only_usage(server_run):
    def answer(_):
        return Reply({**text_reply("Yes.").body, "usage": {"prompt_tokens": 9}})

    with FakeServer(answer) as server:
        run = server_run(server)
    check_conditions("openai", run.manifest.engine, run.outcomes())


def test_a_recording_that_states_everything(workspace):
    ran = {
        "engine": "vllm",
        "version": "0.26.0",
        "device": "H100",
        "mode": "compiled",
        "dtype": "bfloat16",
        "attention": "FLASH_ATTN",
        "kv_cache": "fp8",
        "context": 4096,
        "chat_template": "a",
        "bos_tokens": 1,
        "end_tokens": [2],
        "generation_config": {"top_p": 0.9},
        "tensor_parallel": 1,
        "pipeline_parallel": 1,
        "speculative": "none",
        "environment": {"VLLM_MARLIN_INPUT_DTYPE": "fp8"},
        "quantized_layers": 0,
    }
    rows = [{"id": f"p{n}", "text": "Yes.", "prompt_token_ids": [1, n]} for n in range(3)]
    workspace.file("rows.jsonl", "\n".join(map(json.dumps, rows)))
    engine = {"kind": "recorded", "path": "rows.jsonl", "ran": ran}
    path = workspace.run("recorded", model=None, engine=engine, control="none")
    (run,) = generate(load_run(path), store=Store(workspace.store), listener=Silent())
    check_conditions("recorded", run.manifest.engine, run.outcomes())
    recorded = {key: getattr(run.manifest.engine, key) for key in ran if key != "engine"}
    assert recorded == {**{key: value for key, value in ran.items() if key != "engine"}, "end_tokens": (2,)}


class TestLogOfVllm:
    """What a vLLM server's log has, in the words of vLLM 0.26 and 0.32."""

    @pytest.mark.parametrize(
        ("device", "line", "attention"),
        [
            ("cpu", "", "CPU_ATTN"),
            ("cpu", "INFO [cpu.py:175] Using CPU_MLA backend.", "CPU_MLA"),
            ("cuda", "", None),
            (
                "cuda",
                "Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN'].",
                "FLASH_ATTN",
            ),
            ("cuda", "Using AttentionBackendEnum.TRITON_ATTN backend.", "TRITON_ATTN"),
            ("cuda", "Using FLASHINFER attention backend out of potential backends: ['FLASHINFER'].", "FLASHINFER"),
            ("cuda", "Using FLASHMLA attention backend out of potential backends: ['FLASHMLA'].", "FLASHMLA"),
            ("cuda", "Using backend TORCH_SDPA for vit attention", None),
            ("cuda", "Using MARLIN backend.", None),
        ],
    )
    def test_the_attention_backend(self, tmp_path, device, line, attention):
        (tmp_path / "log").write_text(CONFIG.format(device=device) + line + "\n")
        ran = with_vllm_log(EngineInfo(kind="vllm-serve"), tmp_path / "log", start=0)
        assert (ran.attention, ran.dtype, ran.kv_cache) == (attention, "bfloat16", "bfloat16")

    def test_only_this_server_s_lines_count(self, tmp_path):
        before = CONFIG.format(device="cpu")
        (tmp_path / "log").write_text(before + CONFIG.format(device="cuda").replace("=auto", "=fp8"))
        ran = with_vllm_log(EngineInfo(kind="vllm-serve"), tmp_path / "log", start=len(before))
        assert (ran.attention, ran.dtype, ran.kv_cache) == (None, "bfloat16", "fp8")

    def test_a_log_without_these_lines_changes_nothing(self, tmp_path):
        """`VLLM_LOGGING_LEVEL: ERROR` in the run's `env`."""
        (tmp_path / "log").write_text("")
        ran = EngineInfo(kind="vllm-serve", dtype="float16", kv_cache="fp8")
        assert with_vllm_log(ran, tmp_path / "log", start=0) == ran


class TestKernelsInVllmsLog:
    @pytest.mark.parametrize(
        ("line", "kernel"),
        [
            *(
                (f"[compressed_tensors_wNa16.py:138] Using {name} for CompressedTensorsWNA16", name)
                for name in (
                    "MacheteLinearKernel",
                    "MarlinLinearKernel",
                    "ConchLinearKernel",
                    "ExllamaLinearKernel",
                    "TritonW4A16LinearKernel",
                    "HummingLinearKernel",
                    "CPUWNA16LinearKernel",
                )
            ),
            ("Using CutlassW4A8LinearKernel for CompressedTensorsW4A8Fp8", "CutlassW4A8LinearKernel"),
            ("Using HummingLinearKernel for CompressedTensorsWNA4Int", "HummingLinearKernel"),
            ("Using MarlinLinearKernel for AutoGPTQLinearMethod", "MarlinLinearKernel"),
            ("Using MarlinLinearKernel for mixed-precision linear", "MarlinLinearKernel"),
            (
                "Selected CutlassFP8ScaledMMLinearKernel for CompressedTensorsW8A8Fp8",
                "CutlassFP8ScaledMMLinearKernel",
            ),
            ("Selected FlashInferFP8ScaledMMLinearKernel for Fp8LinearMethod", "FlashInferFP8ScaledMMLinearKernel"),
            ("Selected DeepGemmFp8BlockScaledMMKernel for Fp8LinearMethod", "DeepGemmFp8BlockScaledMMKernel"),
            ("Using FlashInferCutlassNvFp4LinearKernel for NVFP4 GEMM", "FlashInferCutlassNvFp4LinearKernel"),
            ("Using NvFp4LinearBackend.MARLIN for NVFP4 GEMM", "MARLIN"),
            ("Using MarlinMxFp4LinearKernel for MXFP4 GEMM", "MarlinMxFp4LinearKernel"),
            ("Using EmulationMxfp8LinearKernel for MXFP8 GEMM", "EmulationMxfp8LinearKernel"),
            ("Using 'MARLIN' NvFp4 MoE backend out of potential backends: ['MARLIN'].", "MARLIN"),
            ("Using FLASHINFER_CUTLASS Fp8 MoE backend out of potential backends", "FLASHINFER_CUTLASS"),
            ("Using 'TRITON' Mxfp4 MoE backend.", "TRITON"),
            ("Using CPU W4A8 Int8 MoE backend out of", "CPU"),
            ("Using MarlinExperts for MXFP4 MoE", "MarlinExperts"),
            ("Using MarlinExperts (weight-only FP4) for AutoRound MXFP4 MoE", "MarlinExperts"),
            (
                "Using Nvfp4QuantizationEmulationTritonExperts MOE backend. This will",
                "Nvfp4QuantizationEmulationTritonExperts",
            ),
            ("Using CompressedTensorsWNA16MoEMethod", "CompressedTensorsWNA16MoEMethod"),
        ],
    )
    def test_each_sentence_names_one(self, line, kernel):
        assert kernels_in(f"(EngineCore pid=1) INFO 11-28 15:42:05 {line}\n") == (kernel,)

    @pytest.mark.parametrize(
        "line",
        [
            "Using TRITON Unquantized MoE backend out of potential backends: ['TRITON'].",
            "Using TritonExperts MoE backend",
            "Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN'].",
            "Using FlashAttention version 3",
            "Using default MoE config. Performance might be sub-optimal!",
            "Using MoEPrepareAndFinalizeNoDPEPModular",
            "Tried to force MarlinLinearKernel, but the kernel couldn't be implemented",
        ],
    )
    def test_other_sentences_name_none(self, line):
        assert kernels_in(line) == ()

    def test_a_server_with_a_quantized_model_and_kv_cache(self, tmp_path):
        cache = CONFIG.format(device="cuda").replace("kv_cache_dtype=auto", "kv_cache_dtype=turboquant_k8v4")
        lines = (
            "Using MacheteLinearKernel for CompressedTensorsWNA16\n"
            "Selected CutlassFP8ScaledMMLinearKernel for CompressedTensorsW8A8Fp8\n"
            "Using KV cache scaling factor 1.0 for fp8_e4m3. This may cause accuracy issues.\n"
        )
        (tmp_path / "log").write_text(cache + lines)
        ran = with_vllm_log(EngineInfo(kind="vllm-serve"), tmp_path / "log", start=0)
        assert ran.kernels == ("CutlassFP8ScaledMMLinearKernel", "MacheteLinearKernel")
        assert ran.kv_cache == "turboquant_k8v4"
        assert ran.notes == ("the scales of the fp8_e4m3 KV cache are 1.0",)
