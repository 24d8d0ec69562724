"""Whose answer keeps a pair from being scored: every metric that can leave one unscored says it."""

import numpy as np
import pytest

from fidelity.metrics.bertscore import BertScore
from fidelity.metrics.breaks import Breaks
from fidelity.metrics.code import Code
from fidelity.metrics.counts import Counts
from fidelity.metrics.diversity import Diversity
from fidelity.metrics.facts import Facts
from fidelity.metrics.first_divergence import FirstDivergence
from fidelity.metrics.json import Json
from fidelity.metrics.kl import Kl
from fidelity.metrics.length import Length
from fidelity.metrics.markdown import Markdown
from fidelity.metrics.nli import Nli
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.sts import Sts
from fidelity.metrics.thinking import Thinking
from fidelity.metrics.tokens import Tokens
from fidelity.records import Column, Generation, Pair, Prompt, TokenScores
from tests.encoders.fake_encoder import FakeEncoder

ENGLISH, THAI = "The dose is 5 mg. Take it with water.", "กรุงเทพมหานครเป็นเมืองหลวง ของประเทศไทย"
ANSWER = '# Dose\n\n- 5 mg\n- water\n\n```python\nprint(1)\n```\n\n```json\n{"a": 1}\n```\n'
LONG = ANSWER + "x" * 2_000
MUCH_CODE = "```python\n" + "y = 2\n" * 6_000 + "```\n"


def generation(text, *, token_ids=(1, 2), finish_reason="stop", **keys):
    return Generation("p", text, token_ids, finish_reason=finish_reason, **keys)


def with_text(scored, unscored):
    return generation(scored), generation(unscored)


def without(key):
    return generation(ANSWER), generation(ANSWER + "x", **{key: None})


CASES = {
    "sts": (Sts(profile=True).bind(FakeEncoder()), with_text(ENGLISH, THAI), {"sts", "sts_match", "sts[decile=1]"}),
    "bertscore": (BertScore().bind(FakeEncoder()), with_text(ENGLISH, THAI), {"bertscore", "bertscore_recall"}),
    "nli, empty": (Nli(encoder="fake").bind(FakeEncoder()), with_text(ENGLISH, " "), {"contradiction"}),
    "prefix_agreement": (
        PrefixAgreement(profile=True),
        without("token_ids"),
        {"prefix_agreement", "prefix_agreement[decile=1]"},
    ),
    "first_divergence": (FirstDivergence(), without("token_ids"), {"first_divergence"}),
    "length": (Length(), without("token_ids"), {"length_similarity", "length_ratio"}),
    "break_length": (Breaks(), without("finish_reason"), {"break_length"}),
    "breaks, long": (Breaks(), with_text(ANSWER, LONG), {"break_json", "break_language"}),
    "markdown, long": (Markdown(), with_text(ANSWER, LONG), {"markdown"}),
    "json, long": (Json(), with_text(ANSWER, LONG), {"json_parses", "json_keys", "json_types", "json_values"}),
    "counts, long": (Counts(), with_text(ANSWER, LONG), {"sentence_similarity", "item_similarity"}),
    "code, long": (Code(), with_text(ANSWER, LONG), {"code", "code_parses"}),
    "code, much": (Code(), with_text("```python\nx = 1\n```", MUCH_CODE), {"code", "code_parses"}),
}


@pytest.fixture
def short_texts_only(monkeypatch):
    monkeypatch.setattr("fidelity.text.blocks.MAX_CHARACTERS", 1_000)
    monkeypatch.setattr("fidelity.text.documents.MAX_CHARACTERS", 1_000)
    monkeypatch.setattr("fidelity.metrics.counts.MAX_CHARACTERS", 1_000)


def sides_of(metric, baseline, candidate, **keys):
    columns = metric.score([Pair(Prompt("p", "Ask."), baseline, candidate, **keys)])
    assert all((column.values[0] is None) == bool(column.sides) for column in columns)
    return {column.name: column.sides[0] for column in columns if column.sides}


@pytest.mark.parametrize("case", CASES)
def test_the_side_is_whose_answer_it_is(case, request):
    if "long" in case:
        request.getfixturevalue("short_texts_only")
    metric, (scored, unscored), names = CASES[case]
    found = sides_of(metric, scored, unscored)
    assert names <= {name for name, side in found.items() if side == "candidate"}, found
    found = sides_of(metric, unscored, scored)
    assert names <= {name for name, side in found.items() if side == "baseline"}, found
    other = generation(unscored.text + " ", token_ids=unscored.token_ids, finish_reason=unscored.finish_reason)
    if not case.startswith("nli"):  # two empty texts don't contradict each other
        assert names <= {name for name, side in sides_of(metric, unscored, other).items() if side == "baseline"}
    assert names.isdisjoint(sides_of(metric, scored, scored))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (Code(), "code"),
        (Json(), "json_keys"),
        (Markdown(), "markdown"),
        (Facts(), "facts_kept"),
        (Counts(), "item_similarity"),
        (Thinking(), "thinking.rougeL"),
    ],
)
def test_where_neither_has_what_the_column_is_about_it_is_nobodys_fault(metric, name):
    assert sides_of(metric, generation("Plain prose."), generation("Plain words."))[name] == "pair"


def test_diversity_takes_two_answers_of_each():
    two = (generation("a"), generation("b"))
    given = {"baselines": two, "candidates": two[:1]}
    assert sides_of(Diversity(), *two, **given)["diversity_loss"] == "candidate"
    given = {"baselines": two[:1], "candidates": two}
    assert sides_of(Diversity(), *two, **given) == {"diversity_similarity": "baseline", "diversity_loss": "baseline"}


def scores(*top_logprobs):
    """Of two tokens, of a vocabulary of two."""
    top = np.array([top_logprobs, top_logprobs], np.float32)
    ids = np.array([0, 0], np.int32)
    return TokenScores("p", ids, top[:, 0], np.ones(2, np.int32), np.array([[0, 1], [0, 1]], np.int32), top)


def test_an_impossible_token_is_the_candidates():
    even, sure = scores(np.log(0.5), np.log(0.5)), scores(0.0, -np.inf)
    names = ("kl", "kl[q=0.5]")
    found = sides_of(Kl(), generation("a b"), generation("a b"), token_scores=(even, sure))
    assert [found[name] for name in names] == ["candidate", "candidate"]
    found = sides_of(Tokens(), generation("a b"), generation("a b"), token_scores=(even, even))
    assert found == {"sure_flips": "pair"}  # the baseline was never sure


class TestWorst:
    def test_a_similarity_is_0_and_a_break_1(self):
        assert Column("sts", ()).worst == 0.0
        assert Column("break_json", (), better="lower").worst == 1.0
        assert Column("diversity_loss", (), better="lower", bounds=(-1.0, 1.0)).worst == 1.0

    def test_there_is_none_without_a_range_without_a_direction_or_with_weights(self):
        assert Column("kl", (), better="lower", bounds=None).worst is None
        assert Column("sts_coverage", (), better="neither").worst is None
        assert Column("m", (), weights=()).worst is None

    def test_only_the_candidates_own_pairs_count_as_that(self):
        column = Column.of("sts", [0.5, "candidate", "baseline", "pair"])
        assert column.values == (0.5, None, None, None)
        assert column.judged_values == (0.5, 0.0, None, None)
