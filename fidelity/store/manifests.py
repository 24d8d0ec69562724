"""The manifests of finished runs and comparisons, as typed records.

A key with a default can be missing: it was added later, or isn't known until the directory is complete.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    GetPydanticSchema,
    JsonValue,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_serializer,
)

from fidelity.checkpoints.formats import Checkpoint
from fidelity.config import Compares, Reasoning, RunConfig, Sampling
from fidelity.outside.secrets import masked
from fidelity.records import EngineInfo, PackedTexts, PromptTokens, Sameness, SharedAnswers
from fidelity.schema import JsonObject
from fidelity.store.record_files import FileName, Manifest, Record
from fidelity.text.thinking import NO_THINKING, ReasoningFormat

NOT_OF_THE_RUN = {"metrics", "kl", "latency", "price_per_hour", "serving", "compares"}
"""Keys of a run's YAML that don't affect its outputs."""


def _packed(value: Any, validate: ValidatorFunctionWrapHandler) -> PackedTexts:
    return value if isinstance(value, PackedTexts) else PackedTexts(validate(value))


ListOfTexts: TypeAlias = Annotated[
    Sequence[str],
    GetPydanticSchema(lambda _, schema_of: schema_of(tuple[str, ...])),
    WrapValidator(_packed),
    PlainSerializer(list),
]
"""A list of texts, as `PackedTexts`: there may be millions."""


class ResponseCounts(Record):
    """The outcomes of a run's prompts, all repeats together."""

    prompts: int
    generations: int
    failures: int
    tokens: int
    longest_prompt: int | None = None
    """Tokens of the longest prompt; None where no prompt's number of tokens is known."""
    world_failures: int = 0
    """Of the failures, those of the network or a server: they are asked again at the next run."""


class Invariance(Record):
    """Some prompts of a run answered again, alone in the engine: do answers depend on the batch?"""

    prompts: int
    """The number of these prompts."""
    tokens: int
    """Tokens compared."""
    same_tokens: int
    """Prompts with equal tokens, up to the last one compared."""
    same_logprobs: int
    """Of these, prompts with log-probabilities that are equal bit by bit."""

    @property
    def holds(self) -> bool:
        """Whether no answer depends on the batch."""
        return 0 < self.prompts == self.same_tokens == self.same_logprobs


class RunDraft(Manifest):
    """A run that is planned and opened, before all of its answers are finished."""

    name: FileName
    digest: FileName
    """SHA-256 of everything that can change an output."""
    created: str
    """ISO 8601 in UTC."""
    fidelity: str
    """The version of fidelity that wrote it."""
    config: RunConfig
    """The run's YAML, without the keys that don't affect outputs."""
    sampling: Sampling | None
    """None for recorded outputs (unknown)."""
    prompts_digest: str
    chunk: int | None
    """The maximum size of a drained batch; None with continuous batching."""
    batching: Literal["continuous"] | None = None
    """None with drained batches, and for recorded outputs."""
    invariance: Invariance | None = None
    """Whether its answers depend on the batch, if batch-invariant kernels were asked for."""
    resumed: int = 0
    """How often a run with continuous batching was killed and resumed, which changes the composition of its batches."""
    seed: int | None
    """The seed of the order and of the chunk sizes."""
    control_of: str | None
    """If this is a control: the digest of the run that it repeats."""
    subset_of: str | None
    """The digest of the baseline's prompts, if this run has only some of them."""
    planned: int | None
    """The number of prompts available, if a gate decided when to stop."""
    identity: Mapping[str, JsonValue]
    """The engine's own settings that its outputs depend on."""
    engine: EngineInfo
    checkpoint: Checkpoint
    """All fields are None for recorded outputs of which nothing is known."""
    label: str | None
    recorded_timings: Mapping[str, float]
    """Total seconds over the rows of a recorded file with times; empty without times."""
    unasked: tuple[str, ...] = ()
    """Prompts that only the recorded file has, not the run; not known in runs of older versions."""

    @property
    def id(self) -> str:
        """The run's directory name in a store: its name and the start of its digest."""
        return f"{self.name}-{self.digest[:8]}"

    @property
    def batch_invariant(self) -> bool:
        """Whether it is proven that its answers don't depend on the batch."""
        return self.invariance is not None and self.invariance.holds

    @field_serializer("config")
    def _of_the_run(self, config: RunConfig) -> Any:
        return masked(config.model_dump(mode="json", exclude=NOT_OF_THE_RUN))

    @field_serializer("identity", "engine", mode="wrap")
    def _without_secrets(self, value: Any, serialize: SerializerFunctionWrapHandler) -> Any:
        return masked(serialize(value))

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """Convert version 1, which gained subsets, planned prompts and times of recorded files over time."""
        upgraded = {"subset_of": None, "planned": None, "recorded_timings": {}, **data}
        return {**upgraded, "checkpoint": upgraded.get("checkpoint") or {}}


