"""In a sentence, where what ran is not what the checkpoint is."""

from fidelity.checkpoints import FLOATS
from fidelity.records import EngineInfo
from fidelity.schema import JsonObject


def what_became_of(stored: str | None, info: EngineInfo, *, asked: bool, options: JsonObject) -> list[str]:
    """Notes for the report.

    Args:
        stored: The checkpoint's format, as far as it is known.
        info: What the engine says of itself.
        asked: Whether it was told to quantize while loading.
        options: The engine's own.
    """
    told = []
    by = f" ({', '.join(info.kernels)})" if info.kernels else ""
    if stored is not None and info.ran_as is not None:
        plain = stored in FLOATS.values()
        if (asked or not plain) and not info.quantized_layers:
            told.append(f"quantization never engaged: no layer is quantized, and all computed in {info.ran_as}")
        elif not plain and stored.partition(" (")[0].removeprefix("GGUF ") != info.ran_as.partition(" (")[0]:
            told.append(f"the checkpoint is {stored}, but its kernel{by} ran it as {info.ran_as}")
        elif plain and stored != info.ran_as:
            told.append(f"the checkpoint is {stored}, and was made {info.ran_as} while loading{by}")
    if info.kv_cache != info.dtype:
        told.append(f"the KV cache was kept in {info.kv_cache}")
    if options.get("trust_remote_code"):
        told.append("code that came with the checkpoint was allowed to run (trust_remote_code)")
    return told
