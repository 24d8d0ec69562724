"""The formats that an ExecuTorch program computes in, read from its file: XNNPACK's weights, and the rest."""

import json
import struct
import tempfile
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

from fidelity.children.wire import LayerRecord, layer_records

MAGIC, HEADER = b"XH00", 4
"""A block for XNNPACK starts with four zero bytes, this, and the offset and size of its graph."""
WEIGHTS = {
    "xnn_datatype_qbint4": ("4", "INT4"),
    "xnn_datatype_qcint4": ("4", "INT4"),
    "xnn_datatype_qcint8": ("8", "INT8"),
    "xnn_datatype_fp32": ("", "FP32"),
    "xnn_datatype_fp16": ("", "FP16"),
}
"""XNNPACK's types of weights: their bits if they are quantized, and their name."""
INPUTS = ("xnn_datatype_qdint8", "xnn_datatype_qpint8")
"""XNNPACK's types of activations that are quantized to 8 bits at run time."""
XnnpackValue = dict[str, Any]
"""A table of XNNPACK's graph, in the terms of its schema."""
EMBEDDINGS = {"embedding_byte": "INT8", "embedding_4bit": "INT4", "embedding_2bit": "INT2", "embedding": "FP32"}
"""ExecuTorch's operators for an embedding."""


def layer_groups(path: Path) -> tuple[list[LayerRecord], str | None]:
    """The arguments of `LayerGroup`, by kind and format; or none, and why they are unknown.

    ExecuTorch has no public API for this, so programs of another version may not be readable.
    """
    try:
        groups = _groups(path.read_bytes())
    except Exception as error:  # another version's private parts can raise any exception
        return [], f"the program's formats can't be read ({type(error).__name__}: {error})"
    return layer_records(groups), None


def _groups(content: bytes) -> Counter[tuple[str, str, str | None, str, bool]]:
    from executorch.exir._serialize._program import deserialize_pte_binary

    read = deserialize_pte_binary(content)
    program = getattr(read, "program", read)
    plan = next(plan for plan in program.execution_plan if plan.name == "forward")
    vocabulary = _constant(program, "get_vocab_size")
    groups: Counter[tuple[str, str, str | None, str, bool]] = Counter()
    for operator in plan.operators:
        name = operator.name.partition("::")[2]
        if name in EMBEDDINGS:
            groups[("embedding", EMBEDDINGS[name], operator.name, "ExecuTorch", name != "embedding")] += 1
    for delegate in plan.delegates:
        block = program.backend_delegate_data[delegate.processed.index].data
        if delegate.id == "XnnpackBackend":
            groups.update(_xnnpack_layers(_xnnpack_graph(block), vocabulary))
    return groups


def _constant(program: Any, method: str) -> Any:
    """The result of a method that only returns a constant."""
    for plan in program.execution_plan:
        if plan.name == method:
            return getattr(plan.values[plan.outputs[0]].val, "int_val", None)
    return None


def _xnnpack_graph(block: bytes) -> XnnpackValue:
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    if block[HEADER : HEADER + 4] != MAGIC:
        raise ValueError("a block for XNNPACK without its header")
    place, size = struct.unpack_from("<II", block, HEADER + 6)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        schema = files("executorch.backends.xnnpack.serialization").joinpath("schema.fbs").read_bytes()
        (folder / "schema.fbs").write_bytes(schema)
        (folder / "graph.bin").write_bytes(block[place : place + size])
        _flatc_decompile(scratch, str(folder / "schema.fbs"), str(folder / "graph.bin"))
        graph: XnnpackValue = json.loads((folder / "graph.json").read_text())
    return graph


def _xnnpack_layers(graph: XnnpackValue, vocabulary: int | None) -> Counter[tuple[str, str, str | None, str, bool]]:
    tensors: dict[int, tuple[XnnpackValue, XnnpackValue]] = {}
    for value in graph["xvalues"]:
        union = value["xvalue_union"]
        plain = union.get("tensor_value", union)
        tensors[plain["id_out"]] = plain, union.get("quant_params", {})
    layers: Counter[tuple[str, str, str | None, str, bool]] = Counter()
    for node in graph["xnodes"]:
        if node["xnode_union_type"] != "XNNFullyConnected":
            continue
        multiply = node["xnode_union"]
        weights, scales = tensors[multiply["filter_id"]]
        inputs, _ = tensors[multiply.get("input1_id", 0)]
        bits, name = WEIGHTS.get(weights["datatype"], ("?", weights["datatype"]))
        group = f" g{scales['group_size']}" if scales.get("group_size") else ""
        if bits:
            before, behind = ("8da", "w") if inputs["datatype"] in INPUTS else ("int", "wo")
            name = before + bits + behind + group
        kind = "lm_head" if weights["dims"][0] == vocabulary else "linear"
        layers[(kind, name, "XNNPACK", "ExecuTorch", bool(bits))] += 1
    return layers
