"""The numbers of docs/study-2026.md, one record per run, from a store of comparisons and the exported token columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from statistics import fmean, median

import numpy as np

from fidelity.comparison.results import ComparisonSet, Scores, among_runs, control_values_of, values_of
from fidelity.comparison.stored import load_comparison
from fidelity.files import read_parquet
from fidelity.floor import ByPrompt, excess_by_prompt
from fidelity.prompts import load_prompts
from fidelity.records import Generation
from fidelity.stats.bootstrap import bca_interval
from fidelity.stats.shares import mcnemar
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.text.units import first_difference

ROOT = Path(__file__).resolve().parents[2]
TEXT = ("identical", "prefix_agreement", "rouge1", "rougeL", "length_similarity", "conflict_any")
BREAKS = ("break_empty", "break_loop", "break_json", "break_language")
READ = ("rouge1", "conflict_any", "break_loop", "drop")
"""Columns that are shown next to what a reader found."""
RESAMPLES = 2_000
PLACES = (1, 4, 16, 64, 256, 1024)
"""Tokens after which the share of answers that are still the baseline's is shown."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over prompts with its 95% interval (BCa bootstrap over prompts)."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Row:
    """A run compared with its baseline: a candidate, or all controls together (the floor)."""

    family: str
    """The baseline's name without its format."""
    name: str
    ran_as: str
    bytes: int | None
    mode: str
    means: Mapping[str, float]
    """Columns over the Arena-Hard prompts; over the starter prompts in a family that has no others."""
    excess: Mapping[str, Estimate]
    survival: Mapping[int, float]
    first: float
    """Median of the first divergence, in tokens."""
    expected: Mapping[str, float]
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Columns by prompt, for paired differences."""
    every: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Columns of READ over all prompts, also those with an expected answer."""

    @property
    def format(self) -> str:
        """The name within the family."""
        return self.name.removeprefix(f"{self.family}-")

    @property
    def floor(self) -> bool:
        return self.name.endswith("-floor")


