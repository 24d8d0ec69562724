"""Number formats of a layer's weights and activations, and their names."""

from dataclasses import dataclass

FLOATS = {"BF16": "BF16", "F16": "FP16", "F32": "FP32", "F64": "FP64"}
"""Safetensors' names of floating-point types, and the names used here."""
NOT_KNOWN = "layout not known"
"""The name of a format that no resolver supports; formats are never guessed."""


@dataclass(frozen=True, slots=True)
class Activations:
    """The quantization of a layer's inputs."""

    bits: int
    dynamic: bool = True
    strategy: str | None = None
    """`token`, `tensor`, or None if the format has only one."""
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
    """The number format of a layer's weights and activations."""

    number: str
    """`INT4`, `FP8`, `NVFP4`, `MXFP4`, `NF4`, `BF16`, `Q4_K`."""
    bits: int = 16
    """Bits of a weight, without scales; 0 for GGUF types, which mix them in a block."""
    group: int | None = None
    """Weights in a row that share a scale; None if a row, a block or the tensor shares one."""
    block: tuple[int, int] | None = None
    """Rows and columns that share a scale."""
    activations: Activations | None = None
    """None if they aren't quantized."""
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
        """`W4A16-INT4 g64`; unquantized types and GGUF types unchanged."""
        if not self.bits:  # a type of GGUF
            return self.label
        without = Scheme(self.number, self.bits, self.group, self.block)
        sparse = f", {self.sparsity} sparse" if self.sparsity else ""
        if self.is_float:
            return without.label + sparse
        return f"W{self.bits}A{self.activations.bits if self.activations else 16}-{without.label}{sparse}"
