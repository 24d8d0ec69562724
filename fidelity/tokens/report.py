"""All that there is to say of a comparison token by token, in one place: for the command line and the dashboard."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fidelity.store.runs import Run
from fidelity.tokens.first_divergence import Divergence, Survival, divergences, noise, survival
from fidelity.tokens.statistics import TokenStatistics, token_statistics


@dataclass(frozen=True, slots=True)
class RunTokens:
    """One run held against the baseline."""

    run: str
    statistics: TokenStatistics
    survival: Survival
    divergences: list[Divergence]


@dataclass(frozen=True, slots=True)
class TokenReport:
    """The controls, which are the floor, and then the candidate."""

    baseline: str
    runs: tuple[RunTokens, ...]
    noise: float | None
    """Nats: see `divergences.noise`."""


def token_report(baseline: Run, controls: Sequence[Run], candidate: Run) -> TokenReport:
    """Hold the controls and the candidate against the baseline.

    Raises:
        StoreError: One of them was not forced; the message says why.
    """
    moved = noise(baseline, controls)
    runs = tuple(
        RunTokens(
            run.name,
            token_statistics(baseline, run),
            survival(baseline, run),
            divergences(baseline, run, noise=moved),
        )
        for run in (*controls, candidate)
    )
    return TokenReport(baseline.name, runs, moved)


def as_json(report: TokenReport) -> dict[str, object]:
    """Every number, unrounded; the survival curve as its steps."""
    return {**asdict(report), "runs": [_run_json(of_run) for of_run in report.runs]}


def _run_json(of_run: RunTokens) -> dict[str, object]:
    """Under the keys that such files have always had: `ear` and `partings`."""
    statistics = {_JSON_KEYS.get(name, name): value for name, value in asdict(of_run.statistics).items()}
    survival = {"answers": of_run.survival.answers, "steps": of_run.survival.curve()}
    divergences = [asdict(divergence) for divergence in of_run.divergences]
    return {"run": of_run.run, "statistics": statistics, "survival": survival, "partings": divergences}


_JSON_KEYS = {"acceptance": "ear", "acceptance_upper": "ear_upper", "acceptance_exact": "ear_exact"}
