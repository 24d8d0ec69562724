from itertools import combinations, permutations

import pytest

from fidelity.floor import AmongRuns, by_prompt, candidate_by_prompt, excess_by_prompt, pooled, summarise
from fidelity.records import Column, PromptIds, PromptValue

IDS = ("a", "b", "c")


def values(**given):
    return {prompt: None if value is None else PromptValue(value, 1.0) for prompt, value in given.items()}


def test_excess_is_floor_less_candidate_and_positive_is_worse():
    floor, candidate = values(a=1.0, b=0.8), values(a=0.7, b=0.9)
    higher = excess_by_prompt(AmongRuns((candidate,), (floor,)), "higher")
    assert higher["a"] == pytest.approx(0.3)
    assert higher["b"] == pytest.approx(-0.1)
    # Where lower is better (a break, say) the same numbers turn round: the candidate has less of it, so it is better.
    lower = excess_by_prompt(AmongRuns((candidate,), (floor,)), "lower")
    assert lower["a"] == pytest.approx(-0.3)


def test_where_the_baseline_is_the_only_reference_the_floor_is_the_mean_over_the_controls():
    excess = excess_by_prompt(AmongRuns((values(a=0.5),), (values(a=1.0), values(a=0.8))), "higher")
    assert excess["a"] == pytest.approx(0.4)  # (1.0 + 0.8) / 2 - 0.5


def test_every_run_of_the_baseline_is_a_reference():
    # Baseline and one control: 0.9 between them; the candidate has 0.8 with one and 0.4 with the other.
    one_control = AmongRuns((values(a=0.8), values(a=0.4)), (values(a=0.9),))
    assert excess_by_prompt(one_control, "higher")["a"] == pytest.approx(0.3)  # 0.9 - (0.8 + 0.4) / 2
    # With two controls: (0.9 + 0.6 + 0.6) / 3 between the three, (0.5 + 0.4 + 0.3) / 3 with the candidate.
    two = AmongRuns((values(a=0.5), values(a=0.4), values(a=0.3)), (values(a=0.9), values(a=0.6), values(a=0.6)))
    assert excess_by_prompt(two, "higher")["a"] == pytest.approx(0.3)
    assert summarise(two, Column("m", (0.5,))).value == 0.5  # with the baseline, whose answers are those shown
    assert summarise(two, Column("m", (0.5,))).excess == pytest.approx(0.3)


def test_the_roles_of_the_baseline_s_runs_change_nothing():
    between, with_candidate = {(0, 1): 0.9, (0, 2): 0.5, (1, 2): 0.7}, (0.8, 0.3, 0.4)
    excesses = set()
    for runs in permutations(range(3)):
        floor = tuple(values(a=between[tuple(sorted(two))]) for two in combinations(runs, 2))
        among = AmongRuns(tuple(values(a=with_candidate[run]) for run in runs), floor)
        excesses.add(round(excess_by_prompt(among, "higher")["a"], 12))
    assert excesses == {0.2}  # (0.9 + 0.5 + 0.7) / 3 - (0.8 + 0.3 + 0.4) / 3


def test_none_on_either_side_is_none():
    one = AmongRuns((values(a=None, b=0.5),), (values(a=1.0, b=None),))
    assert excess_by_prompt(one, "higher") == {"a": None, "b": None}
    assert excess_by_prompt(AmongRuns((values(a=0.5),), (values(a=1.0), values(a=None))), "higher") == {"a": None}
    assert excess_by_prompt(AmongRuns((values(a=0.5), values(a=None)), (values(a=1.0),)), "higher") == {"a": None}


def test_what_is_not_judged_has_no_excess():
    column = Column("first_divergence", (3.0, 5.0, 9.0), better="neither", summary="median", bounds=None)
    summary = summarise(AmongRuns((by_prompt(IDS, column),), (values(a=1.0, b=1.0, c=1.0),)), column)
    assert (summary.value, summary.kind, summary.excess) == (5.0, "median", None)


