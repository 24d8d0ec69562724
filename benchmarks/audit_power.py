"""How often does an audit raise a false alarm, and how often does it see a quantized copy?

    python benchmarks/audit_power.py reference.yaml int8.yaml [...] [--prompts 50,100,200] [--answers 4] [--audits 200]
        [--store DIR] [--json FILE]

`sampling.repeats` of each YAML file is the number of its answers to draw from (say 16 for the reference, 8 for a copy);
give each file its own `sampling.seed`. What the store lacks is generated. An audit is drawn from the stored answers:
prompts without replacement, and of each prompt `--answers` answers for the reference and as many for the provider, none
twice. The provider is the reference itself (a rejection is a false alarm) or one of the copies (a rejection is power).
An audit rejects if the smaller of the tests' two p-values, adjusted by Holm, is at most 0.05, as in `fidelity audit`.
The audits share the stored answers, so the exact intervals describe the draws, not other answers of these models.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fidelity.api.compare import LogListener
from fidelity.config import load_run
from fidelity.pipeline.audit import AnswersOfPrompts, answers, edit_kernel
from fidelity.pipeline.generation import generate
from fidelity.records import Prompt
from fidelity.stats import clopper_pearson, holm
from fidelity.stats.equality import Kernel, equality_test, hamming_kernel
from fidelity.store.store import Store

LEVEL = 0.05


@dataclass(frozen=True)
class Answered:
    """One prompt's stored answers, the reference's first, and their edit kernel."""

    texts: Sequence[str]
    first: int
    edits: NDArray[np.float64]


def main() -> None:
    """Generate, draw, test, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("copies", type=Path, nargs="*")
    parser.add_argument("--prompts", type=lambda text: [int(size) for size in text.split(",")], default=[50, 100, 200])
    parser.add_argument("--answers", type=int, default=4)
    parser.add_argument("--audits", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--store", type=Path, default=Path("fidelity-store"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    configs = [load_run(path).model_copy(update={"control": "none"}) for path in (chosen.reference, *chosen.copies)]
    runs = [generate(config, store=Store(chosen.store), listener=LogListener())[0] for config in configs]
    reference, prompts, rows = answers(runs[0]), {prompt.id: prompt for prompt in runs[0].prompts()}, []
    for run in runs:
        same = run is runs[0]
        answered = answers_of(reference, {} if same else answers(run), prompts, copies=not same)
        for size in chosen.prompts:
            rng = np.random.default_rng(size)
            rejected = 0
            for _ in range(chosen.audits):
                kernels = drawn(answered, size, chosen.answers, rng)
                rejected += rejects(kernels, chosen.permutations, rng)
            low, high = clopper_pearson(rejected, chosen.audits)
            share = rejected / chosen.audits
            rows.append({"provider": run.name, "prompts": size, "rejected": share, "low": low, "high": high})
            print(f"{run.name}, {size} of {len(answered)} prompts: {share:.3f} ({low:.3f} to {high:.3f})", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


def answers_of(
    reference: AnswersOfPrompts, others: AnswersOfPrompts, prompts: Mapping[str, Prompt], *, copies: bool
) -> list[Answered]:
    """The answers to each prompt that both sources answered; without copies, the reference's alone."""
    result = []
    for one, prompt in prompts.items():
        first, second = reference.get(one, []), others.get(one, [])
        if first and (second or not copies):
            texts = [answer.text for answer in (*first, *second)]
            result.append(Answered(texts, len(first), edit_kernel(prompt, first, second).values))
    return result


def drawn(answered: Sequence[Answered], prompts: int, answers: int, rng: np.random.Generator) -> list[list[Kernel]]:
    """One audit's Hamming kernels and its edit kernels."""
    hamming, edits = [], []
    for place in rng.permutation(len(answered))[:prompts]:
        one = answered[place]
        mine = rng.permutation(one.first)
        others = (
            one.first + rng.permutation(len(one.texts) - one.first) if len(one.texts) > one.first else mine[answers:]
        )
        chosen = [*mine[:answers], *others[:answers]]
        texts = [one.texts[index] for index in chosen]
        hamming.append(hamming_kernel(texts[:answers], texts[answers:]))
        edits.append(Kernel(one.edits[np.ix_(chosen, chosen)], answers))
    return [hamming, edits]


def rejects(kernels: Sequence[Sequence[Kernel]], permutations: int, rng: np.random.Generator) -> bool:
    """Whether the audit's two tests, adjusted by Holm, see a difference."""
    tests = [equality_test(each, permutations=permutations, rng=rng) for each in kernels]
    return min(holm([test.p_value for test in tests])) <= LEVEL


if __name__ == "__main__":
    main()