class Numbers:
    """All rows of a store, families in the order of the study."""

    def __init__(self, store: Path, tokens: Path, families: Sequence[str]) -> None:
        self.store, self.families = Store(store), tuple(families)
        arena, starter = (load_prompts(ROOT / "prompts" / f"{name}.jsonl") for name in ("arena-hard-v0.1", "starter"))
        self.sets = {prompt.id for prompt in arena}, {f"starter-{prompt.id}" for prompt in starter}
        self.tokens: dict[str, dict[str, dict[str, float]]] = {}
        for row in read_parquet(tokens).to_pylist() if tokens.is_file() else ():
            self.tokens.setdefault(row["run"], {})[row["prompt"]] = row

    @cached_property
    def rows(self) -> dict[str, Row]:
        """By name: a family's floor first, then its candidates by name."""
        rows: dict[str, Row] = {}
        made = [c for c in self.store.comparisons() if c.manifest.controls is not None]
        results = sorted((load_comparison(c.path, lows=False) for c in made), key=lambda r: r.candidates[0].run.name)
        for family in self.families:
            own = [result for result in results if result.baseline.name == f"{family}-bf16"]
            if own and own[0].controls:
                rows[f"{family}-floor"] = self._floor(family, own[0])
            rows |= {(row := self._candidate(family, result)).name: row for result in own}
        return rows

    def _candidate(self, family: str, result: ComparisonSet) -> Row:
        [scores] = result.candidates
        columns = [name for name in (*TEXT, *BREAKS) if name in scores.columns]
        own = self._open_ended(scores.prompt_ids)
        by_prompt = {name: _within(own, values_of(scores, name)) for name in columns}
        by_prompt |= self._token_values([scores.run.name])
        excess = {
            name: _estimate(own, excess_by_prompt(among_runs(result, scores, name), scores.columns[name].column.better))
            for name in columns
            if result.controls
        }
        floor = self._token_values([control.run.name for control in result.controls])
        excess |= {
            name: _estimate(
                own, {p: sign * (floor[name][p] - v) for p, v in by_prompt[name].items() if p in floor[name]}
            )
            for name, sign in (("ear_exact", 1), ("top1_agreement", 1), ("sts", 1), ("kl", -1))
            if name in by_prompt and name in floor
        }
        survival, first = self._survival([(result.baseline, scores.run)])
        row = self._row(
            family, scores.run.name, scores.run, by_prompt, excess, survival, first, self._right(scores, result)
        )
        read = {n: _within(set(scores.prompt_ids), values_of(scores, n)) for n in READ if n in scores.columns}
        meaning = {p: one["sts"] for p, one in self.tokens.get(scores.run.name, {}).items() if one["sts"] is not None}
        return replace(row, every={**read, "sts": meaning})

    def _floor(self, family: str, result: ComparisonSet) -> Row:
        columns = [name for name in (*TEXT, *BREAKS) if all(name in c.columns for c in result.controls)]
        by_prompt = {
            name: _mean([_within(self._open_ended(c.prompt_ids), control_values_of(c, name)) for c in result.controls])
            for name in columns
        }
        by_prompt |= self._token_values([control.run.name for control in result.controls])
        survival, first = self._survival([(result.baseline, control.run) for control in result.controls])
        name, run = f"{family}-floor", result.baseline
        return self._row(family, name, run, by_prompt, {}, survival, first, self._right(result.controls[0], result))

    def _row(
        self,
        family: str,
        name: str,
        run: Run,
        by_prompt: Mapping[str, Mapping[str, float]],
        excess: Mapping[str, Estimate],
        survival: Mapping[int, float],
        first: float,
        expected: Mapping[str, float],
    ) -> Row:
        engine = run.manifest.engine
        cache = f", KV cache {engine.kv_cache}" if engine.kv_cache and "fp8" in engine.kv_cache else ""
        means = {key: self._mean_of(family, key, values) for key, values in by_prompt.items() if values}
        ran_as = f"{engine.ran_as or run.name}{cache}"
        size = run.manifest.checkpoint.bytes
        return Row(family, name, ran_as, size, engine.mode or "", means, excess, survival, first, expected, by_prompt)

    def _mean_of(self, family: str, column: str, values: Mapping[str, float]) -> float:
        """`kl` is a mean over tokens of the baseline's answers, everything else over prompts."""
        if column != "kl":
            return fmean(values.values())
        own = (rows for run, rows in self.tokens.items() if run.startswith(f"{family}-"))
        rows = next(rows for rows in own if any(row["tokens"] for row in rows.values()))
        weights = {p: rows[p]["tokens"] for p in values}
        return sum(values[p] * weights[p] for p in values) / sum(weights.values())

    def _token_values(self, runs: Sequence[str]) -> dict[str, dict[str, float]]:
        names = ("kl", "ear_exact", "top1_agreement", "sure_flips", "sts")
        of_runs = [self.tokens[run] for run in runs if run in self.tokens]
        own = self._open_ended(chain.from_iterable(of_runs))
        scored = {
            name: _mean(
                [{p: row[name] for p, row in rows.items() if row[name] is not None and p in own} for rows in of_runs]
            )
            for name in names
        }
        return {name: values for name, values in scored.items() if values}

    def _open_ended(self, prompt_ids: Iterable[str]) -> set[str]:
        """The prompts over which columns are averaged: Arena-Hard's, else the starter set's."""
        own = set(prompt_ids)
        arena, starter = (own & ids for ids in self.sets)
        return arena or starter

    def _survival(self, pairs: Sequence[tuple[Run, Run]]) -> tuple[dict[int, float], float]:
        """The share of answers that are the baseline's for so many tokens or to their end, and the median place."""
        places: list[float] = []
        lengths: list[int] = []
        longest = 0
        for baseline, other in pairs:
            answers = {o.prompt_id: o for o in other.outcomes() if isinstance(o, Generation)}
            own = self._open_ended(answers)
            for one in baseline.outcomes():
                two = answers.get(one.prompt_id)
                if one.prompt_id in own and isinstance(one, Generation) and two and one.token_ids and two.token_ids:
                    same = one.token_ids == two.token_ids
                    first = first_difference(one.token_ids, two.token_ids)
                    places.append(float("inf") if same else first)
                    lengths.append(first)
                    longest = max(longest, len(one.token_ids))
        shares = {n: fmean(place >= n for place in places) for n in PLACES if n <= longest}
        return shares, median(lengths) if lengths else float("nan")

    def _right(self, scores: Scores, result: ComparisonSet) -> dict[str, float]:
        """Drops and gains over the prompts with an expected answer, with the exact two-sided p of McNemar's test."""
        if "drop" not in scores.columns:
            return {}
        drop, gain, right = (values_of(scores, name) for name in ("drop", "gain", "right"))
        judged = [p for p, v in drop.items() if v is not None]
        counts = {
            name: sum(v[p].value for p in judged if v[p])
            for name, v in (("drop", drop), ("gain", gain), ("right", right))
        }
        counts |= {"n": len(judged), "baseline": counts["right"] + counts["drop"] - counts["gain"]}
        drops, gains = int(counts["drop"]), int(counts["gain"])
        return counts | {"p": min(1.0, 2 * min(mcnemar(drops, gains), mcnemar(gains, drops)))}


def _within(own: set[str], values: ByPrompt) -> dict[str, float]:
    return {p: v.value for p, v in values.items() if v is not None and p in own}


def _estimate(own: set[str], values: Mapping[str, float | None]) -> Estimate:
    return estimate({p: v for p, v in values.items() if v is not None and p in own})


def estimate(values: Mapping[str, float], *, resamples: int = RESAMPLES) -> Estimate:
    """A mean over prompts with its 95% interval."""
    if len(values) < 2:
        return Estimate(fmean(values.values()) if values else float("nan"), n=len(values))
    made = bca_interval(list(values), list(values.values()), resamples=resamples)
    return Estimate(fmean(values.values()), made.low, made.high, len(values))


def _mean(columns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each prompt's mean over several runs, where all have a value."""
    shared = set.intersection(*(set(column) for column in columns)) if columns else set()
    return {p: fmean(column[p] for column in columns) for p in (columns[0] if columns else ()) if p in shared}


def rank_correlation(x: Sequence[float], y: Sequence[float], *, seed: int = 0) -> Estimate:
    """Spearman's coefficient with a percentile interval over resampled rows (formats and models)."""
    from scipy.stats import spearmanr

    a, b = np.asarray(x), np.asarray(y)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(a), len(a))
        if len(set(a[rows])) > 1 and len(set(b[rows])) > 1:
            drawn.append(float(spearmanr(a[rows], b[rows]).statistic))
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (None, None)
    return Estimate(float(spearmanr(a, b).statistic), low, high, len(a))
