"""Arrays in the records of a child process: little-endian bytes in base64."""

from base64 import b64encode
from typing import Any


def packed(values: Any, kind: str) -> str:
    """An array, or a sequence of numbers, for a record; `kind` is numpy's `<i4` or `<f4`, which the parent expects."""
    import numpy as np

    return b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
