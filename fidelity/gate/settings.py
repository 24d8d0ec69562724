"""gate.yaml: the limits on drift, and the confidence of the verdict."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, PrivateAttr, Tag, ValidationError, model_validator

from fidelity.config import Declared, explained, read_yaml
from fidelity.errors import ConfigError
from fidelity.gate.verdict import SHARES, LineKind
from fidelity.records import Column
from fidelity.schema import Settings, nearest

LIMIT_KEYS = ("conflicts", "margins", "tail", "breaks", "drops")
"""The keys of a gate file that map columns or checks to limits."""
LARGEST_UNBOUNDED_MARGIN = math.log(2**18)
"""In nats, the unit of all columns without a known range: the loss of a model that guesses uniformly among 262,144
tokens, the largest vocabulary in use. A larger margin would accept a model that has learned nothing."""


def _no_percent(value: Any) -> Any:
    """Refuse a share that is written as a percentage, and name the correct number."""
    percent = value.removesuffix("%").strip() if isinstance(value, str) and value.endswith("%") else value
    try:
        share = float(percent) / 100
    except (TypeError, ValueError):
        return value
    if not isinstance(value, bool) and (percent is not value or 1 < share * 100 < 100):
        raise ValueError(
            f"Input should be less than 1: for {share:.4g} of all, or {100 * share:.4g}%, write {share:.4g}"
        )
    return value


Margin = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Floor = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_no_percent), Field(gt=0, lt=1, strict=True)]
Coverage = Annotated[float, BeforeValidator(_no_percent), Field(gt=0, le=1, strict=True)]
Coverages = Annotated[
    Annotated[Coverage, Tag("share")] | Annotated[dict[str, Coverage], Tag("by column")],
    Discriminator(lambda value: "by column" if isinstance(value, dict) else "share"),
]
MIN_COVERAGE = 0.9
HALF = 0.5
"""A share of prompts, or of a column's range, that no limit alone may accept."""

GATEABLE_FORMS = {"first_divergence": "prefix_agreement", "length_ratio": "length_similarity"}
"""Descriptive columns, and the columns that can be judged instead."""

OPTIMISTIC = frozenset({"kl_lower_bound", "ear_upper"})
"""Bounds on the side without drift: the drift may be any amount larger, so a limit on them limits nothing."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a gate, which becomes a line of the verdict."""

    kind: LineKind
    key: str
    """The key of the gate file: `conflicts`, `margins`, `tail`, `breaks`, `drops`."""
    name: str
    """The name in the gate file: a column, or a check."""
    column: str
    """The column that is judged."""
    value: float
    file: str = "gate"
    """The gate file, for error messages."""

    @property
    def place(self) -> str:
        """The place for error messages: `gate.yaml: margins.sts`, `gate.yaml: drops.max`."""
        return f"{self.file}: {self.key}.{'max' if self.kind == 'drop' else self.name}"


