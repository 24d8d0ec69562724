"""Checkpoints, read without loading them: their location, format, errors and layers."""

from fidelity.checkpoints.anatomy import Anatomy, StoredLayers, dissect
from fidelity.checkpoints.config import RANDOM_WEIGHTS, RANDOM_WEIGHTS_NOTE, has_random_weights, read_config
from fidelity.checkpoints.content import tensors_id
from fidelity.checkpoints.contrast import Contrast, contrast
from fidelity.checkpoints.faults import refuse_faults
from fidelity.checkpoints.formats import Checkpoint, describe
from fidelity.checkpoints.generation import end_token_ids, proposed_sampling
from fidelity.checkpoints.headline import ran_otherwise
from fidelity.checkpoints.hub import dissect_on_hub
from fidelity.checkpoints.kv_cache import KVCache, kv_cache
from fidelity.checkpoints.schemes import FLOATS, NOT_KNOWN
from fidelity.checkpoints.source import (
    chat_template,
    content_id,
    fingerprint,
    local_directory,
    vocabulary_id,
    weights_id,
)

__all__ = [
    "FLOATS",
    "NOT_KNOWN",
    "RANDOM_WEIGHTS",
    "RANDOM_WEIGHTS_NOTE",
    "Anatomy",
    "Checkpoint",
    "Contrast",
    "KVCache",
    "StoredLayers",
    "chat_template",
    "content_id",
    "contrast",
    "describe",
    "dissect",
    "dissect_on_hub",
    "end_token_ids",
    "fingerprint",
    "has_random_weights",
    "kv_cache",
    "local_directory",
    "proposed_sampling",
    "ran_otherwise",
    "read_config",
    "refuse_faults",
    "tensors_id",
    "vocabulary_id",
    "weights_id",
]
