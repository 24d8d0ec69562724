"""How often does the candidate of equal runs look closer to the baseline than the control? See docs/comparability.md.

    python benchmarks/anomalies.py RUN.jsonl RUN.jsonl RUN.jsonl ...

Each file is a recorded run of the same weights; every one of them is baseline, control and candidate in turn.
"""

import sys
from collections import Counter
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.comparison.evidence import evidence_of
from fidelity.config import RunConfig
from fidelity.gate.floors import ANOMALOUS
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.stats import betting_p_value, mcnemar
from fidelity.store.store import Store

METRICS = ("identical", "prefix_agreement", "rouge", "chrf", "edit", "length")
LEVELS = (0.05, 0.01, ANOMALOUS, 0.001)


class Silent:
    """A listener that prints nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """Nothing."""


def main(files: list[Path]) -> None:
    """Print a row for each column: how many triples are anomalous at each level."""
    anomalies: dict[str, Counter[float]] = {}
    triples = 0
    with TemporaryDirectory() as folder:
        for baseline, control in permutations(files, 2):
            candidates = [_recorded(file) for file in files if file not in (baseline, control)]
            metrics = [metric_of_kind(kind) for kind in METRICS]
            config = _recorded(baseline, control)
            result = compare(
                ComparisonRequest(config, candidates, metrics), store=Store(Path(folder)), listener=Silent()
            )
            for scores in result.candidates:
                triples += 1
                for name, p_value in _p_values(evidence_of(result, scores)).items():
                    anomalies.setdefault(name, Counter()).update(level for level in LEVELS if p_value <= level)
    print(f"{triples} triples", *(f"{level:>8}" for level in LEVELS))
    for name, counts in anomalies.items():
        print(f"{name:>20}", *(f"{counts[level]:>8}" for level in LEVELS))


def _recorded(file: Path, control: Path | None = None) -> RunConfig:
    engine = {"kind": "recorded", "path": file.resolve()}
    more = {"control": {"path": [control.resolve()]}} if control else {}
    return RunConfig.model_validate({"name": file.stem, "engine": engine, **more})


def _p_values(evidence):
    """Of each column with a known range: that the candidate is nearer than the control by chance.

    Of the control's answers: that so many more are nearer to the candidate's than to the baseline's by chance.
    """
    (shared,) = evidence.shared_answers
    values = {"nearer answers": mcnemar(shared.candidate_and_control, shared.baseline_and_control)}
    for name, measured in evidence.columns.items():
        bounds, excess = measured.column.bounds, {p: e for p, e in measured.excess().items() if e is not None}
        if bounds and excess and measured.column.weights is None:
            width = bounds[1] - bounds[0]
            values[name] = betting_p_value(
                list(excess), list(excess.values()), 0.0, side="below", low=-width, high=width
            )
    return values


if __name__ == "__main__":
    main([Path(file) for file in sys.argv[1:]])
