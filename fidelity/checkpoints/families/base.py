"""What every family of checkpoints answers: which scheme its config states for a layer, and how that is stored."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fidelity.checkpoints.config import ModelJson
from fidelity.checkpoints.layers import Layer
from fidelity.checkpoints.schemes import Scheme


class UnknownLayout(Exception):
    """Nothing here knows how a layer is stored; says what was seen."""


class Contradiction(Exception):
    """A layer's tensors and config.json, or the tensors among themselves, state different things."""


ANOTHER = "its quantization_config belongs to another checkpoint"


@dataclass(frozen=True, slots=True)
class Reading:
    """A quantized layer."""

    scheme: Scheme
    shape: tuple[int, ...]
    """Of the weights before they were packed: (experts,) outputs, inputs."""
    used: frozenset[str]
    """The roles of the tensors that hold the weights or describe them."""
    unscaled: bool = False
    """Whether no scale is beside the weights."""

    @property
    def weights(self) -> int:
        total = 1
        for length in self.shape:
            total *= length
        return total


class Resolver(Protocol):
    """One way of describing quantized weights in config.json and of storing them."""

    name: str
    """What a headline adds in parentheses; empty where the scheme's own name is clear."""
    on_load: bool
    """Whether weights that aren't quantized are quantized while loading."""

    def asked(self, layer: Layer) -> Scheme | None:
        """What config.json states for a layer; None where it leaves the layer as it is."""

    def read(self, layer: Layer) -> Reading | None:
        """How the layer is stored; None if it holds plain numbers only.

        Raises:
            UnknownLayout: Its tensors are in no form that is known here.
            Contradiction: Its tensors don't fit what config.json states, or each other.
        """


class Written(BaseModel):
    """Base of what is read from a quantization_config: keys that aren't needed are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


WrittenType = TypeVar("WrittenType", bound=Written)


def settings(kind: type[WrittenType], written: ModelJson) -> WrittenType:
    """A quantization_config as a record.

    Raises:
        Contradiction: A value is of another type than its key has; names the key.
    """
    try:
        return kind.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors(include_input=True, include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        value = repr(first.get("input"))[:60]
        raise Contradiction(f"quantization_config: {key} is {value} ({first['msg']})") from error
