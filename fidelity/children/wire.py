"""What goes between an engine and its child process: a JSON object a line.

Only the standard library is needed, since a child may run in another environment's Python.
"""

from collections import Counter
from typing import Any, TypedDict

JsonRecord = dict[str, Any]
"""An object that a child sends, in the form that `answering.Model` gives for each request."""


class PromptRow(TypedDict):
    """A prompt of a request."""

    id: str
    text: str
    """For a model without a chat template."""
    messages: list[dict[str, str]]
    """For one with it: `role` and `content` of each turn."""


class SampledRow(PromptRow):
    """A prompt that is to be answered."""

    seed: int


class SamplingFields(TypedDict, total=False):
    """How tokens are chosen: the fields of the run's sampling, but for `repeats`."""

    temperature: float
    max_tokens: int
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    seed: int
    stop: list[str]


class TorchAOFields(TypedDict):
    """How torchao quantizes while a model loads."""

    scheme: str
    group_size: "int | None"


class AloneRequest(TypedDict):
    """A request that is timed with nothing else in the engine."""

    row: int
    """The prompt's number in the rows."""
    tokens: int
    """To generate."""
    length: "int | None"
    """Tokens to which the prompt is cut or padded; None leaves it as it is."""


class LayerRecord(TypedDict):
    """The arguments of `LayerGroup`."""

    kind: str
    format: str
    kernel: "str | None"
    method: str
    quantized: bool
    count: int


class LayerCounts(TypedDict):
    """Two fields of `EngineInfo`."""

    quantized_layers: int
    unquantized_layers: int


def layer_records(groups: "Counter[tuple[str, str, str | None, str, bool]]") -> "list[LayerRecord]":
    """Groups of layers, counted by kind, format, kernel, method and whether they are quantized; the largest first."""
    return [
        {"kind": kind, "format": format_, "kernel": kernel, "method": method, "quantized": quantized, "count": count}
        for (kind, format_, kernel, method, quantized), count in groups.most_common()
    ]
