"""Measure how a quantized language model's outputs diverge from the original's, beyond the noise floor.

See docs/python.md. Heavy packages are loaded when one of the names below is first used.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["ComparisonResult", "compare", "compare_texts", "judge", "load"]

if TYPE_CHECKING:
    from fidelity.api.compare import compare, compare_texts
    from fidelity.api.result import ComparisonResult, judge, load


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'fidelity' has no attribute {name!r}")
    from fidelity import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
