"""The protocol of families: the scheme that a config states for a layer, and how the layer is stored."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Scheme


class UnknownLayout(Exception):
    """The layout of a layer is unknown. The message describes what was seen."""


class Contradiction(Exception):
    """A layer's tensors contradict config.json, or each other."""


ANOTHER = "its quantization_config belongs to another checkpoint"


@dataclass(frozen=True, slots=True)
class Reading:
    """A quantized layer."""

    scheme: Scheme
    shape: tuple[int, ...]
    """The shape of the weights before packing: (experts,) outputs, inputs."""
    used: frozenset[str]
    """The roles of the tensors with the weights or their description."""
    unscaled: bool = False
    """Whether the weights have no scale."""

    @property
    def weights(self) -> int:
        total = 1
        for length in self.shape:
            total *= length
        return total


class Resolver(Protocol):
    """A way of describing quantized weights in config.json and of storing them."""

    name: str
    """The family's name in the headline, in parentheses; empty if the scheme's name is clear."""
    on_load: bool
    """Whether unquantized weights are quantized while loading."""

    def asked(self, layer: Layer) -> Scheme | None:
        """The scheme that config.json states for a layer; None for an unquantized layer."""

    def read(self, layer: Layer) -> Reading | None:
        """How the layer is stored; None if it is unquantized.

        Raises:
            UnknownLayout: The form of its tensors is unknown.
            Contradiction: Its tensors contradict config.json, or each other.
        """


class Written(BaseModel):
    """Base class of parsed quantization_configs. Other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


WrittenType = TypeVar("WrittenType", bound=Written)


def settings(kind: type[WrittenType], written: ModelJson) -> WrittenType:
    """Parse a quantization_config.

    Raises:
        Contradiction: A value has the wrong type. The message names the key.
    """
    try:
        return kind.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors(include_input=True, include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        value = repr(first.get("input"))[:60]
        raise Contradiction(f"quantization_config: {key} is {value} ({first['msg']})") from error
