"""What ran in a vLLM server, from its own log: the protocol doesn't report it."""

import re
from dataclasses import replace
from pathlib import Path

from fidelity.records import EngineInfo

CONFIG = re.compile(r"Initializing a V\d LLM engine .*? with config: (.*)")
DTYPE = re.compile(r"\bdtype=(?:torch\.)?(\w+)")
CACHE = re.compile(r"\bkv_cache_dtype=(\w+)")
CHOSEN = re.compile(
    r"Using (?:AttentionBackendEnum\.)?(\w*(?:ATTN|MLA|SDPA|FLASHINFER)\w*)(?: attention)? backend(?:\.| out of)"
)
"""vLLM's sentences on a backend that it chose, or that was set. None on a CPU, which has one for plain attention."""
ON_A_CPU = re.compile(r"\bdevice_config=cpu\b")


def with_vllm_log(info: EngineInfo, log: Path, *, start: int) -> EngineInfo:
    """A server's report with compute type, KV cache and attention backend, as far as its log has them.

    Args:
        info: The report.
        log: The server's log.
        start: Where this server's lines start, in bytes.
    """
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode("utf-8", "replace")
    config = match[1] if (match := CONFIG.search(text)) else ""
    dtype = match[1] if (match := DTYPE.search(config)) else info.dtype
    cache = match[1] if (match := CACHE.search(config)) else None
    chosen = CHOSEN.findall(text)
    return replace(
        info,
        dtype=dtype,
        kv_cache=dtype if cache == "auto" else cache or info.kv_cache,
        attention=chosen[-1] if chosen else "CPU_ATTN" if ON_A_CPU.search(config) else None,
    )
