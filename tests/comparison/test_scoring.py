"""Scoring returns the scored comparisons, and a plan refuses what can be refused without a model."""

import pytest

from fidelity.comparison.scoring import begin, score
from fidelity.config import load_run
from fidelity.errors import ConfigError
from fidelity.gate import Gate
from fidelity.metrics.identical import Identical
from fidelity.metrics.rouge import Rouge
from fidelity.pipeline import ComparisonRequest, generate
from fidelity.pipeline.plan import plan_comparison
from fidelity.store.store import Store
from tests.conftest import Silent

ROWS = [{"id": "a", "text": "one two"}, {"id": "b", "text": "three four"}]


@pytest.fixture
def store(workspace):
    return Store(workspace.store)


@pytest.fixture
def paired(workspace, store):
    paths = [workspace.recorded("base", ROWS), workspace.recorded("quant", [ROWS[0], {"id": "b", "text": "three"}])]
    (base,), (quant,) = (generate(load_run(path), store=store, listener=Silent()) for path in paths)
    return begin(base, quant, store)


def test_scoring_returns_new_scores_and_reads_the_texts_once(paired):
    (scored,) = score([paired], [Identical(), Rouge()])
    assert (paired.columns, paired.comparison.manifest.columns) == ({}, {})
    assert scored.columns["identical"].column.values == (1.0, 0.0)
    assert scored.comparison.manifest.columns.keys() == scored.columns.keys() >= {"identical", "rougeL"}
    assert scored.pairing is paired.pairing


def test_without_chance_levels_the_columns_are_the_same(paired):
    (whole,), (without,) = score([paired], [Rouge()]), score([paired], [Rouge()], chance=False)
    assert whole.columns["rougeL"].low is not None
    assert without.columns["rougeL"].column == whole.columns["rougeL"].column


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"until_decided": True}, "--until-decided needs a gate"),
        ({"gate": Gate(margins={"sts": 0.1})}, "sts"),
        ({"gate": Gate(margins={"identical": 0.01}), "must_be_in_reach": True}, "identical"),
    ],
)
def test_a_plan_refuses_without_an_engine(fake_vllm, workspace, store, monkeypatch, change, message):
    workspace.prompts("a question", "another one")
    base, quant = (load_run(path) for path in (workspace.baseline(), workspace.run("quant")))
    monkeypatch.setattr("fidelity.runs.shared_engine.open_engine", None)
    with pytest.raises(ConfigError, match=message):
        plan_comparison(ComparisonRequest(base, [quant], [Identical()], **change), store)
    assert store.runs() == []


def test_a_plan_has_the_jobs_and_the_error_of_each_candidate(fake_vllm, workspace, store):
    workspace.prompts("a question", "another one")
    other = workspace.run("other", sampling={"max_tokens": 3})
    paths = [workspace.baseline(), workspace.run("quant"), other]
    base, *candidates = (load_run(path) for path in paths)
    plan = plan_comparison(ComparisonRequest(base, candidates, [Identical()]), store)
    assert [job.name for job in plan.jobs] == ["base", "base.control1"]
    assert [[job.name for job in one.jobs] for one in plan.candidates] == [["quant"], []]
    assert "its 'sampling' differs" in str(plan.candidates[1].error)
    assert plan.out_of_reach == ()
