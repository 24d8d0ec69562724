"""The YAML of a run as frozen models: what to generate, with what, and what to hold it against."""

from fidelity.config.compares import KINDS, Compares, Declared
from fidelity.config.engines import (
    AnyEngine,
    ExecuTorchEngine,
    OpenAIEngine,
    Ran,
    RecordedEngine,
    Requests,
    StoredEngine,
    TorchAO,
    TransformersEngine,
    VllmEngine,
    VllmServeEngine,
    VllmSettings,
)
from fidelity.config.files import RelativePath, explained, read_yaml
from fidelity.config.latency import USE_CASES, Latency
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
    "KINDS",
    "USE_CASES",
    "AnyEngine",
    "Compares",
    "Control",
    "Declared",
    "ExecuTorchEngine",
    "Kl",
    "Latency",
    "NamedMetric",
    "OpenAIEngine",
    "Ran",
    "Reasoning",
    "RecordedEngine",
    "RelativePath",
    "Requests",
    "RunConfig",
    "Sampling",
    "StoredEngine",
    "TorchAO",
    "TransformersEngine",
    "VllmEngine",
    "VllmServeEngine",
    "VllmSettings",
    "candidate_of",
    "explained",
    "load_run",
    "parse_run",
    "read_yaml",
    "with_local_encoders",
]
