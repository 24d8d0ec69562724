"""The result of a comparison: its numbers as tables and reports, its verdicts, and reading it from a store."""

import os
import shutil
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from fidelity.api import tables
from fidelity.comparison.evidence import verdicts
from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.comparison.reviews import review_summary
from fidelity.comparison.stored import load_comparison
from fidelity.comparison.vote_summary import ReviewSummary
from fidelity.config import explained
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.gate import Gate, Verdict, load_gate
from fidelity.report import as_json, as_markdown
from fidelity.store.reviews import Review, latest, read_reviews
from fidelity.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


class ComparisonResult:
    """A baseline, its controls and its candidates, scored."""

    def __init__(self, scored: ComparisonSet, *, temporary: Path | None = None) -> None:
        self.scored = scored
        """The numbers as the other modules use them."""
        if temporary:  # a temporary store, which is deleted with this result
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)

    @property
    def baseline(self) -> str:
        """The baseline run's name."""
        return self.scored.baseline.name

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names of the candidates that were compared."""
        return tuple(candidate.run.name for candidate in self.scored.candidates)

    @property
    def not_compared(self) -> dict[str, str]:
        """The candidates that could not be generated or compared, with the reason."""
        return dict(self.scored.not_compared)

    def to_pandas(self, per: Literal["pair", "column"] = "pair") -> "pd.DataFrame":
        """Return the numbers as a table.

        Args:
            per: `pair`: a row for each prompt (and repeat) of every control and candidate, with both texts, why there
                is no output, and a value in each column, NaN where it can't be scored. `column`: a row for each column
                of every candidate, with its value, the floor, the excess over it (positive is worse), the chance level
                (its value between answers to different prompts), and how many prompts could be scored.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise MissingPackageError("pandas", extra="pandas", needed_by="to_pandas()") from None
        rows = tables.pair_rows(self.scored) if per == "pair" else tables.column_rows(self.scored)
        return pd.DataFrame(list(rows))

    def to_json(self) -> dict[str, object]:
        """Return all numbers, unrounded, in the format of `fidelity compare --json`."""
        return as_json(self.scored)

    def to_markdown(self) -> str:
        """Return the report of `fidelity compare --markdown`."""
        return as_markdown(self.scored)

    def reviews(self) -> list[Review]:
        """Return the newest vote of each reviewer on each pair of the candidates, oldest first."""
        comparisons = [candidate.comparison.path for candidate in self.scored.candidates]
        return [vote for path in comparisons for vote in latest(read_reviews(path.parent.parent, path.name)[0])]

    def review_summaries(self) -> dict[str, ReviewSummary]:
        """Return what the votes on each candidate add up to, by name: worse, better or undecided, with an interval."""
        return {one.run.name: review_summary(one.comparison.path) for one in self.scored.candidates}

    def __repr__(self) -> str:
        return f"<ComparisonResult of {', '.join(self.candidates) or 'nothing'} with {self.baseline}>"


def load(path: str | os.PathLike[str]) -> ComparisonResult:
    """Read a comparison (a directory in a store's `comparisons/`), or all comparisons of a store with one baseline.

    From a store, the newest comparison of each candidate is read. No model is loaded and nothing is scored.

    Raises:
        ConfigError: The store has no comparison of a candidate, or comparisons with several baselines.
        StoreError: The comparison is missing, damaged or not finished.
    """
    folder = Path(path)
    if not (folder / "comparisons").is_dir():
        return ComparisonResult(load_comparison(folder))
    newest = {}
    for comparison in sorted(Store(folder).comparisons(), key=lambda one: one.manifest.created):
        if comparison.manifest.controls is not None:
            newest[comparison.manifest.candidate.rpartition("-")[0]] = comparison
    floors = {(one.manifest.baseline, one.manifest.controls) for one in newest.values()}
    if len(floors) != 1:
        names = ", ".join(sorted(one.path.name for one in newest.values())) or "none; run a comparison first"
        raise ConfigError(
            f"{folder}: needs exactly one baseline with one set of controls; name one comparison: {names}"
        )
    shared: dict[str, Scores] = {}
    sets = [load_comparison(comparison.path, shared=shared) for comparison in newest.values()]
    return ComparisonResult(replace(sets[0], candidates=tuple(one for some in sets for one in some.candidates)))


def judge(
    comparison: ComparisonResult, gate: Gate | str | os.PathLike[str] | Mapping[str, object]
) -> dict[str, Verdict]:
    """Return the verdict on each candidate, by name: pass, fail or inconclusive, with the reasons.

    Args:
        comparison: What was compared.
        gate: A gate, its YAML file, or the file's content as a mapping: `{"margins": {"rougeL": 0.05}}`.

    Raises:
        ConfigError: The gate has no limit, or names a column that was not scored or can't be judged.
    """
    return verdicts(comparison.scored, _gate(gate))


def _gate(gate: Gate | str | os.PathLike[str] | Mapping[str, object]) -> Gate:
    if isinstance(gate, Gate):
        return gate
    if isinstance(gate, str | os.PathLike):
        return load_gate(Path(gate))
    try:
        return Gate.model_validate(dict(gate))
    except ValidationError as error:
        raise explained(Path("gate"), error) from error
