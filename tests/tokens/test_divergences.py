"""Where answers part, and at what: on runs and scores that are written down here."""

import json
import math

import pytest

from fidelity.config import load_run
from fidelity.errors import StoreError
from fidelity.pipeline import generate
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth, ScoreWriter, scores_path
from fidelity.tokens.first_divergence import Survival, divergences, noise, survival
from fidelity.tokens.report import as_json, token_report
from fidelity.tokens.statistics import token_statistics
from tests.conftest import Silent
from tests.manifests import edited
from tests.token_scores import of_probabilities

DEPTH = Depth(3)
EVEN = [0.32, 0.30, 0.28, 0.10]
SURE = [0.90, 0.05, 0.03, 0.02]
ANSWERS = {"a": [0, 0, 0], "b": [0, 0], "c": [0], "d": [0, 0]}
"""The baseline's tokens, always the first of the vocabulary, which it finds most likely."""


@pytest.fixture
def made(workspace):
    """A run with these token ids, and a distribution for each token of the baseline's answers."""

    def made(name, tokens, scores):
        rows = [{"id": key, "text": "x", "token_ids": ids} for key, ids in tokens.items()]
        path = workspace.recorded(name, rows)
        (run,) = generate(load_run(path), store=Store(workspace.store), listener=Silent())
        base = run if name == "base" else Store(workspace.store).runs()[0]
        if scores:
            writer = ScoreWriter(scores_path(run, base, DEPTH))
            writer.add_chunk(
                0, [of_probabilities(rows, ANSWERS[key], top_k=3, prompt_id=key) for key, rows in scores.items()]
            )
            writer.complete(run, base, DEPTH)
        return run

    return made


@pytest.fixture
def base(made):
    return made("base", ANSWERS, {"a": [SURE, EVEN, SURE], "b": [EVEN, SURE], "c": [SURE], "d": [SURE, SURE]})


@pytest.fixture
def control(made, base):
    """Moves the gap of one token of eight, from ln(32/30) to ln(32/29)."""
    moved = [0.32, 0.29, 0.28, 0.11]
    return made("control", ANSWERS, {"a": [SURE, EVEN, SURE], "b": [moved, SURE], "c": [SURE], "d": [SURE, SURE]})


@pytest.fixture
def quant(made, base):
    """Diverges from a at a near tie, from b by a token that the sure baseline doesn't report; d continues."""
    answers = {"a": [0, 1, 1], "b": [0, 3], "c": [0], "d": [0, 0, 0]}
    other = [0.30, 0.40, 0.20, 0.10]
    return made("quant", answers, {"a": [SURE, other, SURE], "b": [EVEN, EVEN], "c": [SURE], "d": [SURE, SURE]})


def test_how_many_answers_are_still_the_baselines(base, quant):
    curve = survival(base, quant)
    assert curve == Survival(diverged_at=(1, 1, 2), answers=4)
    assert [curve.share_at(token) for token in (0, 1, 2, 99)] == [1.0, 0.5, 0.25, 0.25]
    assert curve.curve() == [(0, 1.0), (2, 0.5), (3, 0.25)]
    assert Survival((), 0).curve() == [(0, 1.0)]


def test_noise_is_how_far_the_controls_move_the_gap(base, control):
    # Eight tokens; seven don't move, one by ln(30/29). The 99% quantile is at 0.93 of the way to the largest.
    assert noise(base, [control]) == pytest.approx(0.93 * math.log(30 / 29), abs=1e-5)
    assert noise(base, []) is None


