"""Reasoning models: answers compared with answers, thinking with thinking, and what never came to an answer."""

import json

import pytest

from fidelity.comparison.answers import answers_of
from fidelity.comparison.evidence import verdicts
from fidelity.comparison.stored import load_comparison
from fidelity.config import Reasoning, load_run
from fidelity.errors import ConfigError
from fidelity.gate import Gate
from fidelity.metrics.identical import Identical
from fidelity.metrics.thinking import Thinking
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.records import Generation, Prompt
from fidelity.store.store import Store
from tests.conftest import Silent
from tests.manifests import run_draft

THOUGHT = {"a": ("one two", "4."), "b": ("one two three", "Paris.")}
TAGGED = "<think>\n{}\n</think>\n\n{}"


def tagged(thoughts, form=TAGGED):
    return [{"id": prompt, "text": form.format(*both)} for prompt, both in thoughts.items()]


def apart(thoughts):
    return [{"id": prompt, "text": answer, "reasoning": thinking} for prompt, (thinking, answer) in thoughts.items()]


@pytest.fixture
def compared(workspace):
    """The candidate's scores, against a baseline and a control with the same outputs."""

    def compared(baseline, candidate, *metrics, gate=None, **keys):
        workspace.file("again.jsonl", "\n".join(map(json.dumps, baseline)))
        base = workspace.recorded("base", baseline, control={"path": "again.jsonl"}, **keys)
        configs = [load_run(base), load_run(workspace.recorded("quant", candidate))]
        chosen = list(metrics) or [Identical(), Thinking()]
        result = compare(
            ComparisonRequest(configs[0], configs[1:], chosen, gate=gate),
            store=Store(workspace.store),
            listener=Silent(),
        )
        assert not result.not_compared
        return (result, verdicts(result, gate)["quant"]) if gate else result.candidates[0]

    return compared


def column(scores, name):
    return scores.columns[name].column.values


class TestCompared:
    @pytest.mark.parametrize("form", [tagged, apart])
    @pytest.mark.parametrize("other_form", [tagged, apart])
    def test_the_answers_are_compared_and_the_thinking_apart(self, compared, form, other_form):
        thoughts = {"a": ("one two", "5."), "b": ("one", "Paris.")}
        scores = compared(form(THOUGHT), other_form(thoughts))
        assert column(scores, "identical") == (0.0, 1.0)
        assert column(scores, "thinking.rougeL") == (1.0, 0.5)
        assert column(scores, "thinking.length_ratio") == (1.0, 3 / 13)
        (first, _) = scores.pairing.pairs
        assert (first.baseline.text, first.baseline.reasoning) == ("4.", "one two")

    def test_what_is_on_disk_is_what_was_said_and_is_read_back_the_same(self, compared, workspace):
        scores = compared(tagged(THOUGHT), tagged(THOUGHT))
        assert scores.run.outcomes()[0].text == "<think>\none two\n</think>\n\n4."
        (again,) = load_comparison(scores.comparison.path).candidates
        assert again.pairing.pairs == scores.pairing.pairs
        assert again.columns == scores.columns

    def test_a_candidate_that_never_came_to_an_answer_is_a_break(self, compared):
        gate = Gate(breaks={"unanswered": 0.01})
        long = {f"p{n}": ("one two", "4.") for n in range(300)}
        endless = [{"id": prompt, "text": f"<think>\n{'and on ' * 20}"} for prompt in long]
        result, verdict = compared(tagged(long), [*endless[:30], *tagged(long)[30:]], Thinking(), gate=gate)
        (line,) = [line for line in verdict.lines if line.kind == "break"]
        assert (line.outcome, line.value) == ("fail", pytest.approx(0.1))
        assert result.candidates[0].pairing.pairs[0].candidate.text == ""

    def test_the_same_answers_after_other_thoughts_are_not_the_very_same(self, compared):
        thoughts = {"a": ("something else", "4."), "b": ("", "Paris.")}
        assert compared(tagged(THOUGHT), tagged(thoughts)).same.texts is False

    def test_without_thinking_nothing_is_said_of_it_until_a_gate_asks(self, compared):
        plain = [{"id": "a", "text": "Tags such as <think> and </think> are talk here."}, {"id": "b", "text": "x"}]
        result, verdict = compared(plain, plain, gate=Gate(margins={"thinking.rougeL": 0.1}))
        (scores,) = result.candidates
        assert set(scores.columns) == {"identical"}
        assert scores.unscored == {}
        assert scores.pairing.pairs[0].baseline.text == plain[0]["text"]
        (line,) = [line for line in verdict.lines if line.kind == "margin"]
        assert line.outcome == "inconclusive"
        assert "no thinking was found in the texts" in line.reason

    def test_told_otherwise_it_is_another_comparison_of_the_same_runs(self, compared):
        scores = compared(tagged(THOUGHT), tagged({**THOUGHT, "a": ("else", "4.")}))
        none = compared(tagged(THOUGHT), tagged({**THOUGHT, "a": ("else", "4.")}), reasoning={"parser": "none"})
        assert (scores.run.path, scores.baseline.path) == (none.run.path, none.baseline.path)
        assert scores.comparison.path != none.comparison.path
        assert (column(scores, "identical"), column(none, "identical")) == ((1.0, 1.0), (0.0, 1.0))
        (again,) = load_comparison(none.comparison.path).candidates
        assert again.pairing.pairs[0].baseline.text.startswith("<think>")

    def test_tags_of_its_own(self, compared):
        rows = tagged(THOUGHT, "[THINK]{}[/THINK]{}")
        scores = compared(rows, rows, reasoning={"parser": "think", "tags": ["[THINK]", "[/THINK]"]})
        assert scores.pairing.pairs[0].candidate.reasoning == "one two"


