"""The declared difference between a candidate and its baseline: `compares:` in a gate file or a candidate's YAML."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from fidelity.schema import nearest

Compares = Literal[
    "quantization",
    "engine",
    "kernels",
    "kv_cache",
    "speculative",
    "template",
    "hardware",
    "provider",
    "finetune",
]
"""How a candidate is meant to differ from its baseline."""
KINDS: tuple[Compares, ...] = get_args(Compares)


def _one_or_several(value: Any) -> Any:
    several = (value,) if isinstance(value, str) else value
    for kind in several if isinstance(several, list | tuple) else ():
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}{nearest(str(kind), KINDS)}")
    return several


Declared = Annotated[tuple[Compares, ...], BeforeValidator(_one_or_several)]
"""One kind, or a list of kinds."""
