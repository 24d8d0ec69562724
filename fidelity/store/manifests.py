"""What a finished directory of a store is: `manifest.json`, written last, by rename, and read as a typed record.

A key that its class gives a default may be missing: it was added later, or isn't known until the directory is whole.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, ValidationError, field_serializer

from fidelity.checkpoints.formats import Checkpoint
from fidelity.config import Compares, Reasoning, RunConfig, Sampling
from fidelity.errors import StoreError
from fidelity.files import whole_file
from fidelity.outside.paths import plain_name
from fidelity.records import EngineInfo, PromptTokens, Sameness, SharedAnswers
from fidelity.schema import JsonObject
from fidelity.text.thinking import NO_THINKING, ReasoningFormat

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2
READABLE = (1, 2)
NOT_OF_THE_RUN = {"metrics", "kl", "latency", "price_per_hour", "serving", "compares"}
"""Keys of a YAML that say what is done with a run's outputs, or beside them."""


FileName = Annotated[str, AfterValidator(plain_name)]
"""What a folder or a file of the store is called by; it can't lead anywhere else."""


class Record(BaseModel):
    """Base of what is read from a store."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def replace(self, **changes: object) -> Self:
        """The same with other values of some fields, checked like what is read."""
        return self.model_validate({**dict(self), **changes})


class Manifest(Record):
    """Base of the records that are a file of their own."""

    what: ClassVar[str] = "finished run or comparison"

    @classmethod
    def remedy(cls, file: Path) -> str:
        """What to do about a damaged file."""
        return f"delete the folder {file.parent.name} and run again"

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """What version 1 wrote, in the form of version 2."""
        return data

    def sealed(self) -> Self:
        """As it is written: with a seal, where the record has one."""
        return self

    @property
    def intact(self) -> bool:
        """Whether it is as it was written; where there is no seal nobody can tell."""
        return True


ManifestType = TypeVar("ManifestType", bound=Manifest)


class ResponseCounts(Record):
    """What came of a run's prompts, all repeats together."""

    prompts: int
    generations: int
    failures: int
    tokens: int
    longest_prompt: int | None = None
    """Tokens of the longest prompt; None where no prompt's number of tokens is known."""


class RunDraft(Manifest):
    """A run as it is planned and opened, before all its answers are there."""

    name: FileName
    digest: FileName
    """SHA-256 of all that can change an output."""
    created: str
    """ISO 8601 in UTC."""
    fidelity: str
    """The version that wrote it."""
    config: RunConfig
    """As the YAML has it, without what is done with the outputs."""
    sampling: Sampling | None
    """None for recorded outputs, of which it isn't known."""
    prompts_digest: str
    chunk: int | None
    """The most prompts in a batch that was waited for; None where there were no such batches."""
    batching: Literal["continuous"] | None = None
    """None where batches were waited for, and for recorded outputs."""
    resumed: int = 0
    """How often a run whose engine was kept full was killed and taken up again, in batches of another composition."""
    seed: int | None
    """Of the order and the sizes of the chunks."""
    control_of: str | None
    """The digest of the run whose control this is."""
    subset_of: str | None
    """The digest of the baseline's prompts, where these are only some of them."""
    planned: int | None
    """The prompts that there could have been, where a gate decided when to stop."""
    identity: Mapping[str, JsonValue]
    """What the engine says that its outputs depend on, in keys of its own."""
    engine: EngineInfo
    checkpoint: Checkpoint
    """All None for recorded outputs of which nothing is known."""
    label: str | None
    recorded_timings: Mapping[str, float]
    """Seconds over all rows of a recorded file that has times; empty if it has none."""
    unasked: tuple[str, ...] = ()
    """Prompts that a recorded file has answers to and that aren't the run's; not known in runs of older versions."""

    @property
    def id(self) -> str:
        """The run's directory in a store: its name and the beginning of its digest."""
        return f"{self.name}-{self.digest[:8]}"

    @field_serializer("config")
    def _of_the_run(self, config: RunConfig) -> Any:
        return config.model_dump(mode="json", exclude=NOT_OF_THE_RUN)

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """Subsets, planned prompts and times of recorded files came while version 1 was written."""
        upgraded = {"subset_of": None, "planned": None, "recorded_timings": {}, **data}
        return {**upgraded, "checkpoint": upgraded.get("checkpoint") or {}}


class RunManifest(RunDraft):
    """A finished run."""

    counts: ResponseCounts
    answers_sha256: str | None = None
    """Of the file with its answers; None in runs of older versions."""


class ColumnSource(Record):
    """Which metric a column came of."""

    signature: str
    column: str
    """The metric's own name for it."""


class DivergenceCounts(Record):
    """How many of a run's answers diverge from the baseline's, and at what."""

    answers: int
    diverged: int
    near_ties: int
    minds_changed: int
    """Of those that diverge while both still had a token to say; without a control nobody can tell, and both are 0."""


