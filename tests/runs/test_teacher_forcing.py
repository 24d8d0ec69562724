"""Teacher forcing in the pipeline, with a fake vLLM: which run is scored, what is stored, and what may be missing."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fidelity.comparison.stored import load_comparison
from fidelity.config import load_run
from fidelity.gate import Gate
from fidelity.metrics.identical import Identical
from fidelity.metrics.kl import Kl
from fidelity.metrics.tokens import Tokens
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.report.content import notes
from fidelity.runs import teacher_forcing as teacher_forcing
from fidelity.store.scored_pairs import together
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth, ScoreWriter, scores_of
from fidelity.tokens.table import token_table
from tests.conftest import Silent
from tests.manifests import edited

METRICS = [Identical(), Tokens(), Kl()]
NO_TIES = ("one", "three", "six")
"""Prompts with the same answers in every batch of the fake vLLM."""


@pytest.fixture(autouse=True)
def _prompts(workspace, fake_vllm):
    workspace.prompts(*(f"question number {n}" for n in range(12)))


def compared(workspace, *candidates, listener=None, store="store", **keys):
    base, *others = (load_run(workspace.folder / f"{name}.yaml") for name in ("base", *candidates))
    request = ComparisonRequest(base, others, METRICS, **keys)
    return compare(request, store=Store(workspace.folder / store), listener=listener or Silent())


def opened(listener):
    return [line for line in listener.messages if isinstance(line, str) and "opening" in line]


class TestWhoScoresWhom:
    def test_each_run_scores_the_baselines_tokens_in_the_engine_load_of_its_generations(self, workspace):
        workspace.baseline(chunk=4)
        workspace.run("quant")
        listener = Silent()
        result = compared(workspace, "quant", listener=listener)
        assert opened(listener) == ["base: opening vllm ...", "quant: opening vllm ..."]
        answers = {o.prompt_id: o.token_ids for o in result.baseline.outcomes()}
        for scores in (*result.controls, *result.candidates):
            (stored,) = scores_of(scores.run)
            assert stored.path.name.startswith(f"{scores.run.name}-on-base-")
            for prompt_id, tokens in answers.items():
                one = stored.get(prompt_id)
                assert tuple(one.token_ids) == tokens
                assert one.top_ids.shape == one.top_logprobs.shape == (len(tokens), 20)
                assert (one.token_ids.dtype, one.top_logprobs.dtype) == (np.int32, np.float32)
        assert set(result.candidates[0].columns) >= {"top1_agreement", "sure_flips", "kl_lower_bound", "tail_mass"}
        assert all(v is not None for v in result.candidates[0].columns["top1_agreement"].column.values)

    def test_in_fp32_forcing_is_the_same_in_every_batch(self, workspace):
        workspace.baseline(chunk=4, engine={"kind": "vllm", "dtype": "float32"}, kl={"exact": True})
        workspace.run("same", engine={"kind": "vllm", "dtype": "float32"})
        result = compared(workspace, "same")
        columns = result.candidates[0].columns
        assert set(columns["top1_agreement"].column.values) == {1.0}
        assert set(columns["kl"].column.values) == set(columns["kl_lower_bound"].column.values) == {0.0}

    def test_in_bf16_the_control_says_what_noise_is(self, workspace):
        workspace.baseline(chunk=4)
        workspace.run("quant")
        (control,) = compared(workspace, "quant").controls
        assert any(control.columns["kl_lower_bound"].column.values)

    def test_the_whole_distributions_of_the_first_answers(self, workspace):
        workspace.baseline(chunk=4, kl={"exact": True, "prompts": 3, "tokens": 5})
        workspace.run("quant")
        result = compared(workspace, "quant")
        baseline_scores, candidate_scores = together(result.baseline, result.candidates[0].run, whole_vocabulary=True)
        assert baseline_scores.keys == candidate_scores.keys == [("p0", 0), ("p1", 0), ("p2", 0)]
        one = candidate_scores.get("p1", hidden=True)
        assert one.hidden.values.shape == (5, 50)
        assert one.hidden.head.matrix.tolist() == np.eye(50).tolist()
        assert candidate_scores.get("p1").hidden is None  # they are large, and read only when they are needed
        exact, bound = (result.candidates[0].columns[name].column for name in ("kl", "kl_lower_bound"))
        assert [value is not None for value in exact.values] == [True] * 3 + [False] * 9
        assert len(bound.values) == 12

    def test_it_is_in_no_run_s_digest(self, workspace):
        paths = [
            generate(load_run(workspace.baseline(kl=kl)), store=Store(workspace.store), listener=Silent())[0].path
            for kl in (None, "none", {"top_k": 5})
        ]
        assert len(set(paths)) == 1
        assert "kl" not in json.loads((paths[0] / "manifest.json").read_text())["config"]


class TestStored:
    def test_asked_again_nothing_is_scored(self, workspace):
        workspace.baseline()
        workspace.run("quant")
        compared(workspace, "quant")
        listener = Silent()
        compared(workspace, "quant", listener=listener)
        assert not opened(listener)

    def test_a_run_of_before_is_scored_when_it_is_asked_for_again(self, workspace):
        workspace.baseline(kl="none")
        workspace.run("quant")
        unforced = compared(workspace, "quant")
        assert "did not score" in unforced.candidates[0].unscored["top1_agreement"]
        assert not list(workspace.store.glob("scores/*"))
        workspace.baseline()
        assert "top1_agreement" in compared(workspace, "quant").candidates[0].columns

    def test_killed_and_gone_on_it_ends_with_what_an_uninterrupted_one_has(self, workspace, monkeypatch):
        workspace.baseline(chunk=4, control="none")
        (whole,) = generate(
            load_run(workspace.folder / "base.yaml"), store=Store(workspace.folder / "w"), listener=Silent()
        )
        store, fill, left = Store(workspace.store), teacher_forcing.MissingScores.fill, [2]

        def killed(self, number, engine):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            fill(self, number, engine)

        with monkeypatch.context() as patched:
            patched.setattr(teacher_forcing.MissingScores, "fill", killed)
            with pytest.raises(KeyboardInterrupt):
                generate(load_run(workspace.folder / "base.yaml"), store=store, listener=Silent())
        assert len(list(workspace.store.glob("scores/*/chunk-*.parquet"))) == 2
        assert not list(workspace.store.glob("scores/*/manifest.json"))
        (again,) = generate(load_run(workspace.folder / "base.yaml"), store=store, listener=Silent())
        (baseline_scores,), (candidate_scores,) = scores_of(whole), scores_of(again)
        assert [file.read_bytes() for file in chunks_of(baseline_scores)] == [
            file.read_bytes() for file in chunks_of(candidate_scores)
        ]

    def test_tokens_are_kept_in_words(self, workspace):
        workspace.baseline()
        workspace.run("quant")
        result = compared(workspace, "quant")
        rows = token_table(result.baseline, result.candidates[0].run, "p3", top=3)
        answer = next(o for o in result.baseline.outcomes() if o.prompt_id == "p3")
        assert [row.token for row in rows] == list(answer.token_ids)
        assert [row.text for row in rows] == [f" w{token}" for token in answer.token_ids]
        first = rows[0].other_top
        assert len(first) == 3
        assert first[0].logprob >= first[1].logprob
        assert first[0].text == f" w{first[0].token}"
        assert rows[0].agree is (rows[0].baseline_top[0].token == first[0].token)

    def test_an_exported_baseline_and_a_copied_run_take_their_scores_along(self, workspace, fidelity):
        workspace.baseline(metrics=["tokens"])
        workspace.run("quant")
        assert fidelity("compare", "base.yaml", "quant.yaml", "--store", "store")[0] == 0
        assert fidelity("baseline", "export", "base.yaml", "committed", "--store", "store")[0] == 0
        before = compared(workspace, "quant").candidates[0].columns["kl_lower_bound"].column.values
        run = next(workspace.store.glob("runs/quant-*"))
        workspace.run("quant", model=None, engine={"kind": "stored", "path": str(run)})
        for path in ("committed", str(next(workspace.store.glob("runs/base-*")))):
            workspace.run("base", model=None, engine={"kind": "stored", "path": path}, metrics=["tokens"])
            again = compared(workspace, "quant", store=f"other{len(path)}")
            assert again.candidates[0].columns["kl_lower_bound"].column.values == before
            assert "top1_agreement" in again.controls[0].columns

    def test_a_comparison_is_read_back_with_its_token_columns(self, workspace):
        workspace.baseline()
        workspace.run("quant")
        scores = compared(workspace, "quant").candidates[0]
        back = load_comparison(scores.comparison.path).candidates[0]
        assert back.columns["top1_agreement"].column == scores.columns["top1_agreement"].column
        assert back.columns["top1_agreement"].signature.endswith("|top_k:20")

    def test_scores_of_other_tokens_than_the_baseline_said_are_not_used(self, workspace):
        workspace.baseline(control="none")
        workspace.run("quant")
        result = compared(workspace, "quant")
        (baseline_scores,) = scores_of(result.baseline)
        changed = [
            replace(baseline_scores.get(*key), token_ids=baseline_scores.get(*key).token_ids + 1)
            for key in baseline_scores.keys
        ]
        shutil.rmtree(baseline_scores.path)
        writer = ScoreWriter(baseline_scores.path)
        writer.add_chunk(0, changed)
        writer.complete(result.baseline, result.baseline, Depth(20))
        shutil.rmtree(workspace.store / "comparisons")
        again = compared(workspace, "quant").candidates[0].columns["top1_agreement"].column
        assert set(again.values) == {None}


def test_the_reports_say_how_much_of_the_drift_starts_at_near_ties(workspace):
    workspace.baseline(chunk=4)
    workspace.run("quant")
    result = compared(workspace, "quant")
    counts = result.candidates[0].comparison.manifest.divergence
    assert counts.answers == 12
    assert counts.near_ties + counts.minds_changed == counts.diverged > 0
    (reported,) = (note for note in notes(result) if "answers diverge" in note)
    n, ties = counts.diverged, counts.near_ties
    assert reported.startswith(
        f"quant: {n} of 12 answers diverge from the baseline, {ties} of {n} at a near tie (the floor: "
    )


class TestDoneWithout:
    def test_an_engine_that_dies_of_it_costs_these_columns_alone(self, workspace):
        workspace.baseline()
        workspace.run("dying", engine={"kind": "vllm", "options": {"quantization": "DIES"}})
        workspace.run("quant")
        listener = Silent()
        result = compared(workspace, "dying", "quant", listener=listener)
        dying, quant = result.candidates
        assert dying.columns["identical"]
        assert "killed by SIGKILL" in dying.unscored["top1_agreement"]
        assert "top1_agreement" in quant.columns
        assert any(
            "dying: no token scores (to switch them off, set kl: none" in str(line) for line in listener.messages
        )

    def test_recorded_outputs_are_compared_without_it(self, workspace):
        rows = [{"id": f"p{n}", "text": f"answer {n}", "token_ids": [1, 2]} for n in range(3)]
        workspace.recorded("base", rows)
        workspace.recorded("quant", rows)
        result = compared(workspace, "quant")
        assert result.candidates[0].columns["identical"]
        why = "base did not score the tokens of base (teacher forcing)"
        assert result.candidates[0].unscored["top1_agreement"] == why
        reported = [note for note in notes(result) if "unscored" in note]
        assert reported[0] == f"top1_agreement and 4 more columns are unscored: {why}"

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_equal_answers_are_told_apart_by_the_scores_of_their_tokens(self, workspace, dtype):
        """A run with an engine that is always full has no log-probabilities; the fake vLLM is exact only in FP32."""
        workspace.prompts(*NO_TIES)
        workspace.baseline(engine={"kind": "vllm", "dtype": "float32"})
        workspace.run("quant", engine={"kind": "vllm", "dtype": dtype})
        candidate = compared(workspace, "quant").candidates[0]
        assert all(outcome.logprobs is None for outcome in candidate.run.outcomes())
        assert candidate.same.texts
        assert candidate.same.logprobs is (dtype == "float32")

    def test_other_tokenizers_are_not_handed_tokens_that_mean_nothing_to_them(self, workspace, monkeypatch):
        workspace.baseline()
        workspace.run("quant")
        base = generate(load_run(workspace.folder / "base.yaml"), store=Store(workspace.store), listener=Silent())[0]
        edited(base.path / "manifest.json", lambda m: {**m, "engine": {**m["engine"], "tokenizer": "another"}})
        candidate = compared(workspace, "quant").candidates[0]
        assert "different tokenizers" in candidate.unscored["top1_agreement"]
        assert "different tokenizers" in scores_of(candidate.run)[0].manifest.failed

    def test_an_answer_that_fills_the_context_is_scored_as_far_as_it_goes(self, workspace):
        # Three words and a number: a prompt of four tokens; the context of nine has five more, and four are scored.
        workspace.prompts("one two three", "one two four")
        workspace.baseline(engine={"kind": "vllm", "max_model_len": 9}, sampling={"max_tokens": 8}, control="none")
        (run,) = generate(load_run(workspace.folder / "base.yaml"), store=Store(workspace.store), listener=Silent())
        (scores,) = scores_of(run)
        assert len(scores.get("p0").token_ids) == 4

    def test_a_prompt_that_failed_is_left_out(self, workspace):
        workspace.prompts("fine", "REFUSED", "also fine")
        workspace.baseline(control="none")
        (run,) = generate(load_run(workspace.folder / "base.yaml"), store=Store(workspace.store), listener=Silent())
        assert scores_of(run)[0].keys == [("p0", 0), ("p2", 0)]


def test_a_gate_on_a_token_column_decides_while_it_generates(workspace):
    workspace.prompts(*(f"question number {n}" for n in range(200)))
    workspace.baseline(chunk=24)
    workspace.run("quant")
    gate = Gate(margins={"top1_agreement": 0.4})
    result = compared(workspace, "quant", gate=gate, until_decided=True)
    assert not result.not_compared
    quant = result.candidates[0]
    asked = len(quant.run.prompts())
    assert asked < 200
    values = quant.columns["top1_agreement"].column.values
    assert len(values) == asked
    assert None not in values


def test_switched_off_nothing_is_forced(workspace):
    workspace.baseline(kl="none")
    workspace.run("dying", engine={"kind": "vllm", "options": {"quantization": "DIES"}})
    listener = Silent()
    assert compared(workspace, "dying", listener=listener).candidates[0].columns["identical"]
    assert not any("no token scores" in str(line) for line in listener.messages)


def chunks_of(scores):
    return sorted(scores.path.glob("chunk-*.parquet"))
