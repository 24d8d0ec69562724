"""How often do verdicts of several candidates that share a control go wrong?

    python benchmarks/candidates.py [STUDIES]

Every candidate's true excess is exactly the margin (the worst case: a pass is wrong, and so is a fail), with noise of
its own and of the control that all of them share. Prints, in % of studies, how often any candidate passes, and any
fails: each judged by itself, and corrected as the gate does.
"""

import sys

import numpy as np

from fidelity.stats.betting import peak_wealth

CONFIDENCE, MARGIN = 0.95, 0.05


def excesses(candidates: int, prompts: int, studies: int, rng: np.random.Generator) -> np.ndarray:
    """In [-1, 1], prompts x (studies x candidates): control minus candidate, both in [0, 1], with mean MARGIN."""
    control = rng.beta(4, 4, (prompts, studies, 1))
    lost = 0.35 * (rng.beta(2, 2, (prompts, studies, candidates)) - 0.5)
    return (0.6 * (control - 0.5) + lost + MARGIN).reshape(prompts, -1)


def wrong(x: np.ndarray, candidates: int, error: float) -> tuple[float, float]:
    """Share of studies in which any candidate passes, and in which any fails, each at `error`."""
    shares = []
    for values, margin in ((x, MARGIN), (-x, -MARGIN)):
        means = np.full((1, values.shape[1]), (margin + 1) / 2)
        decided = peak_wealth((values + 1) / 2, means, np.full_like(means, error))[0] >= 1
        shares.append(float(decided.reshape(-1, candidates).any(axis=1).mean()))
    return shares[0], shares[1]


def main(studies: int) -> None:
    """The table of docs/statistics.md."""
    rng = np.random.default_rng(0)
    print("| candidates | prompts | any passes: alone | corrected | any fails: alone | corrected |")
    print("|---|---|---|---|---|---|")
    for candidates in (1, 3, 10):
        for prompts in (200, 500):
            x = excesses(candidates, prompts, studies, rng)
            alone = wrong(x, candidates, 1 - CONFIDENCE)
            corrected = wrong(x, candidates, (1 - CONFIDENCE) / candidates)
            cells = (alone[0], corrected[0], alone[1], corrected[1])
            print(f"| {candidates} | {prompts} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