class RunManifest(RunDraft):
    """A finished run."""

    counts: ResponseCounts
    answers_sha256: str | None = None
    """Hash of the file with its answers; None in runs of older versions."""


class ColumnSource(Record):
    """The metric that gave a column."""

    signature: str
    column: str
    """The metric's name for the column."""
    chance: str | None = None
    """The signature of its chance level, if that was scored; None also in comparisons of older versions."""


class DivergenceCounts(Record):
    """How many of a run's answers diverge from the baseline, and at which kind of token."""

    answers: int
    diverged: int
    near_ties: int
    minds_changed: int
    """Answers that diverge before either ends, at a near tie or not. Without a control this is unknown: both are 0."""


class ComparisonManifest(Manifest):
    """Two paired runs: a baseline with a candidate or control, or a candidate with its own control."""

    baseline: FileName
    """The id of the baseline's run; the next field has the candidate's."""
    candidate: FileName
    created: str
    """ISO 8601 in UTC."""
    reasoning: Reasoning | None
    """The configured reasoning format; None if none was configured."""
    prompt_ids: ListOfTexts
    """The prompt of each pair, in the order of every column's values."""
    failures: Mapping[str, str]
    """Why a prompt has no pair, by prompt id, whichever run failed."""
    failed_prompts: tuple[str, ...]
    """The prompts that the candidate didn't answer."""
    same: Sameness
    spelling_only: int | None = None
    """The number of pairs that differ only in normalization; None in comparisons of older versions."""
    prompt_tokens: PromptTokens | None = None
    """How both models read the prompts; None in comparisons of older versions."""
    answers: tuple[str | None, str | None] | None = None
    """`answers_sha256` of both runs: what was scored. None in comparisons of older versions."""
    extra_prompts: tuple[str, ...] = ()
    """Prompts that only the candidate's file has answers to."""
    one_sided_thinking: int = 0
    """Pairs in which only one side has thinking before its answer."""
    contradictions: int = 0
    """Pairs with equal token ids and different texts."""
    compares: tuple[Compares, ...] = ()
    """`compares:` of the candidate's YAML."""
    reasoning_formats: tuple[ReasoningFormat, ReasoningFormat] = (NO_THINKING, NO_THINKING)
    """The reasoning formats of the baseline and the candidate."""
    divergence: DivergenceCounts | None = None
    """None unless both runs have scored the baseline's tokens."""
    columns: Mapping[str, ColumnSource] = {}
    """All scored columns, by the name that the reports use."""
    unscored: Mapping[str, str] = {}
    """Why a whole column could not be scored, by column name."""
    inapplicable: Mapping[str, str] = {}
    """Why a column doesn't apply to these two runs, by column name."""
    controls: tuple[FileName, ...] | None = None
    """Directories of the comparisons of the baseline's controls; None for a control, and until scoring is finished."""
    own_controls: tuple[FileName, ...] = ()
    """Directories of the comparisons of the candidate's own controls."""
    references: tuple[str, ...] = ()
    """Folders of the candidate's comparisons with each control; empty where an older version compared it."""
    between_controls: tuple[str, ...] = ()
    """Folders of the controls' comparisons with each other."""
    shared_answers: tuple[SharedAnswers, ...] = ()
    """Hashes of candidate, baseline and each of `controls`; empty in comparisons of older versions."""
    candidates: int = 1
    """The number of candidates in the last comparison of this one. Their verdicts hold simultaneously."""

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """Convert version 1, which had other keys for reasoning formats and divergence, or none."""
        upgraded = {"reasoning": None, **data}
        if formats := upgraded.pop("habits", None):
            upgraded["reasoning_formats"] = formats
        counts = upgraded.pop("partings", None)
        if isinstance(counts, dict):
            upgraded["divergence"] = {"diverged" if key == "parted" else key: n for key, n in counts.items()}
        return upgraded