class ComparisonManifest(Manifest):
    """Two runs that were paired: a baseline with a candidate or a control, or a candidate with a control of its own."""

    baseline: FileName
    """The run's id, like the candidate's."""
    candidate: FileName
    created: str
    """ISO 8601 in UTC."""
    reasoning: Reasoning | None
    """How thinking is told from answers; None where nothing was said."""
    prompt_ids: tuple[str, ...]
    """The prompt of each pair, in the order of every column's values."""
    failures: Mapping[str, str]
    """Why a prompt has no pair, whichever of the two runs failed on it."""
    failed_prompts: tuple[str, ...]
    """Those that the candidate gave no answer to."""
    same: Sameness
    spelling_only: int | None = None
    """Pairs that differ in normalization alone; None in comparisons of older versions."""
    prompt_tokens: PromptTokens | None = None
    """How both models read the prompts; None in comparisons of older versions."""
    extra_prompts: tuple[str, ...] = ()
    """Prompts that the candidate's file has answers to, and the baseline's has not."""
    one_sided_thinking: int = 0
    """Pairs in which one side has thinking before its answer, and the other has not."""
    contradictions: int = 0
    """Pairs whose token ids are equal and whose texts aren't."""
    compares: tuple[Compares, ...] = ()
    """What the candidate's YAML declares that it is compared for."""
    reasoning_formats: tuple[ReasoningFormat, ReasoningFormat] = (NO_THINKING, NO_THINKING)
    """Of the baseline and of the candidate."""
    divergence: DivergenceCounts | None = None
    """None where both haven't scored the baseline's tokens."""
    columns: Mapping[str, ColumnSource] = {}
    """All that was scored, by the name that the reports use."""
    unscored: Mapping[str, str] = {}
    """Column to the reason why none of it could be scored."""
    inapplicable: Mapping[str, str] = {}
    """Column to the reason why it says nothing about these two runs."""
    controls: tuple[FileName, ...] | None = None
    """The comparisons of the baseline's controls, by directory; None for a control's own, and until all is scored."""
    own_controls: tuple[FileName, ...] = ()
    """The same of the candidate's own controls."""
    shared_answers: tuple[SharedAnswers, ...] = ()
    """Of candidate, baseline and each of `controls`; empty in comparisons of older versions."""
    candidates: int = 1
    """How many candidates were compared together when this one last was; their verdicts are to hold together."""
    answers: tuple[str | None, str | None] = (None, None)
    """Hashes of the answers that were compared, the baseline's first; None where a run has none."""
    seal: str | None = None
    """SHA-256 of all other keys, so that an edit by hand is noticed; None in comparisons of older versions."""

    def sealed(self) -> Self:
        """The same with its seal."""
        return self.replace(seal=self._digest())

    @property
    def intact(self) -> bool:
        """Whether its seal is that of its other keys; older versions set none."""
        return self.seal in (None, self._digest())

    def _digest(self) -> str:
        written = self.model_dump(mode="json", exclude={"seal"})
        return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()

    @classmethod
    def upgrade(cls, data: JsonObject) -> JsonObject:
        """Version 1 had other words for how a run thinks and where answers diverge, and no such keys at first."""
        upgraded = {"reasoning": None, **data}
        if formats := upgraded.pop("habits", None):
            upgraded["reasoning_formats"] = formats
        counts = upgraded.pop("partings", None)
        if isinstance(counts, dict):
            upgraded["divergence"] = {"diverged" if key == "parted" else key: n for key, n in counts.items()}
        return upgraded


def read_record(file: Path, kind: type[ManifestType]) -> ManifestType:
    """The record in a file.

    Raises:
        StoreError: It isn't there, it is damaged, or a newer version wrote it; names the file and the key.
    """
    data = _read_json(file, kind)
    version = data.pop("schema_version")
    try:
        record = kind.model_validate(kind.upgrade(data) if version == 1 else data)
    except ValidationError as error:
        wrong = "; ".join(_explained(one["loc"], one["type"], one["msg"]) for one in error.errors(include_input=False))
        raise StoreError(f"{file}: damaged ({wrong}); {kind.remedy(file)}") from error
    if not record.intact:
        raise StoreError(f"{file}: changed since it was written; {kind.remedy(file)}")
    return record


def damage_of(folder: Path, kind: type[Manifest]) -> str:
    """Why the record of a finished directory can't be read; empty where it can."""
    try:
        read_record(folder / MANIFEST, kind)
    except StoreError as error:
        return str(error)
    return ""


def _read_json(file: Path, kind: type[Manifest]) -> JsonObject:
    """A JSON object with a schema version that can be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{file.parent}: no {kind.what}: it has no {file.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{file}: damaged ({error}); {kind.remedy(file)}") from error
    if not isinstance(data, dict) or "schema_version" not in data:
        raise StoreError(f"{file}: damaged ('schema_version' is missing); {kind.remedy(file)}")
    if data["schema_version"] not in READABLE:
        raise StoreError(
            f"{file}: written with schema version {data['schema_version']}, this fidelity reads {READABLE[0]} to "
            f"{READABLE[-1]}; use the version that wrote it, or another --store"
        )
    return data


def write_record(file: Path, manifest: Manifest) -> None:
    """Write what a directory is; with this it is finished."""
    written = {"schema_version": SCHEMA_VERSION, **manifest.sealed().model_dump(mode="json")}
    with whole_file(file) as draft:
        draft.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _explained(place: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, place))
    match kind:
        case "missing":
            return f"{key!r} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"unknown key {key!r}"
    return f"{key!r}: {message}"
