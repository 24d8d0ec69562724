"""Encoder models: which one is meant and whether it is here (light), opened (heavy), and behind a cache on disk.

`locate` settles the model's files and revision; `CachedEncoder` answers from the cache and opens the model only for a
text that it has never seen, so that a comparison made a second time loads no torch.
"""

from fidelity.encoders.cache import CachedEncoder
from fidelity.encoders.opened import open_encoder
from fidelity.encoders.source import EncoderSource, locate

__all__ = ["CachedEncoder", "EncoderSource", "locate", "open_encoder"]
