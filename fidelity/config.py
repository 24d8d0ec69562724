"""The YAML of a run as a frozen model: what to generate, with what, and what to hold it against."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, model_validator

from fidelity.errors import ConfigError
from fidelity.metrics import AnyMetric
from fidelity.schema import Settings, nearest


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """A path as written, made absolute from the folder of the YAML file that it is written in."""
    if isinstance(value, str) and info.context:
        return Path(info.context["folder"], value).resolve()
    return value


def _resolve_model(value: Any, info: ValidationInfo) -> Any:
    """A directory is made absolute; what is none and doesn't look like one stays a Hub id (`org/name`)."""
    if not isinstance(value, str) or not info.context:
        return value
    local = Path(info.context["folder"], value)
    looks_local = value.startswith((".", "/", "~")) or value.count("/") != 1 or local.parent.is_dir()
    return str(local.resolve()) if local.exists() or looks_local else value


RelativePath = Annotated[Path, BeforeValidator(_resolve)]
ModelName = Annotated[str, BeforeValidator(_resolve_model)]


class Sampling(Settings):
    """How tokens are chosen; handed to the engine as it is."""

    temperature: float = Field(default=0.0, ge=0)
    """0 is greedy."""
    max_tokens: int = Field(default=256, ge=1)
    """The longest answer, in tokens."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0 is the whole vocabulary."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)
    seed: int = 0
    stop: tuple[str, ...] = ()


class TorchAO(Settings):
    """Quantization by torchao while the model loads; linear layers only, embeddings and lm_head stay as they are."""

    scheme: Literal["int8wo", "int4wo", "8da8w", "8da4w"]
    """`int8wo`, `int4wo`: weights only; `8da8w`, `8da4w`: with 8-bit activations, scaled token by token while serving.
    `8da4w` in groups of 32 is the scheme of Meta's mobile Llama 3.2."""
    group_size: int | None = Field(default=None, ge=2)
    """How many 4-bit weights share a scale (32 by default); 8-bit weights have one scale per output channel."""

    @model_validator(mode="before")
    @classmethod
    def _group_size_of_4_bit_weights(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "4" not in str(data.get("scheme")):
            return data
        return {"group_size": 32, **data}

    @model_validator(mode="after")
    def _no_groups_of_8_bit_weights(self) -> Self:
        if self.group_size is not None and "4" not in self.scheme:
            raise ValueError(f"{self.scheme} has one scale per output channel: leave 'group_size' out")
        return self


class VllmEngine(Settings):
    """vLLM, in a child process of its own."""

    kind: Literal["vllm"]
    dtype: str | None = None
    """The compute type (`bfloat16`, `float32`, ...); the checkpoint's own if not given."""
    max_model_len: int | None = Field(default=None, ge=1)
    """The context, in tokens."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Any other argument of vLLM's `LLM(...)`, passed on as it is; checked against the installed vLLM's own."""
    torchao: TorchAO | None = None
    """Quantize with torchao while loading: `{scheme: 8da4w, group_size: 32}`."""
    allow_pickle: bool = False
    """Load weights that Python has to unpickle, which can run code."""
    deadline: float = Field(default=600.0, gt=0)
    """Seconds without progress after which the engine is given up; it can't change an output."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the child process (`VLLM_CPU_INT4_W4A8: "0"`)."""

    def decisive(self) -> dict[str, Any]:
        """What of it can change an output, as plain data."""
        return self.model_dump(mode="json", exclude={"deadline"})


class Ran(Settings):
    """What really ran when outputs were recorded; what isn't said stays unknown, and is held against nobody."""

    engine: str | None = None
    """`vllm`, ...; "recorded" if not given."""
    version: str | None = None
    """The engine's."""
    device: str | None = None
    """Name of the processor or the GPU."""
    mode: Literal["eager", "compiled"] | None = None
    dtype: str | None = None
    ran_as: str | None = None
    """The number format that the kernels computed in."""
    attention: str | None = None
    """The attention backend."""
    quantized_layers: int | None = Field(default=None, ge=0)
    unquantized_layers: int | None = Field(default=None, ge=0)


class RecordedEngine(Settings):
    """Outputs that were generated elsewhere, from a JSONL file; only `id` and `text` are required of a line."""

    kind: Literal["recorded"]
    path: RelativePath
    ran: Ran | None = None
    """What the outputs were generated with; a control is taken to have run with the same."""


class StoredEngine(Settings):
    """A finished run's directory, for comparing on a machine without an engine."""

    kind: Literal["stored"]
    path: RelativePath


AnyEngine = Annotated[VllmEngine | RecordedEngine | StoredEngine, Field(discriminator="kind")]


class Control(Settings):
    """The baseline again under another order and other chunks: what the floor is measured with."""

    repeats: int = Field(default=1, ge=1)
    """How many controls; more of them narrow the floor."""
    path: Annotated[tuple[RelativePath, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = ()
    """For a recorded or stored baseline: the recorded files or the run directories that are its controls."""


def _named_metric(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


NamedMetric = Annotated[AnyMetric, BeforeValidator(_named_metric)]
"""A metric with its parameters, or its kind alone."""


class RunConfig(Settings):
    """One run: one model's outputs for one prompt set."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)
    """A short name, used for directories and tables; also the seed of a candidate's order."""
    model: ModelName | None = None
    """A directory or a Hub id."""
    revision: str | None = None
    """The Hub revision, if pinned."""
    engine: AnyEngine
    prompts: RelativePath | None = None
    """A JSONL prompt set. A candidate takes the baseline's."""
    sampling: Sampling | None = None
    """A candidate takes the baseline's."""
    chunk: int | None = Field(default=None, ge=2)
    """The most prompts that the engine holds at once (128 by default). A candidate takes the baseline's."""
    control: Control | Literal["none"] | None = None
    """A baseline has one control if nothing is said; `none` switches it off, and no floor can be measured."""
    metrics: tuple[NamedMetric, ...] | None = None
    """What the baseline's YAML asks for; the default set if not given."""
    label: str | None = None
    """A name for the format where the checkpoint can't tell it (a recorded run)."""

    @model_validator(mode="after")
    def _needs_a_model(self) -> Self:
        if isinstance(self.engine, VllmEngine) and self.model is None:
            raise ValueError(f"'model' is missing: the engine {self.engine.kind!r} needs a directory or a Hub id")
        return self


SHARED = ("prompts", "sampling", "chunk")
"""What a candidate takes from its baseline; given twice, both must be equal."""


def load_run(path: Path) -> RunConfig:
    """Read one run's YAML file; the paths in it are relative to that file.

    Raises:
        ConfigError: The file is missing, not YAML, or has an unknown key or a wrong type, with its place in the file.
    """
    return parse_run(read_yaml(path, keys="name:, model:, engine: ..."), path)


def parse_run(data: Mapping[str, Any], path: Path) -> RunConfig:
    """One run from a mapping that stands in the YAML file `path`.

    Raises:
        ConfigError: It has an unknown key or a wrong type.
    """
    try:
        return RunConfig.model_validate(with_local_encoders(data, path.parent), context={"folder": path.parent})
    except ValidationError as error:
        raise explained(path, error) from error


def candidate_of(baseline: RunConfig, candidate: RunConfig) -> RunConfig:
    """The candidate with prompts, sampling and chunk taken from its baseline.

    Raises:
        ConfigError: The candidate asks for something else than the baseline does.
    """
    for key in SHARED:
        theirs, ours = getattr(candidate, key), getattr(baseline, key)
        if theirs is not None and theirs != ours:
            raise ConfigError(
                f"{candidate.name}: its '{key}' differs from that of its baseline {baseline.name} ({theirs} against "
                f"{ours}); runs can only be compared on the same ones: leave the key out of the candidate's file"
            )
    return candidate.model_copy(update={key: getattr(baseline, key) for key in SHARED})


def read_yaml(path: Path, *, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file; `keys` are an example of what belongs there, for the error message.

    Raises:
        ConfigError: The file is missing, not UTF-8, not YAML, or no mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of keys is expected ({keys}), found {_type(data)}")
    return data


def explained(path: Path, error: ValidationError) -> ConfigError:
    """What pydantic found wrong in a file, a line each, with the place in the file."""
    return ConfigError("\n".join(f"{path}: {_place(e)}{_what(e)}" for e in error.errors()))


def with_local_encoders(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Metrics know no files, so relative directories of encoders in `metrics` are made absolute here."""
    metrics = data.get("metrics")
    if not isinstance(metrics, list):
        return dict(data)
    return {**data, "metrics": [_with_local_encoder(metric, folder) for metric in metrics]}


def _with_local_encoder(metric: Any, folder: Path) -> Any:
    match metric:
        case {"encoder": str() as encoder} if (folder / encoder).is_dir() or encoder.startswith("."):
            return {**metric, "encoder": str((folder / encoder).resolve())}
    return metric


def _place(error: Mapping[str, Any]) -> str:
    """Where in the file, as a user would write it: `engine.dtype`; the tag of a union is no key."""
    loc = [str(part) for part in error["loc"]]
    tag = {"engine": 1, "metrics": 2}.get(loc[0] if loc else "")
    place = ".".join(part for number, part in enumerate(loc) if number != tag)
    return f"{place}: " if place else ""


def _what(error: Mapping[str, Any]) -> str:
    if error["type"] == "union_tag_invalid":
        tag, known = error["ctx"]["tag"], re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
        return f"unknown kind {tag!r}{nearest(tag, known)}"
    return str(error["msg"]).removeprefix("Value error, ")


def _type(data: Any) -> str:
    return "nothing" if data is None else type(data).__name__
