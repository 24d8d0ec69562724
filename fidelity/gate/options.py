"""Engine options that differ between two runs and can change an output, and the `compares:` kind of each."""

from collections.abc import Iterator

from fidelity.config import Compares
from fidelity.gate.conditions import configured, options_of
from fidelity.gate.difference import Difference, compared, difference
from fidelity.store.manifests import RunManifest

QUANTIZING = frozenset(
    {"quantization", "quantization_config", "load_in_4bit", "load_in_8bit", "gguf_file", "quantization_param_path"}
)
"""Options that quantize while loading, or describe a checkpoint's quantization."""
READ_ELSEWHERE = frozenset(
    {
        "attention_backend",
        "attn_implementation",
        "enforce_eager",
        "kv_cache_dtype",
        "pipeline_parallel_size",
        "speculative_config",
        "tensor_parallel_size",
    }
)
"""Options that are compared through the engine's report of their effect."""
HARMLESS = frozenset(
    {
        "allow_deprecated_quantization",
        "device_map",
        "disable_log_requests",
        "disable_log_stats",
        "distributed_executor_backend",
        "download_dir",
        "gpu_memory_utilization",
        "hf_config_path",
        "hf_token",
        "kv_cache_memory_bytes",
        "load_format",
        "low_cpu_mem_usage",
        "max_logprobs",
        "max_num_batched_tokens",
        "max_num_seqs",
        "num_gpu_blocks_override",
        "safetensors_load_strategy",
        "seed",
        "served_model_name",
        "swap_space",
        "tokenizer",
        "tokenizer_revision",
        "trust_remote_code",
        "use_safetensors",
        "uvicorn_log_level",
    }
)
"""Options for memory, files and batches. Their effects are in the floor, in the prompts, or nowhere."""
ABOUT: dict[str, tuple[Compares, ...]] = {
    "chat_template": ("template", "finetune"),
    "chat_template_content_format": ("template", "finetune"),
    "default_chat_template_kwargs": ("template", "finetune"),
    "generation_config": ("template", "finetune"),
    "override_generation_config": ("template", "finetune"),
    "data_parallel_size": ("hardware",),
    "enable_expert_parallel": ("hardware",),
    "device": ("hardware",),
}
"""The kinds of some options; all others concern the engine or its kernels."""
IN_REQUESTS: tuple[Compares, ...] = ("template", "finetune")


def option_differences(baseline: RunManifest, other: RunManifest) -> Iterator[Difference]:
    """Yield each option that differs, with its kind. Engines of different kinds share no options."""
    engines = configured(baseline), configured(other)
    if engines[0].get("kind") != engines[1].get("kind"):
        return
    given = options_of(baseline), options_of(other)
    for name in sorted({*given[0], *given[1]} - QUANTIZING - READ_ELSEWHERE - HARMLESS):
        if given[0].get(name) != given[1].get(name):
            kinds = ABOUT.get(name, ("engine", "kernels"))
            yield difference(f"option {name}", (given[0].get(name), given[1].get(name)), *kinds)
    yield from compared("API", (engines[0].get("api"), engines[1].get("api")), *IN_REQUESTS)
    fields = engines[0].get("request") or {}, engines[1].get("request") or {}
    for name in sorted({*fields[0], *fields[1]}):
        if fields[0].get(name) != fields[1].get(name):
            yield difference(f"request field {name}", (fields[0].get(name), fields[1].get(name)), *IN_REQUESTS)
