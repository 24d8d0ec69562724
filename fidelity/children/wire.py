"""The messages between an engine and its child process: one JSON object per line.

Only the standard library is used, since a child can run in another environment's Python.
"""

from collections import Counter
from typing import Any, TypedDict

JsonRecord = dict[str, Any]
"""An object from a child, in the format that `answering.Model` defines for each request."""


class PromptRow(TypedDict):
    """A prompt of a request."""

    id: str
    text: str
    """The prompt for a model without a chat template."""
    messages: list[dict[str, Any]]
    """The prompt for a model with a chat template, in the OpenAI chat format."""
    tools: "list[dict[str, Any]] | None"
    """The tools that the model may call, in OpenAI's schema."""
    tool_choice: Any
    """OpenAI's `tool_choice`; None for "auto"."""


class SampledRow(PromptRow):
    """A prompt to answer."""

    seed: int


class SamplingFields(TypedDict, total=False):
    """The fields of the run's sampling, except `repeats`."""

    temperature: float
    max_tokens: int
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    seed: int
    stop: list[str]


class TorchAOFields(TypedDict):
    """torchao's settings for quantizing while loading."""

    scheme: str
    group_size: "int | None"


class AloneRequest(TypedDict):
    """A request to time with nothing else in the engine."""

    row: int
    """The prompt's index in the rows."""
    tokens: int
    """The number of tokens to generate."""
    length: "int | None"
    """The length to which the prompt is cut or padded, in tokens; None: unchanged."""


class HeadFields(TypedDict):
    """What a head does with the product of hidden states and its matrix, in this order."""

    dtype: str
    """The dtype to which the product is rounded: `bfloat16`, `float16` or `float32`."""
    soft_cap: "float | None"
    """Logits become soft_cap * tanh(logits / soft_cap)."""
    scale: float
    """A factor of the logits."""


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
    """Groups of layers by kind, format, kernel, method and quantization, the largest first."""
    return [
        {"kind": kind, "format": format_, "kernel": kernel, "method": method, "quantized": quantized, "count": count}
        for (kind, format_, kernel, method, quantized), count in groups.most_common()
    ]
