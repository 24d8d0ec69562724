"""How a layer's weights are stored, and how its activations are to be computed, in the words of the formats' users."""

from dataclasses import dataclass

FLOATS = {"BF16": "BF16", "F16": "FP16", "F32": "FP32", "F64": "FP64"}
"""Safetensors' names of plain floating point, and those used here."""
NOT_KNOWN = "layout not known"
"""What a format is called that no resolver knows: never a guess."""


@dataclass(frozen=True, slots=True)
class Activations:
    """What a checkpoint asks of a layer's inputs."""

    bits: int
    dynamic: bool = True
    strategy: str | None = None
    """`token`, `tensor`, or None where the format has only one."""
    group: int | None = None

    def __str__(self) -> str:
        """`8-bit, dynamic, token`; `4-bit, per group of 16`."""
        if self.group:
            return f"{self.bits}-bit, per group of {self.group}"
        return ", ".join(
            [f"{self.bits}-bit", "dynamic" if self.dynamic else "static", *([self.strategy] if self.strategy else [])]
        )


@dataclass(frozen=True, slots=True)
class Scheme:
    """The number format of a layer's weights, with what its kernel does to the activations."""

    number: str
    """`INT4`, `FP8`, `NVFP4`, `MXFP4`, `NF4`, `BF16`, `Q4_K`."""
    bits: int = 16
    """Of one weight, without its scales; 0 for a type of GGUF, whose blocks mix them."""
    group: int | None = None
    """Weights in a row that share a scale; None where a row, a block or the tensor shares one."""
    block: tuple[int, int] | None = None
    """Rows and columns that share a scale."""
    activations: Activations | None = None
    """None where they stay as they are."""
    sparsity: str | None = None
    """`2:4`, `unstructured`."""

    @property
    def is_float(self) -> bool:
        """Whether the weights aren't quantized."""
        return self.number in FLOATS.values()

    @property
    def label(self) -> str:
        """`INT4 g64`, `FP8 block 128x128`, `FP8 2:4`."""
        words = [self.number]
        if self.group:
            words.append(f"g{self.group}")
        if self.block:
            words.append(f"block {self.block[0]}x{self.block[1]}")
        return " ".join([*words, *([self.sparsity] if self.sparsity else [])])

    @property
    def full(self) -> str:
        """`W4A16-INT4 g64`; a plain float and a GGUF's type as they are."""
        if not self.bits:  # a type of GGUF
            return self.label
        without = Scheme(self.number, self.bits, self.group, self.block)
        sparse = f", {self.sparsity} sparse" if self.sparsity else ""
        if self.is_float:
            return without.label + sparse
        return f"W{self.bits}A{self.activations.bits if self.activations else 16}-{without.label}{sparse}"
