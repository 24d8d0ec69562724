"""A run's YAML file as a frozen model: the model, the engine, the prompts, the sampling and the control."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from fidelity.config.compares import Declared
from fidelity.config.engines import (
    AnyEngine,
    ExecuTorchEngine,
    RecordedEngine,
    Requests,
    StoredEngine,
    TransformersEngine,
    VllmEngine,
    VllmSettings,
)
from fidelity.config.files import ModelName, PromptSet, RelativePath, read_yaml
from fidelity.config.latency import Latency
from fidelity.config.messages import explained
from fidelity.errors import ConfigError
from fidelity.metrics import AnyMetric
from fidelity.schema import JsonObject, Settings
from fidelity.text.thinking import THINK

DEFAULT_BATCH = 128


class Sampling(Settings):
    """How tokens are sampled; passed to the engine unchanged."""

    temperature: float = Field(default=0.0, ge=0)
    """0 is greedy."""
    max_tokens: int = Field(default=256, ge=1)
    """The maximum length of an answer, in tokens."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0 is the whole vocabulary."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)
    seed: int = 0
    stop: tuple[str, ...] = ()
    repeats: int = Field(default=1, ge=1, le=10_000)
    """The number of answers per prompt, each with its own seed. More than one needs a temperature above 0."""

    @model_validator(mode="after")
    def _repeats_differ(self) -> Self:
        if self.repeats > 1 and self.temperature == 0:
            raise ValueError(
                f"repeats: {self.repeats} at temperature 0 would give the same answer {self.repeats} times; set a "
                f"temperature above 0, or remove 'repeats'"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_a_single_repeat(self, serialize: SerializerFunctionWrapHandler) -> JsonObject:
        """Older runs had one repeat and no such field, so a single repeat enters no manifest and changes no digest."""
        fields: JsonObject = serialize(self)
        if self.repeats == 1:
            fields.pop("repeats", None)
        return fields

    def seed_of(self, prompt_id: str, repeat: int) -> int:
        """The seed of one answer, in 31 bits: the same in every run with this sampling.

        With several repeats every prompt has its own seeds. With shared seeds all prompts would draw the same random
        numbers, so many prompts would be no more informative than a few draws.
        """
        if self.repeats == 1:
            return self.seed
        digest = hashlib.sha256(f"{self.seed}/{repeat}/{prompt_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1


class Reasoning(Settings):
    """How to separate a reasoning model's thinking from its answer if the engine returns both as one text."""

    parser: Literal["auto", "think", "harmony", "none"] = "auto"
    """`think`: tags. `harmony`: the channels of gpt-oss. `auto`: detect it from the outputs. `none`: don't separate."""
    tags: tuple[str, str] = THINK
    """The opening and closing tags of `think`."""

    @field_validator("tags")
    @classmethod
    def _check_distinct(cls, tags: tuple[str, str]) -> tuple[str, str]:
        if not all(tag.strip() for tag in tags) or tags[0] == tags[1]:
            raise ValueError("expected two different tags, such as ['<think>', '</think>']")
        return tags


class Control(Settings):
    """The baseline generated again in another order and other batches, to measure the floor."""

    repeats: int = Field(default=2, ge=1)
    """The number of controls. One can't show how far runs vary; more than two measure the floor more precisely."""
    path: Annotated[tuple[RelativePath, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = ()
    """For a recorded or stored baseline: its controls, as recorded files or run directories."""


class TeacherForcing(Settings):
    """Teacher forcing: the probability that each run gives to each token of the baseline's answers."""

    top_k: int = Field(default=20, ge=1)
    """The number of most likely tokens to store at each position."""
    exact: bool = False
    """Also store the model's hidden states, for exact KL: as many bytes per token as a hidden state has."""
    prompts: int | None = Field(default=None, ge=1)
    """`exact` applies to the first this many prompts. Default: all."""
    tokens: int | None = Field(default=None, ge=1)
    """`exact` applies to the first this many tokens of their answers. Default: all."""


class Drained(Settings):
    """Drained batches: the next batch starts when the longest answer of the last one is finished.

    Two to four times slower if answers differ in length, but a resumed run equals an uninterrupted one byte for byte.
    """

    drained: int = Field(ge=2)
    """The maximum batch size. Sizes are drawn at random between a quarter of it and this."""


Batching = Literal["continuous", "invariant"] | Drained
"""How prompts enter the engine. `continuous`: the next prompt is admitted when one finishes. `invariant`: the same with
vLLM's batch-invariant kernels: answers don't depend on the batch, so the floor is zero."""


def _named_metric(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


NamedMetric = Annotated[AnyMetric, BeforeValidator(_named_metric)]
"""A metric with its parameters, or only its kind."""


class RunConfig(Settings):
    """The YAML file of one run: one model's outputs for one prompt set."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)
    """A short name for directories and tables. It also seeds a candidate's order."""
    model: ModelName | None = None
    """A directory or a Hub id (`org/name`)."""
    revision: str | None = None
    """The Hub revision, to pin one."""
    engine: AnyEngine
    """What runs the model, by `kind`, with its options."""
    prompts: PromptSet | None = None
    """A prompt set: `starter`, `arena-hard`, a file, or `hf:DATASET[:SPLIT]`. A candidate uses the baseline's."""
    sampling: Sampling | None = None
    """A candidate uses the baseline's."""
    batching: Batching | None = None
    """`continuous`, `invariant` or `{drained: 32}`. vLLM defaults to continuous; servers are always continuous; the
    engines `transformers` and `executorch` take batches of up to 128. A candidate uses the baseline's."""
    chunk: int | None = Field(default=None, ge=2)
    """An older spelling of `batching: {drained: ...}`."""
    reasoning: Reasoning | None = None
    """How to separate thinking from answers. Default: detect it. A candidate uses the baseline's."""
    control: Control | Literal["none"] | None = None
    """The baseline's controls. Default: two; none with `batching: invariant`, where the floor is zero by proof. With
    `none` there is no control, and the floor can't be measured."""
    kl: TeacherForcing | Literal["none"] | None = None
    """Settings for teacher forcing, in the baseline's YAML. Default: on, if the engine supports it. `none`: off."""
    metrics: tuple[NamedMetric, ...] | None = None
    """The metrics, in the baseline's YAML. Default: the default set."""
    latency: Latency | None = None
    """Time some requests one at a time after the run. Default: off. A candidate uses the baseline's."""
    price_per_hour: float | None = Field(default=None, gt=0)
    """The machine's cost per hour, in any currency. A candidate without one uses the baseline's."""
    serving: tuple[RelativePath, ...] = ()
    """Results of `vllm bench serve --save-result` for this model: one JSON file per request rate."""
    label: str | None = None
    """The name of the format, if the checkpoint doesn't state it (a recorded run)."""
    compares: Declared = ()
    """How a candidate is meant to differ from its baseline. Default: the gate's `compares:`, else `quantization`."""

    @cached_property  # so that it is no part of equality
    def file_or_name(self) -> str:
        """Where to repair it: its YAML file; the run's name, if the run is part of a study's file."""
        return self.name

    @field_validator("control", "kl", mode="before")
    @classmethod
    def _a_mapping_or_none(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or value == "none" or isinstance(value, dict | Settings):
            return value
        number = isinstance(value, int) and not isinstance(value, bool)
        entry = {"kl": "top_k: 20"}.get(
            str(info.field_name), f"path: {value}" if isinstance(value, str) else f"repeats: {value if number else 1}"
        )
        off = "" if number or isinstance(value, str) else f"{info.field_name}: none, or "
        given = json.dumps(value, default=str)
        raise ValueError(f"expected a mapping or none, got {given}; write {off}{info.field_name}: {{{entry}}}")

    @model_validator(mode="after")
    def _needs_a_model(self) -> Self:
        if isinstance(self.engine, VllmSettings | TransformersEngine) and self.model is None:
            raise ValueError(f"'model' is missing: the engine {self.engine.kind!r} needs a directory or a Hub id")
        return self

    @model_validator(mode="after")
    def _one_way_of_batching(self) -> Self:
        if self.batching and self.chunk:
            raise ValueError(
                f"'batching' and 'chunk' are both set; remove 'chunk' and write batching: {{drained: {self.chunk}}}"
            )
        if self.batching == "continuous" and isinstance(self.engine, TransformersEngine | ExecuTorchEngine):
            raise ValueError(
                f"batching: the engine {self.engine.kind!r} takes batches; remove 'batching', or set 'drained'"
            )
        if self.batching == "invariant" and not isinstance(self.engine, VllmEngine | RecordedEngine | StoredEngine):
            raise ValueError(
                f"batching: invariant needs the engine 'vllm', but this one is {self.engine.kind!r}: only vLLM has "
                "batch-invariant kernels, and only in a process of fidelity's can they be checked"
            )
        return self

    @property
    def batch_invariant(self) -> bool:
        """Whether vLLM is to use its batch-invariant kernels; its other engines have none."""
        return self.batching == "invariant" and isinstance(self.engine, VllmEngine)

    @property
    def drained(self) -> int | None:
        """The maximum size of a drained batch; None for continuous batching."""
        if isinstance(self.engine, Requests) or self.batching == "continuous":
            return None
        given = self.batching.drained if isinstance(self.batching, Drained) else self.chunk
        return given or (None if isinstance(self.engine, VllmEngine) else DEFAULT_BATCH)


SHARED = ("prompts", "sampling", "batching", "chunk", "reasoning", "latency")
"""The keys that a candidate takes from its baseline. If it sets one too, both values must be equal."""


def load_run(path: Path) -> RunConfig:
    """Read a run's YAML file. Paths in it are relative to that file.

    Raises:
        ConfigError: The file is missing, not YAML, or has an unknown key or a wrong type, with its place in the file.
    """
    config = parse_run(read_yaml(path, keys="name:, model:, engine: ..."), path)
    config.__dict__["file_or_name"] = str(path)
    return config


def parse_run(data: Mapping[str, object], path: Path) -> RunConfig:
    """Read one run from a mapping in the YAML file `path`.

    Raises:
        ConfigError: It has an unknown key or a wrong type.
    """
    try:
        return RunConfig.model_validate(with_local_encoders(data, path.parent), context={"folder": path.parent})
    except ValidationError as error:
        raise explained(path, error) from error


def candidate_of(baseline: RunConfig, candidate: RunConfig) -> RunConfig:
    """Return the candidate with the keys that it takes from its baseline.

    An engine without batch-invariant kernels keeps its own batching.

    Raises:
        ConfigError: The candidate sets such a key to another value than the baseline.
    """
    if baseline.batching == "invariant" and not isinstance(candidate.engine, VllmEngine):
        baseline = baseline.model_copy(update={"batching": candidate.batching})
    for key in SHARED:
        own, shared = getattr(candidate, key), getattr(baseline, key)
        if own is not None and own != shared:
            raise ConfigError(
                f"{candidate.name}: its '{key}' differs from that of its baseline {baseline.name} ({own} against "
                f"{shared}); both must be equal to compare them: remove the key from the candidate's file"
            )
    price = candidate.price_per_hour or baseline.price_per_hour
    return candidate.model_copy(update={**{key: getattr(baseline, key) for key in SHARED}, "price_per_hour": price})


def with_local_encoders(data: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Metrics don't know their YAML file, so relative directories of encoders in `metrics` are made absolute here."""
    metrics = data.get("metrics")
    if not isinstance(metrics, list):
        return dict(data)
    return {**data, "metrics": [_with_local_encoder(metric, folder) for metric in metrics]}


def _with_local_encoder(metric: Any, folder: Path) -> Any:
    match metric:
        case {"encoder": str() as encoder} if (folder / encoder).is_dir() or encoder.startswith("."):
            return {**metric, "encoder": str((folder / encoder).resolve())}
    return metric
