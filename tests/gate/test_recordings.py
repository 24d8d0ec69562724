"""Verdicts on the recordings of one model and its quantized copies."""

import json
import math
import re
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import yaml

from fidelity.comparison.evidence import verdicts
from fidelity.config import RecordedEngine, Sampling, load_run
from fidelity.engines.recorded import RecordedAnswers, recorded_prompts
from fidelity.gate import Gate, judge
from fidelity.metrics.identical import Identical
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.rouge import Rouge
from fidelity.pipeline import ComparisonRequest, compare
from fidelity.records import Pair, Prompt
from fidelity.store.store import Store
from tests.conftest import RECORDINGS, ROOT, Silent
from tests.gate.evidence import evidence, ids, line_of, measured

RECORDED = ROOT / "examples" / "recordings"
BF16 = ("bf16", "bf16-rev", "bf16-serial")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Judges recordings: `recordings("w4a16", control="bf16-serial")`. What was scored is not scored again."""
    folder = tmp_path_factory.mktemp("recordings")
    store = Store(folder / "store")

    def run_of(name, recording, **keys):
        written = yaml.safe_load((RECORDED / "bf16.yaml").read_text()) | {"name": name, **keys}
        written["engine"] = written["engine"] | {"path": str(RECORDINGS / f"{recording}.jsonl")}
        (folder / f"{name}.yaml").write_text(json.dumps(written))
        return load_run(folder / f"{name}.yaml")

    def judged(candidate, *, baseline="bf16", control="bf16-rev", gate=SENSIBLE):
        controls = {"path": str(RECORDINGS / f"{control}.jsonl")} if control else "none"
        config = (
            load_run(RECORDED / f"{candidate}.yaml")
            if candidate not in BF16
            else run_of("candidate", candidate, control=None)
        )
        base = run_of(baseline, baseline, control=controls)
        metrics = [Identical(), PrefixAgreement(), Rouge()]
        result = compare(ComparisonRequest(base, [config], metrics, gate=gate), store=store, listener=Silent())
        return verdicts(result, gate)[config.name]

    return judged


TENTH = Gate(margins={"rougeL": 0.10})
SENSIBLE = Gate(margins={"rougeL": 0.05, "prefix_agreement": 0.1, "identical": 0.2})


HONEST = {
    "undeclared, eager kernels may be the cause": ("bf16-eager", "margins: {rougeL: 0.10}", 2, "its mode is eager"),
    "declared, they are beyond a tight margin": (
        "bf16-eager",
        "margins: {rougeL: 0.10}\ncompares: engine",
        1,
        r"FAIL\. Beyond the limit: rougeL",
    ),
    "declared, they are within a wide one": (
        "bf16-eager",
        "margins: {rougeL: 0.60}\ncompares: engine",
        0,
        r"PASS\. Every line passes",
    ),
    "BF16 one prompt at a time passes": (
        "bf16-serial",
        "margins: {rougeL: 0.10}",
        0,
        r"PASS\. Every line passes, each at 95%\. The candidate is not quantized \(BF16\)\.",
    ),
    "FP8 fails": ("w8a8-fp8", "margins: {rougeL: 0.10}", 1, r"FAIL\. Beyond the limit: rougeL"),
}


@pytest.mark.parametrize("case", HONEST)
def test_honest_recordings_have_their_documented_verdicts(fidelity, workspace, case):
    candidate, gate, expected, reason = HONEST[case]
    files = [RECORDED / f"{name}.yaml" for name in ("bf16", candidate)]
    code, out, _ = fidelity("compare", *files, "--gate", workspace.file("gate.yaml", gate), "--metric", "rouge")
    assert code == expected
    assert re.search(reason, " ".join(out.split()))


class TestRecordings:
    @pytest.mark.parametrize(("baseline", "control", "candidate"), [*permutations(BF16), ("bf16", *["bf16-rev"] * 2)])
    def test_the_same_weights_in_another_order_never_fail(self, recordings, baseline, control, candidate):
        verdict = recordings(candidate, baseline=baseline, control=control, gate=TENTH)
        assert verdict.outcome == ("pass" if candidate == "bf16-serial" else "inconclusive")
        assert "fail" not in {line.outcome for line in verdict.lines}

    def test_the_baseline_and_its_control_are_exchangeable(self, recordings):
        one, other = (
            line_of(recordings("w8a8-fp8", baseline=baseline, control=control, gate=TENTH), "rougeL")
            for baseline, control in (("bf16", "bf16-rev"), ("bf16-rev", "bf16"))
        )
        assert (one.value, one.from_prompts, one.from_runs) == pytest.approx(
            (other.value, other.from_prompts, other.from_runs)
        )

    def test_both_shares_of_the_noise_are_named(self, recordings):
        line = line_of(recordings("w8a8-fp8", gate=TENTH), "rougeL")
        assert f"(± {line.from_prompts:.3f} from prompts, ± {line.from_runs:.3f} from batching)" in line.reason
        assert line.value - line.lower == pytest.approx(math.hypot(line.from_prompts, line.from_runs))
        assert line.asymptotic

    @pytest.mark.parametrize("candidate", ["w8a8-fp8", "fp8-online", "w8a8-int8", "w4a16"])
    def test_quantized_to_nearest_fails(self, recordings, candidate):
        verdict = recordings(candidate)
        assert verdict.outcome == "fail"
        assert {line.name for line in verdict.lines if line.outcome == "fail"} == set(SENSIBLE.margins)

    def test_eager_kernels_are_no_quantization_drift(self, recordings):
        verdict = recordings("bf16-eager")
        assert verdict.outcome == "inconclusive"
        assert "its mode is eager (the baseline's: compiled)" in verdict.reason

    def test_the_baseline_as_its_own_candidate_never_engaged(self, recordings):
        verdict = recordings("bf16")
        assert verdict.outcome == "inconclusive"
        assert verdict.reason.startswith("The candidate is the baseline")

    def test_without_a_control_nothing_is_decided(self, recordings):
        verdict = recordings("w4a16", control=None)
        assert verdict.outcome == "inconclusive"
        assert verdict.reason.startswith("No control")

    @pytest.mark.parametrize(("studies", "most"), [(40, 5), pytest.param(1000, 64, marks=pytest.mark.slow)])
    def test_studies_without_any_effect(self, studies, most):
        """Prompts are drawn again and control and candidate swapped at random, which makes the true excess 0.

        Against margins of next to nothing at most 5% of verdicts may be "fail": 5 of 40 and 64 of 1,000 with the
        simulation's own error (binomial, 97.5%).
        """
        runs = {name: recorded_texts(name) for name in BF16}
        columns = {}
        for metric in (Rouge(), PrefixAgreement()):
            for one, other in permutations(BF16, 2):
                pairs = [Pair(Prompt(p, ""), g, runs[other][p]) for p, g in runs[one].items()]
                columns |= {(one, other, c.name): np.array(c.values) for c in metric.score(pairs)}
        gate = Gate(margins={"rougeL": 0.001, "prefix_agreement": 0.001})
        rng = np.random.default_rng(0)
        outcomes = Counter()
        for _ in range(studies):
            base, control, candidate = rng.permutation(BF16)
            drawn, swapped = rng.integers(0, 64, 64), rng.random(64) < 0.5
            study = {}
            for name in gate.margins:
                c, s = columns[base, control, name][drawn], columns[base, candidate, name][drawn]
                study[name] = measured(np.where(swapped, c, s), np.where(swapped, s, c), name=name)
            verdict = judge(gate, evidence(study, prompt_ids=tuple(ids(64))))
            outcomes[verdict.outcome] += 1
            outcomes.update(line.name for line in verdict.lines if line.kind == "margin" and line.lower > line.limit)
        assert outcomes["fail"] <= most, outcomes
        assert max(outcomes["rougeL"], outcomes["prefix_agreement"]) <= most, outcomes  # each bound, uncorrected


def recorded_texts(name):
    run = RecordedAnswers(RecordedEngine(kind="recorded", path=RECORDINGS / f"{name}.jsonl"))
    prompts = recorded_prompts(RECORDINGS / f"{name}.jsonl")
    return {answer.prompt_id: answer for answer in run.generate(prompts, Sampling())}