class TestOption:
    @pytest.mark.parametrize(
        ("reasoning", "message"),
        [
            ({"parser": "thinks"}, "reasoning.parser: "),
            ({"tags": ["<think>"]}, "reasoning.tags"),
            ({"tags": ["<think>", "<think>"]}, "reasoning.tags: expected two different tags"),
            ({"tag": 1}, "did you mean 'tags'"),
        ],
    )
    def test_what_can_not_be_meant(self, workspace, reasoning, message):
        with pytest.raises(ConfigError, match=message):
            load_run(workspace.recorded("base", [], reasoning=reasoning))

    def test_recorded_reasoning_must_be_a_text(self, workspace):
        path = workspace.recorded("base", [{"id": "a", "text": "x", "reasoning": ["y"]}])
        with pytest.raises(ConfigError, match="'reasoning' must be a text, got list"):
            generate(load_run(path), store=Store(workspace.store), listener=Silent())


class TestLikeTheBaseline:
    """A copy that never ends its thinking doesn't show by itself that it thinks; its chat template does."""

    def stored(self, tmp_path, name, texts, **engine):
        prompts = tuple(Prompt(f"p{n}", "x") for n in range(len(texts)))
        with Store(tmp_path).writing(name, f"{name}-digest") as writer:
            writer.add_chunk(0, prompts, [Generation(p.id, text) for p, text in zip(prompts, texts, strict=True)])
            return writer.complete(prompts, run_draft(name, engine={"kind": "vllm", **engine}))

    def split(self, base, quant):
        baseline_answers = answers_of(base, Reasoning())
        answers = answers_of(quant, Reasoning(), like=baseline_answers)
        return [outcome.text for outcome in answers]

    def test_the_same_template(self, tmp_path):
        base = self.stored(tmp_path, "base", ["a</think>b", "c</think>d"], chat_template="t")
        quant = self.stored(tmp_path, "quant", ["on and on", "and on"], chat_template="t")
        assert self.split(base, quant) == ["", ""]

    @pytest.mark.parametrize("template", [None, "another"])
    def test_another_template_or_an_unknown_one(self, tmp_path, template):
        base = self.stored(tmp_path, "base", ["a</think>b", "c</think>d"], chat_template=template and "t")
        quant = self.stored(tmp_path, "quant", ["b", "d"], chat_template=template)
        assert self.split(base, quant) == ["b", "d"]

    def test_a_template_that_opens_the_thinking_is_seen_without_any_text_that_ends_it(self, tmp_path):
        engine = {"chat_template": "t", "prompt_end": "<|assistant|>\n<think>\n"}
        cut_off = self.stored(tmp_path, "base", ["on and on", "and on"], **engine)
        assert [o.text for o in answers_of(cut_off, Reasoning())] == ["", ""]


@pytest.mark.usefixtures("fake_vllm")
def test_an_engine_tells_how_its_prompts_end(workspace):
    workspace.prompts("x", "y")
    run, _ = generate(load_run(workspace.baseline()), store=Store(workspace.store), listener=Silent())
    assert run.manifest.engine.prompt_end == "a assistant:"