def test_a_near_tie_and_a_change_of_mind(base, quant):
    # In a: ln(0.32/0.30) = 0.065. In b, token 3 isn't reported: at least ln(0.90/0.03) = 3.4. d diverges after its end.
    near, real = divergences(base, quant, noise=0.07)
    assert (near.prompt_id, near.position, near.baseline_token, near.other_token) == ("a", 1, 0, 1)
    assert near.margin == pytest.approx(math.log(0.32 / 0.30), abs=1e-6)
    assert near.baseline_logprobs == pytest.approx((math.log(0.32), math.log(0.30)), abs=1e-6)
    assert near.other_logprobs == pytest.approx((math.log(0.30), math.log(0.40)), abs=1e-6)
    assert near.near_tie is True
    assert (real.prompt_id, real.position, real.near_tie) == ("b", 1, False)
    assert real.margin == pytest.approx(math.log(0.90 / 0.03), abs=1e-5)
    assert real.baseline_logprobs[1] is None


def test_without_a_control_nobody_can_tell(base, quant):
    assert [divergence.near_tie for divergence in divergences(base, quant, noise=None)] == [None, None]


def test_where_chance_chose_the_tokens_there_are_no_ties(base, quant):
    edited(base.path / "manifest.json", lambda manifest: {**manifest, "sampling": {"temperature": 0.7}})
    fresh = type(base)(base.path)
    assert [divergence.near_tie for divergence in divergences(fresh, quant, noise=0.07)] == [None, None]


def test_statistics_over_all_tokens(base, control, quant):
    statistics = token_statistics(base, quant)
    # 3 + 2 + 1 + 2 tokens, of which a's second and b's second have other probabilities.
    change = math.log(0.32 / 0.30) + math.log(0.90 / 0.32)
    assert statistics.tokens == 8
    assert math.log(statistics.perplexity_ratio) == pytest.approx(change / 8, abs=1e-6)
    assert statistics.mean_delta_p == pytest.approx((-0.02 - 0.58) / 8, abs=1e-6)
    assert statistics.rms_delta_p == pytest.approx(math.sqrt((0.02**2 + 0.58**2) / 8), abs=1e-6)
    assert statistics.same_top == 7 / 8
    assert statistics.kl is None
    assert statistics.kl_lower_bound.quantiles[0.5] == 0.0
    assert 0 < statistics.kl_lower_bound.mean < statistics.kl_lower_bound.largest


def test_a_run_without_token_scores(base, made):
    plain = made("plain", ANSWERS, None)
    assert divergences(base, plain, noise=0.1) == []
    with pytest.raises(StoreError, match="plain did not score the tokens of base"):
        token_statistics(base, plain)


def test_the_whole_report_is_json(base, control, quant):
    report = token_report(base, [control], quant)
    read = json.loads(json.dumps(as_json(report)))
    assert [run["run"] for run in read["runs"]] == ["control", "quant"]
    assert read["runs"][1]["survival"] == {"answers": 4, "steps": [[0, 1.0], [2, 0.5], [3, 0.25]]}
    assert [divergence["near_tie"] for divergence in read["runs"][1]["partings"]] == [False, False]


def test_the_command(workspace, fidelity, fake_vllm):
    workspace.prompts(*(f"question number {n}" for n in range(8)))
    workspace.baseline(metrics=["identical"], kl={"exact": True, "prompts": 2})
    workspace.run("quant")
    assert fidelity("compare", "base.yaml", "quant.yaml", "--store", "store")[0] == 0
    comparison = next(workspace.store.glob("comparisons/base--quant-*"))
    code, out, _ = fidelity("tokens", comparison, "--json", "tokens.json")
    assert code == 0
    assert "same top p" in out
    assert "diverging at a near tie" in out
    report = json.loads((workspace.folder / "tokens.json").read_text())
    assert report["runs"][1]["statistics"]["kl"]["tokens"] == 16
    workspace.baseline(metrics=["identical"], kl="none", sampling={"max_tokens": 4})
    assert fidelity("compare", "base.yaml", "quant.yaml", "--store", "other")[0] == 0
    code, _, err = fidelity("tokens", next((workspace.folder / "other").glob("comparisons/base--quant-*")))
    assert code == 2
    assert "did not score the tokens" in err
