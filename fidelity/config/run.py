"""The YAML of a run as a frozen model: what to generate, with what, and what to hold it against."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from fidelity.config.compares import Declared
from fidelity.config.engines import AnyEngine, ExecuTorchEngine, Requests, TransformersEngine, VllmEngine, VllmSettings
from fidelity.config.files import ModelName, RelativePath, explained, read_yaml
from fidelity.config.latency import Latency
from fidelity.errors import ConfigError
from fidelity.metrics import AnyMetric
from fidelity.schema import JsonObject, Settings
from fidelity.text.thinking import THINK

DEFAULT_BATCH = 128


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
    repeats: int = Field(default=1, ge=1)
    """How many answers each prompt gets, each with a seed of its own; more than one needs a temperature above 0."""

    @model_validator(mode="after")
    def _repeats_differ(self) -> Self:
        if self.repeats > 1 and self.temperature == 0:
            raise ValueError(
                f"repeats: {self.repeats} at temperature 0 would give the same answer {self.repeats} times; set a "
                f"temperature above 0, or leave 'repeats' out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_a_single_repeat(self, serialize: SerializerFunctionWrapHandler) -> JsonObject:
        """One repeat is what runs had before there were several: it stands in no manifest and changes no digest."""
        fields: JsonObject = serialize(self)
        if self.repeats == 1:
            fields.pop("repeats", None)
        return fields

    def seed_of(self, prompt_id: str, repeat: int) -> int:
        """The seed of one answer, in 31 bits: the same in every run that samples so.

        With several repeats every prompt has seeds of its own. Were they shared, all prompts would draw the same random
        numbers, and a study of many prompts would be one of a few draws.
        """
        if self.repeats == 1:
            return self.seed
        digest = hashlib.sha256(f"{self.seed}/{repeat}/{prompt_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1


class Reasoning(Settings):
    """How the thinking of a reasoning model is told from its answer, where the engine gives one text for both."""

    parser: Literal["auto", "think", "harmony", "none"] = "auto"
    """`think` are tags, `harmony` the channels of gpt-oss; `auto` goes by what the outputs show; `none` leaves all as
    it is."""
    tags: tuple[str, str] = THINK
    """The opening and the closing tag of `think`."""

    @field_validator("tags")
    @classmethod
    def _check_distinct(cls, tags: tuple[str, str]) -> tuple[str, str]:
        if not all(tag.strip() for tag in tags) or tags[0] == tags[1]:
            raise ValueError("two different tags are expected, such as ['<think>', '</think>']")
        return tags


class Control(Settings):
    """The baseline again under another order and other chunks: what the floor is measured with."""

    repeats: int = Field(default=1, ge=1)
    """How many controls; more of them narrow the floor."""
    path: Annotated[tuple[RelativePath, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = ()
    """For a recorded or stored baseline: the recorded files or the run directories that are its controls."""


class TeacherForcing(Settings):
    """Teacher forcing: how likely the baseline, its controls and the candidates find each token of the baseline."""

    top_k: int = Field(default=20, ge=1)
    """How many of the most likely tokens are kept at each position."""
    exact: bool = False
    """Whether the whole vocabulary is kept of some answers too: 4 bytes for each of its tokens at each position."""
    prompts: int = Field(default=20, ge=1)
    """Of the first so many prompts."""
    tokens: int = Field(default=128, ge=1)
    """Of the first so many tokens of their answers."""


class Drained(Settings):
    """Batches that are waited for: the next one begins when the longest answer of the last has ended.

    Slower, by a factor of two to four where answers have different lengths; a resumed run is equal byte for byte.
    """

    drained: int = Field(ge=2)
    """The most prompts in a batch; their numbers are drawn from a quarter of it up."""


Batching = Literal["continuous"] | Drained
"""How prompts are put into an engine. `continuous` keeps it full: the next prompt is admitted when one finishes."""


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
    batching: Batching | None = None
    """`continuous` or `{drained: 32}`. vLLM is kept full unless `drained` is set; servers always are, and the engines
    `transformers` and `executorch` take batches of up to 128. A candidate takes the baseline's."""
    chunk: int | None = Field(default=None, ge=2)
    """An older way to write `batching: {drained: ...}`."""
    reasoning: Reasoning | None = None
    """How thinking is told from answers; it is found out if nothing is said. A candidate takes the baseline's."""
    control: Control | Literal["none"] | None = None
    """A baseline has one control if nothing is said; `none` switches it off, and no floor can be measured."""
    kl: TeacherForcing | Literal["none"] | None = None
    """What a baseline's YAML says about forcing, which an engine that can do it does if nothing is said."""
    metrics: tuple[NamedMetric, ...] | None = None
    """What the baseline's YAML asks for; the default set if not given."""
    latency: Latency | None = None
    """Time some requests one at a time after the run; not done if not given. A candidate takes the baseline's."""
    price_per_hour: float | None = Field(default=None, gt=0)
    """Of the machine, in any currency. A candidate takes the baseline's if it has none of its own."""
    serving: tuple[RelativePath, ...] = ()
    """What `vllm bench serve --save-result` wrote of this model, a JSON file for each rate of requests."""
    label: str | None = None
    """A name for the format where the checkpoint can't tell it (a recorded run)."""
    compares: Declared = ()
    """In what a candidate is meant to differ from its baseline: `quantization` if neither this nor the gate says it."""

    @model_validator(mode="after")
    def _needs_a_model(self) -> Self:
        if isinstance(self.engine, VllmSettings | TransformersEngine) and self.model is None:
            raise ValueError(f"'model' is missing: the engine {self.engine.kind!r} needs a directory or a Hub id")
        return self

    @model_validator(mode="after")
    def _one_way_of_batching(self) -> Self:
        if self.batching and self.chunk:
            raise ValueError(f"'batching' and 'chunk' are both given: write batching: {{drained: {self.chunk}}} alone")
        if self.batching == "continuous" and isinstance(self.engine, TransformersEngine | ExecuTorchEngine):
            raise ValueError(f"batching: the engine {self.engine.kind!r} takes batches; leave it out, or set 'drained'")
        return self

    @property
    def drained(self) -> int | None:
        """The most prompts in a batch that is waited for; None where the engine is kept full."""
        if isinstance(self.engine, Requests) or self.batching == "continuous":
            return None
        given = self.batching.drained if self.batching else self.chunk
        return given or (None if isinstance(self.engine, VllmEngine) else DEFAULT_BATCH)