class Gate(Settings):
    """The limits for a candidate. Only the columns that are named are judged."""

    confidence: Annotated[float, BeforeValidator(_no_percent)] = Field(default=0.95, gt=0.5, lt=1, strict=True)
    """The one-sided confidence of every bound. A candidate exactly at its limit passes, or fails, with a probability of
at most 1 - confidence."""
    conflicts: dict[str, Share] = Field(default_factory=dict)
    """The acceptable share of prompts with a conflict, by kind (`number` is the column `conflict_number`)."""
    margins: dict[str, Margin] = Field(default_factory=dict)
    """The acceptable mean excess by column, in the column's unit."""
    tail: dict[str, Margin] = Field(default_factory=dict)
    """The acceptable excess of the worst 5% of prompts by column; judged with 200 or more prompts."""
    breaks: dict[str, Share] = Field(default_factory=dict)
    """The acceptable share of newly broken prompts, by check (`json` is the column `break_json`)."""
    drops: dict[Literal["max"], Share] = Field(default_factory=dict)
    """The acceptable share of prompts whose answer is right in the baseline and wrong in the candidate, as `max`; the
    prompts need an `expected` answer."""
    min_coverage: Coverages = MIN_COVERAGE
    """The share of all prompts that a line must cover to pass, as one number or by column (default 0.9). A column that
    doesn't apply to many prompts, such as JSON, needs a smaller share."""
    max_failed: Annotated[float, BeforeValidator(_no_percent)] = Field(default=0.02, ge=0, lt=1, strict=True)
    """The acceptable share of prompts without an answer."""
    allow_extra_prompts: bool = False
    """Whether a recorded candidate may pass if it has answers to prompts that the baseline lacks."""
    primary: str | None = None
    """The only deciding column, with conflicts, hard breaks and failures. Other lines warn."""
    compares: Declared = ()
    """How candidates are meant to differ from the baseline, besides their own YAML: `engine`, or a list. Default:
    `quantization`. Any other difference makes a fail inconclusive."""
    worst_floor: Floor | dict[str, Floor] | None = None
    """The lowest acceptable floor, for all similarities or by column. Without it, a floor in the lower half between the
    chance level and 1 makes a line inconclusive."""
    provisional: str | None = None
    """The candidate for which `fidelity gate init` proposed the limits. It can't pass until this key is deleted, which
    means that you agree to the limits."""
    allow_engine_difference: bool = False
    """An older spelling of `compares: [engine, hardware]`."""

    _file: str = PrivateAttr(default="gate")

    def __eq__(self, other: object) -> bool:
        """Whether both have the same limits, whatever their files."""
        return isinstance(other, Gate) and self.__dict__ == other.__dict__

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All limits on columns, in the order of their lines."""
        kinds: tuple[tuple[LineKind, str, dict[str, float]], ...] = (
            ("conflict", "conflicts", self.conflicts),
            ("margin", "margins", self.margins),
            ("tail", "tail", self.tail),
            ("break", "breaks", self.breaks),
            ("drop", "drops", {"drop": self.drops["max"]} if self.drops else {}),
        )
        return tuple(
            Limit(kind, key, name, column_of(kind, name), value, self._file)
            for kind, key, limits in kinds
            for name, value in limits.items()
        )

    def confidence_of_each(self, candidates: int) -> float:
        """The confidence of each of several verdicts, so all of them hold at `confidence` (Bonferroni)."""
        return 1 - (1 - self.confidence) / candidates

    def worst_floor_of(self, column: str) -> float | None:
        """The lowest acceptable floor of a column; None if the gate doesn't set it."""
        return self.worst_floor.get(column) if isinstance(self.worst_floor, dict) else self.worst_floor

    def decides(self, kind: LineKind, name: str) -> bool:
        """Whether a line counts for the verdict. With a `primary`, other lines only warn."""
        return kind in SHARES or self.primary in (None, name)

    @model_validator(mode="after")
    def _must_be_able_to_fail(self) -> Self:
        if not self.limits:
            raise ValueError(
                "contains no limit, so everything would pass; add 'conflicts', 'margins', 'tail', 'breaks' or 'drops'"
            )
        by_column = self.worst_floor if isinstance(self.worst_floor, dict) else {}
        if unknown := [name for name in by_column if name not in {**self.margins, **self.tail}]:
            hint = nearest(unknown[0], {**self.margins, **self.tail})
            raise ValueError(f"worst_floor: {unknown[0]!r} has no margin and no tail{hint}")
        if self.primary is not None and self.primary not in self.margins:
            raise ValueError(f"primary: {self.primary!r} has no margin{nearest(self.primary, self.margins)}")
        if isinstance(self.min_coverage, dict):
            named = [limit.name for limit in self.limits]
            for name in self.min_coverage:
                if name not in named:
                    raise ValueError(f"min_coverage: this gate has no limit on {name!r}{nearest(name, named)}")
        return self

    def coverage_of(self, name: str) -> float:
        """The `min_coverage` for a column, a kind of `conflicts` or a check of `breaks`."""
        return self.min_coverage.get(name, MIN_COVERAGE) if isinstance(self.min_coverage, dict) else self.min_coverage


def load_gate(path: Path) -> Gate:
    """Read a gate file.

    Raises:
        ConfigError: The file is missing, not YAML, or has no limit, an unknown key or a wrong type; names the place.
    """
    data = read_yaml(path, keys="confidence:, conflicts:, margins:, breaks: ...", written_once=LIMIT_KEYS)
    try:
        gate = Gate.model_validate(data)
    except ValidationError as error:
        raise explained(path, error) from error
    gate._file = str(path)
    return gate


