import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.metrics.diversity import Diversity
from fidelity.records import Generation, Pair, Prompt
from tests import laws

SYMMETRIC = ("diversity_similarity",)
METRIC = Diversity()


def prompt(baselines, candidates, prompt_id="p"):
    """The pairs of one prompt, each with all of its answers, as pairing makes them."""
    baseline_answers, candidate_answers = (
        tuple(Generation(prompt_id, text, repeat=repeat) for repeat, text in enumerate(texts))
        for texts in (baselines, candidates)
    )
    return [
        Pair(Prompt(prompt_id, "x"), a, b, baseline_answers, candidate_answers)
        for a, b in zip(baseline_answers, candidate_answers, strict=True)
    ]


def values(baselines, candidates):
    """Each column's value, which is the same in every pair of the prompt."""
    columns = {column.name: set(column.values) for column in METRIC.score(prompt(baselines, candidates))}
    assert all(len(one) == 1 for one in columns.values())
    return {name: one.pop() for name, one in columns.items()}


sides = st.integers(1, 3).flatmap(lambda k: st.tuples(*[st.lists(laws.texts, min_size=k, max_size=k)] * 2))


@given(st.lists(sides, max_size=3))
def test_laws_with_pairs_that_bring_their_prompts_other_answers(prompts):
    pairs = [
        pair
        for n, (baseline_answers, candidate_answers) in enumerate(prompts)
        for pair in prompt(baseline_answers, candidate_answers, f"p{n}")
    ]
    laws.check_form(METRIC.score(pairs), len(pairs))
    columns, backwards = METRIC.score(pairs), METRIC.score(pairs[::-1])
    one_by_one = [METRIC.score([pair]) for pair in pairs]
    swapped = METRIC.score([Pair(p.prompt, p.candidate, p.baseline, p.candidates, p.baselines) for p in pairs])
    for i, column in enumerate(columns):
        assert list(column.values) == list(backwards[i].values)[::-1] == [single[i].values[0] for single in one_by_one]
        if column.name in SYMMETRIC:
            assert column.values == swapped[i].values


@given(st.lists(laws.texts, min_size=2, max_size=4))
def test_a_run_is_as_diverse_as_itself_whatever_the_order_of_its_repeats(texts):
    columns = values(texts, texts[::-1])
    assert (columns["diversity_similarity"], columns["diversity_loss"]) == (1.0, 0.0)


@given(laws.pairs)
def test_a_single_answer_has_no_diversity(pairs):
    assert all(value is None for column in METRIC.score(pairs) for value in column.values)
    assert METRIC.inapplicable(pairs)


def test_by_hand():
    # Baseline: "a b", "a c", "a b": distances 1/2 (one of two words), 0, 1/2, mean 1/3. Candidate: 1, 1 and 0 of
    # "a", "b", "b" (no shared word, none, the same): mean 2/3.
    columns = values(["a b", "a c", "a b"], ["a", "b", "b"])
    assert columns["diversity"] == pytest.approx(2 / 3)
    assert columns["diversity_similarity"] == pytest.approx(2 / 3)
    assert columns["diversity_loss"] == pytest.approx(-1 / 3)


def test_direction():
    assert values(["a", "b"], ["a", "a"]) == {"diversity": 0.0, "diversity_similarity": 0.0, "diversity_loss": 1.0}
    assert values(["a", "a"], ["a", "b"]) == {"diversity": 1.0, "diversity_similarity": 0.0, "diversity_loss": -1.0}


def test_two_empty_answers_are_the_same_answer():
    assert values(["", ""], ["", "word"]) == {"diversity": 1.0, "diversity_similarity": 0.0, "diversity_loss": -1.0}


def test_hard_texts():
    texts = [text for text in laws.HARD_TEXTS.values() if len(text) < 1_000]
    pairs = prompt(texts, texts)
    laws.check_form(METRIC.score(pairs), len(pairs))
