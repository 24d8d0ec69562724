"""The Python interface: what `import fidelity` offers (docs/python.md)."""

from fidelity.api.compare import compare, compare_texts
from fidelity.api.result import ComparisonResult, judge, load

__all__ = ["ComparisonResult", "compare", "compare_texts", "judge", "load"]