def test_all_means_are_over_the_common_set():
    # c is unscored in the control and b in the candidate, so only a is left: mean 0.5, excess 1.0 - 0.5.
    summary = summarise(
        AmongRuns((values(a=0.5, b=None, c=0.1),), (values(a=1.0, b=1.0, c=None),)), Column("m", (0.5, None, 0.1))
    )
    assert (summary.value, summary.n, summary.n_unscored, summary.excess) == (0.5, 1, 2, 0.5)


def test_without_a_control_there_is_no_excess():
    summary = summarise(AmongRuns((values(a=0.5, b=None, c=0.1),)), Column("m", (0.5, None, 0.1)))
    assert summary.value == pytest.approx(0.3)
    assert (summary.n, summary.excess) == (2, None)


def test_weights_make_a_mean_sum_over_sum():
    # length ratio: (6 + 8 tokens) / (3 + 2 tokens)
    column = Column("length_ratio", (2.0, 4.0, None), (3.0, 2.0, None), better="neither", bounds=None)
    assert summarise(AmongRuns((by_prompt(IDS, column),)), column).value == pytest.approx(14 / 5)


def test_repeats_are_averaged_inside_their_prompt():
    column = Column("m", (1.0, 0.0, 0.6, None))
    assert by_prompt(("a", "a", "b", "b"), column) == {"a": PromptValue(0.5, 1.0), "b": PromptValue(0.6, 1.0)}
    # A prompt with more scored repeats weighs no more: (0.5 + 0.6) / 2, not (1.0 + 0.0 + 0.6) / 3.
    assert summarise(AmongRuns((by_prompt(("a", "a", "b", "b"), column),)), column).value == pytest.approx(0.55)
    weighted = Column("m", (1.0, 0.0, 0.6, None), (3.0, 1.0, 2.0, None))
    assert by_prompt(("a", "a", "b", "b"), weighted) == {"a": PromptValue(0.75, 4.0), "b": PromptValue(0.6, 2.0)}


def test_no_excess_where_lower_is_better_has_no_minus_sign():
    # -1 x (0 - 0) is -0.0 for each prompt, which reports would print as -0.000.
    column = Column("conflict_name", (0.0, 0.0), better="lower")
    summary = summarise(AmongRuns((values(a=0.0, b=0.0),), (values(a=0.0, b=0.0),)), column)
    assert f"{summary.excess:+.3f}" == "+0.000"


def test_nothing_to_summarise():
    assert summarise(AmongRuns(({},)), Column("m", ())).value is None


def test_the_floor_pools_the_controls():
    summary = pooled([values(a=1.0, b=0.5, c=None), values(a=1.0, b=0.5, c=0.0)], Column("m", ()))
    assert (summary.n, summary.n_unscored) == (5, 1)
    assert summary.value == pytest.approx(3.0 / 5)


def test_values_by_prompt_are_read_like_a_mapping():
    column = Column("m", (1.0, 0.0, None, 0.4), sides=(None, None, "pair", None))
    values = by_prompt(("a", "a", "b", "c"), column)
    assert list(values.items()) == [("a", PromptValue(0.5, 1.0)), ("b", None), ("c", PromptValue(0.4, 1.0))]
    assert (len(values), "b" in values, "d" in values, values.get("d")) == (3, True, False, None)
    # Aligned with other prompts: one in another place, one that is missing.
    assert list(values.at(PromptIds(("c", "d"))).values()) == [PromptValue(0.4, 1.0), None]


def test_an_answer_that_only_the_candidate_lacks_is_the_worst_of_its_prompt_s_repeats():
    column = Column("m", (1.0, None, None, 0.4), sides=(None, "candidate", "pair", None))
    values = candidate_by_prompt(("a", "a", "b", "b"), column)
    assert values == {"a": PromptValue(0.5, 1.0, 1), "b": PromptValue(0.4, 1.0)}  # (1 + 0) / 2, one counted as worst
    # Without a known range there is no worst value, and so no value of the prompt.
    unknown = Column("m", (1.0, None, 2.0), sides=(None, "candidate", None), bounds=None)
    assert candidate_by_prompt(("a", "a", "b"), unknown) == {"a": None, "b": PromptValue(2.0, 1.0)}