SHARED = ("prompts", "sampling", "batching", "chunk", "reasoning", "latency")
"""What a candidate takes from its baseline; given twice, both must be equal."""


def load_run(path: Path) -> RunConfig:
    """Read one run's YAML file; the paths in it are relative to that file.

    Raises:
        ConfigError: The file is missing, not YAML, or has an unknown key or a wrong type, with its place in the file.
    """
    return parse_run(read_yaml(path, keys="name:, model:, engine: ..."), path)


def parse_run(data: Mapping[str, object], path: Path) -> RunConfig:
    """One run from a mapping that stands in the YAML file `path`.

    Raises:
        ConfigError: It has an unknown key or a wrong type.
    """
    try:
        return RunConfig.model_validate(with_local_encoders(data, path.parent), context={"folder": path.parent})
    except ValidationError as error:
        raise explained(path, error) from error


def candidate_of(baseline: RunConfig, candidate: RunConfig) -> RunConfig:
    """The candidate with what it takes from its baseline.

    Raises:
        ConfigError: The candidate asks for something else than the baseline does.
    """
    for key in SHARED:
        own, shared = getattr(candidate, key), getattr(baseline, key)
        if own is not None and own != shared:
            raise ConfigError(
                f"{candidate.name}: its '{key}' differs from that of its baseline {baseline.name} ({own} against "
                f"{shared}); runs can only be compared on the same ones: leave the key out of the candidate's file"
            )
    price = candidate.price_per_hour or baseline.price_per_hour
    return candidate.model_copy(update={**{key: getattr(baseline, key) for key in SHARED}, "price_per_hour": price})


def with_local_encoders(data: Mapping[str, object], folder: Path) -> dict[str, object]:
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
