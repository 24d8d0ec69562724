"""Encoder models: locating one (light), opening it (heavy), and caching its results on disk.

`locate` determines the model's files and revision. `CachedEncoder` answers from the cache and only opens the model for
new texts, so a repeated comparison doesn't load torch.
"""

from fidelity.encoders.cache import CachedEncoder
from fidelity.encoders.opened import open_encoder
from fidelity.encoders.source import EncoderSource, locate

__all__ = ["CachedEncoder", "EncoderSource", "locate", "open_encoder"]
