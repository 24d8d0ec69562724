"""In a sentence, where what ran is not what the checkpoint is."""

from fidelity.checkpoints import FLOATS, NOT_KNOWN, ran_otherwise
from fidelity.records import EngineInfo
from fidelity.schema import JsonObject


def run_notes(stored: str | None, info: EngineInfo, *, asked: bool, options: JsonObject) -> list[str]:
    """Notes for the report.

    Args:
        stored: The checkpoint's format, as far as it is known.
        info: What the engine says of itself.
        asked: Whether it was told to quantize while loading.
        options: The engine's own.
    """
    notes = []
    by = f" ({', '.join(info.kernels)})" if info.kernels else ""
    if stored is not None and info.ran_as is not None:
        plain = stored.partition(",")[0] in FLOATS.values()
        quantized = asked or not (plain or stored.startswith(NOT_KNOWN))
        if quantized and not info.quantized_layers:
            notes.append(f"quantization never engaged: no layer is quantized, and all computed in {info.ran_as}")
        elif plain and stored.partition(",")[0] != info.ran_as:
            notes.append(f"the checkpoint is {stored}, and was made {info.ran_as} while loading{by}")
        elif ran_otherwise(stored, info.ran_as):
            notes.append(f"the checkpoint is {stored}, but its kernel{by} ran it as {info.ran_as}")
    if info.kv_cache != info.dtype:
        notes.append(f"the KV cache was kept in {info.kv_cache}")
    if options.get("trust_remote_code"):
        notes.append("code that came with the checkpoint was allowed to run (trust_remote_code)")
    return notes
