"""gate.yaml: how much drift is acceptable, and how sure the verdict has to be."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from fidelity.config import explained, read_yaml
from fidelity.errors import ConfigError
from fidelity.records import Column
from fidelity.schema import Settings, nearest

Margin = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
Coverage = Annotated[float, Field(gt=0, le=1, strict=True)]
MIN_COVERAGE = 0.9

GATEABLE_FORMS = {"first_divergence": "prefix_agreement", "length_ratio": "length_similarity"}
"""Columns that only describe, and what says the same in a form that can be judged."""


class Gate(Settings):
    """What a candidate is held to. A limit that isn't named isn't judged."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1, strict=True)
    """Of every bound, one-sided; 1 - confidence is how often a candidate at its limit may pass, or fail."""
    margins: dict[str, Margin] = Field(default_factory=dict)
    """By column: the mean excess that is acceptable, in the column's own unit."""
    tail: dict[str, Margin] = Field(default_factory=dict)
    """By column: the excess of the worst 5 % of prompts that is acceptable; judged from 200 prompts on."""
    breaks: dict[str, Share] = Field(default_factory=dict)
    """By check (`json` is the column `break_json`): the share of prompts that may be newly broken."""
    min_coverage: Coverage | dict[str, Coverage] = MIN_COVERAGE
    """The share of all prompts that a line must have been judged on to pass; by column where they differ (the others
    are held to 0.9). What has nothing to score on many prompts, such as JSON, takes a smaller one."""
    max_failed: float = Field(default=0.02, ge=0, lt=1, strict=True)
    """The share of prompts that may be left without an answer; beyond it the rest says too little."""
    primary: str | None = None
    """The one column whose lines decide, with the hard breaks and the failures; the other lines warn."""
    allow_engine_difference: bool = False
    """Let a candidate fail although its engine's mode, version or hardware is another than the baseline's."""

    @model_validator(mode="after")
    def _must_be_able_to_fail(self) -> Self:
        if not (self.margins or self.tail or self.breaks):
            raise ValueError("no limit in it, so that everything would pass: name 'margins', 'tail' or 'breaks'")
        if self.primary is not None and self.primary not in self.margins:
            raise ValueError(f"primary: {self.primary!r} has no margin{nearest(self.primary, self.margins)}")
        if isinstance(self.min_coverage, dict):
            named = [*self.margins, *self.tail, *self.breaks]
            for name in self.min_coverage:
                if name not in named:
                    raise ValueError(f"min_coverage: no line of this gate is on {name!r}{nearest(name, named)}")
        return self

    def coverage_of(self, name: str) -> float:
        """The `min_coverage` of the lines on a column, or on a check of `breaks`."""
        return self.min_coverage.get(name, MIN_COVERAGE) if isinstance(self.min_coverage, dict) else self.min_coverage


def load_gate(path: Path) -> Gate:
    """Read a gate file.

    Raises:
        ConfigError: The file is missing, not YAML, has no limit, an unknown key or a wrong type, with its place.
    """
    try:
        return Gate.model_validate(read_yaml(path, keys="confidence:, margins:, breaks: ..."))
    except ValidationError as error:
        raise explained(path, error) from error


def check_columns(gate: Gate, offered: Mapping[str, Column], *, unscored: Container[str] = ()) -> None:
    """Whether everything that the gate names is there to be judged.

    Args:
        gate: The gate.
        offered: All columns that are scored, by name.
        unscored: Columns that exist, and could not be scored on these runs: a line for the verdict, no mistake.

    Raises:
        ConfigError: A column doesn't exist, or only describes; the message names the nearest that can be judged.
    """
    judged = [name for name, column in offered.items() if column.better != "neither"]
    for key, limits in (("margins", gate.margins), ("tail", gate.tail)):
        for name, limit in limits.items():
            where = f"gate: {key}.{name}"
            if name in unscored:
                continue
            if name not in offered:
                raise ConfigError(f"{where}: no such column among what is scored{nearest(name, judged)}")
            if offered[name].better == "neither":
                raise ConfigError(f"{where}: a column that only describes{_gateable_form(name, judged)}")
            bounds = offered[name].bounds
            if bounds and limit >= bounds[1] - bounds[0]:
                raise ConfigError(
                    f"{where}: {limit:g} can't be exceeded, so nothing could fail: {name} goes from {bounds[0]:g} to "
                    f"{bounds[1]:g}, so give less than {bounds[1] - bounds[0]:g}"
                )
    breaks = [break_key(name) for name in judged if name == break_column(break_key(name))]
    for name in gate.breaks:
        if break_column(name) not in offered and break_column(name) not in unscored:
            hint = nearest(name, breaks) if breaks else "; the metric 'breaks' gives them"
            raise ConfigError(f"gate: breaks.{name}: no column {break_column(name)!r} among what is scored{hint}")


def break_column(key: str) -> str:
    """`json` is the column `break_json`, `label.json` the column `label.break_json`."""
    label, dot, check = key.rpartition(".")
    return f"{label}{dot}break_{check}"


def break_key(column: str) -> str:
    """The other way: the gate's key for a column."""
    label, dot, check = column.rpartition(".")
    return f"{label}{dot}{check.removeprefix('break_')}"


def _gateable_form(name: str, judged: Sequence[str]) -> str:
    for described, form in GATEABLE_FORMS.items():
        if described in name:
            gateable = name.replace(described, form)
            scored = "" if gateable in judged else ", which is not scored here"
            return f"; its form that can be judged is {gateable!r}{scored}"
    return nearest(name, judged)
