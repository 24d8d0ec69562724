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
KERNELS = (
    re.compile(r"(?:Using|Selected) (?P<kernel>\w+Kernel) for \w+"),
    re.compile(r"Using (?:\w+Backend\.)?(?P<kernel>\w+) for (?:mixed-precision linear|\w+ GEMM)\b"),
    re.compile(r"Using '?(?P<kernel>\w+)'? (?!Unquantized)\w+(?: Int8)? MoE backend\b"),
    re.compile(r"Using (?P<kernel>\w+Experts\w*) (?:\([\w -]+\) )?for (?:AutoRound )?\w+ MoE\b"),
    re.compile(r"Using (?P<kernel>\w*Emulation\w*Experts) MO?E backend\b", re.IGNORECASE),
    re.compile(r"Using (?P<kernel>CompressedTensors\w+MoEMethod)\b"),
)
"""vLLM's sentences on the kernels of quantized layers (0.26 to 0.33); those on unquantized experts don't match."""
SCALE_OF_ONE = re.compile(r"Using KV cache scaling factor 1\.0 for (\w+)")
ON_A_CPU = re.compile(r"\bdevice_config=cpu\b")


def with_vllm_log(info: EngineInfo, log: Path, *, start: int) -> EngineInfo:
    """A server's report with compute type, KV cache, attention backend and kernels, as far as its log has them.

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
    notes = [f"the scales of the {kind} KV cache are 1.0" for kind in dict.fromkeys(SCALE_OF_ONE.findall(text))]
    return replace(
        info,
        dtype=dtype,
        kernels=kernels_in(text) or info.kernels,
        notes=(*info.notes, *notes),
        kv_cache=dtype if cache == "auto" else cache or info.kv_cache,
        attention=chosen[-1] if chosen else "CPU_ATTN" if ON_A_CPU.search(config) else None,
    )


def kernels_in(text: str) -> tuple[str, ...]:
    """The kernels, and the backends of experts, of quantized layers that a log mentions, sorted."""
    return tuple(sorted({match["kernel"] for pattern in KERNELS for match in pattern.finditer(text)}))
