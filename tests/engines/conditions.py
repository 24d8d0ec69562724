"""The conditions of a run that each engine records (the table in docs/comparability.md), and the check of a run."""

CONDITIONS = {
    "engine": "kind",
    "version": "version",
    "hardware": "device",
    "eager or compiled": "mode",
    "compute type": "dtype",
    "attention backend": "attention",
    "KV cache": "kv_cache",
    "context": "context",
    "chat template": "chat_template",
    "BOS tokens": "bos_tokens",
    "end tokens": "end_tokens",
    "generation config": "generation_config",
    "tensor- and pipeline-parallel size": "pipeline_parallel",
    "speculative decoding": "speculative",
    "variables that select kernels": "environment",
    "quantized layers": "quantized_layers",
    "number of a prompt's tokens": "prompt_tokens",
    "hash of a prompt's token ids": "prompt_hash",
}
"""The conditions by their names in the table, and their fields in `EngineInfo` or in each answer."""
OF_ANSWERS = ("prompt_tokens", "prompt_hash")
ENGINES = {
    "vllm": set(CONDITIONS.values()),
    "vllm-serve": set(CONDITIONS.values()) - {"bos_tokens", "quantized_layers"},
    "transformers": set(CONDITIONS.values()),
    "executorch": set(CONDITIONS.values()) - {"attention", "dtype", "kv_cache"},
    "llama.cpp": {
        "kind",
        "version",
        "context",
        "chat_template",
        "end_tokens",
        "generation_config",
        "prompt_tokens",
    },
    "openai": {"kind", "prompt_tokens"},
    "recorded": set(CONDITIONS.values()),
}
"""What a run of each engine has; of a recording, what its `ran:` and its rows can state."""


def check_conditions(engine, info, outcomes):
    """A run has exactly the conditions that are documented for its engine."""
    known = {field for field in CONDITIONS.values() if field not in OF_ANSWERS and getattr(info, field) is not None}
    known |= {field for field in OF_ANSWERS if all(getattr(outcome, field) is not None for outcome in outcomes)}
    assert known - ENGINES[engine] == set(), "not documented"
    assert ENGINES[engine] - known == set(), "not recorded"
    if info.tensor_parallel is not None:
        assert info.tensor_parallel == info.pipeline_parallel == 1
