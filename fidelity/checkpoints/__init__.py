"""Checkpoints, read without loading them: where they lie, what they are, what is wrong, how they are made up."""

from fidelity.checkpoints.anatomy import Anatomy, Part, dissect
from fidelity.checkpoints.faults import refuse_faults
from fidelity.checkpoints.formats import FLOATS, Checkpoint, describe
from fidelity.checkpoints.source import chat_template, content_id, fingerprint, local_directory, vocabulary_id

__all__ = [
    "FLOATS",
    "Anatomy",
    "Checkpoint",
    "Part",
    "chat_template",
    "content_id",
    "describe",
    "dissect",
    "fingerprint",
    "local_directory",
    "refuse_faults",
    "vocabulary_id",
]