def check_columns(
    gate: Gate,
    offered: Mapping[str, Column],
    *,
    unscored: Container[str] = (),
    addable: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check that every column in the gate exists and can be judged.

    Args:
        gate: The gate.
        offered: All columns that are scored, by name.
        unscored: Columns that exist but could not be scored on these runs. They become lines of the verdict.
        addable: Columns that could be scored too, with what to do for that.

    Raises:
        ConfigError: A column doesn't exist, isn't scored or is descriptive, a limit is outside its range, or no limit
            would fail a plainly bad copy. The message names what to write instead.
    """
    wrong = [
        f"{limit.place}: {why}"
        for limit in gate.limits
        if limit.column not in unscored and (why := _why_not_judged(limit, offered, addable))
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))
    deciding = [limit for limit in gate.limits if gate.decides(limit.kind, limit.name)]
    if all(_accepts_half(limit, offered.get(limit.column)) for limit in deciding):
        first = deciding[0]
        raise ConfigError(
            f"{first.place}: {first.value:g} accepts a copy that is broken in half of its answers, or half way to the "
            f"worst value, and no other limit decides; choose a smaller limit, or add a margin on a similarity (rougeL)"
        )


def _accepts_half(limit: Limit, column: Column | None) -> bool:
    """Whether a limit on a column without chance level accepts half of all (see `why_any_answer_passes`)."""
    if column is None or column.better != "lower":
        return False
    width = column.bounds[1] - column.bounds[0] if column.bounds else LARGEST_UNBOUNDED_MARGIN
    return limit.value >= HALF * width


def _why_not_judged(limit: Limit, offered: Mapping[str, Column], addable: Mapping[str, str]) -> str:
    """The error in a limit's column or value; empty if there is none."""
    judged = [name for name, column in offered.items() if column.better != "neither"]
    column = offered.get(limit.column)
    if column is None and limit.column in addable:
        return f"{limit.column} is not scored; {addable[limit.column]}"
    if column is None and limit.kind in ("break", "conflict"):
        key, full_name = (break_key, break_column) if limit.kind == "break" else (conflict_key, conflict_column)
        checks = [key(name) for name in judged if name == full_name(key(name))]
        if key(limit.name) != limit.name:
            return (
                f"the name is without {full_name('')!r} here; write {limit.key}: {{{key(limit.name)}: {limit.value:g}}}"
            )
        hint = nearest(limit.name, checks) if checks else f"; the metric {limit.key!r} provides these columns"
        return f"the column {limit.column!r} is not scored{hint}"
    if column is None:
        return f"no such column is scored{nearest(limit.name, judged)}"
    if column.better == "neither":
        return f"a descriptive column, which can't be judged{_gateable_form(limit.name, judged)}"
    if limit.column.rpartition(".")[2].partition("[")[0] in OPTIMISTIC:
        return (
            "the drift is at least this large and may be larger, so a limit on it limits nothing; use 'ear', or 'kl' "
            "with kl: {exact: true} in the baseline's YAML"
        )
    if column.bounds is None and limit.value >= LARGEST_UNBOUNDED_MARGIN:
        return (
            f"{limit.value:g} accepts any model: one that guesses its tokens loses at most "
            f"{LARGEST_UNBOUNDED_MARGIN:.1f} nats; choose a smaller limit"
        )
    if column.bounds and limit.value >= (width := column.bounds[1] - column.bounds[0]):
        return (
            f"{limit.value:g} can't be exceeded, since {limit.column} is between {column.bounds[0]:g} and "
            f"{column.bounds[1]:g}; choose a limit below {width:g}"
        )
    return ""


def break_column(key: str) -> str:
    """`json` is the column `break_json`, `label.json` the column `label.break_json`."""
    return _prefixed(key, "break_")


def break_key(column: str) -> str:
    """The gate's key for a column (the inverse)."""
    return _without_prefix(column, "break_")


def conflict_column(key: str) -> str:
    """`number` is the column `conflict_number`, `label.number` the column `label.conflict_number`."""
    return _prefixed(key, "conflict_")


def conflict_key(column: str) -> str:
    """The gate's key for a column (the inverse)."""
    return _without_prefix(column, "conflict_")


def column_of(kind: LineKind, name: str) -> str:
    """The column that a line judges."""
    match kind:
        case "break":
            return break_column(name)
        case "conflict":
            return conflict_column(name)
        case "drop":
            return "drop"
    return name


def _prefixed(key: str, prefix: str) -> str:
    label, dot, check = key.rpartition(".")
    return f"{label}{dot}{prefix}{check}"


def _without_prefix(column: str, prefix: str) -> str:
    label, dot, check = column.rpartition(".")
    return f"{label}{dot}{check.removeprefix(prefix)}"


def _gateable_form(name: str, judged: Sequence[str]) -> str:
    for described, form in GATEABLE_FORMS.items():
        if described in name:
            gateable = name.replace(described, form)
            scored = "" if gateable in judged else ", which is not scored here"
            return f"; use {gateable!r} instead{scored}"
    return nearest(name, judged)
