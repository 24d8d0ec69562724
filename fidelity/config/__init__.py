"""The YAML of a run as frozen models: what to generate, with what, and what to hold it against."""

from fidelity.config.engines import AnyEngine, Ran, RecordedEngine, StoredEngine, TorchAO, VllmEngine
from fidelity.config.files import RelativePath, explained, read_yaml
from fidelity.config.run import (
    Control,
    Kl,
    NamedMetric,
    Reasoning,
    RunConfig,
    Sampling,
    candidate_of,
    load_run,
    parse_run,
    with_local_encoders,
)

__all__ = [
    "AnyEngine",
    "Control",
    "Kl",
    "NamedMetric",
    "Ran",
    "Reasoning",
    "RecordedEngine",
    "RelativePath",
    "RunConfig",
    "Sampling",
    "StoredEngine",
    "TorchAO",
    "VllmEngine",
    "candidate_of",
    "explained",
    "load_run",
    "parse_run",
    "read_yaml",
    "with_local_encoders",
]
