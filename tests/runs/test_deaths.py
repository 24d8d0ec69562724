"""Prompts that kill engines, by a stand-in for the engine: which are asked again, and which have failed."""

import pytest

from fidelity.errors import EngineError
from fidelity.records import Failure, Generation
from fidelity.runs.deaths import answers_despite_deaths


class Mortal:
    """Answers places in order, and dies when it comes to a deadly one, or after so many answers at the given starts."""

    def __init__(self, *, deadly=(), dies_after=()):
        self.deadly, self.dies_after = set(deadly), list(dies_after)
        self.deaths, self.asked = 0, []

    def ask(self, places):
        self.asked.append(list(places))
        left = self.dies_after.pop(0) if self.dies_after else None
        for count, place in enumerate(places):
            if place in self.deadly or count == left:
                self.deaths += 1
                raise EngineError("died")
            yield place, Generation(str(place), "text")

    def answers(self, places):
        return list(
            answers_despite_deaths(
                places, self.ask, on_death=lambda _: None, failure=lambda place, _: Failure(str(place), "three deaths")
            )
        )


def failures(answers):
    return [place for place, outcome in answers if isinstance(outcome, Failure)]


def test_an_engine_that_lives_is_asked_once():
    engine = Mortal()
    assert [place for place, _ in engine.answers(range(5))] == [0, 1, 2, 3, 4]
    assert engine.asked == [[0, 1, 2, 3, 4]]


def test_after_a_death_only_what_is_missing_is_asked_together():
    engine = Mortal(dies_after=[2])
    assert not failures(engine.answers(range(5)))
    assert engine.asked == [[0, 1, 2, 3, 4], [2, 3, 4]]


def test_deaths_that_no_prompt_causes_fail_none():
    engine = Mortal(dies_after=[0, 0, 1, 0, 3, 0])
    answers = engine.answers(range(64))
    assert sorted(place for place, _ in answers) == list(range(64))
    assert not failures(answers)


@pytest.mark.parametrize("deadly", [[0], [7], [63], [5, 40], [0, 1], [62, 63]])
def test_a_deadly_prompt_fails_alone_and_the_others_are_answered_once(deadly):
    engine = Mortal(deadly=deadly)
    answers = engine.answers(range(64))
    assert sorted(place for place, _ in answers) == list(range(64))
    assert failures(answers) == deadly
    assert engine.deaths <= 9 * len(deadly)  # two for all together, then log2(64) halvings and the last one alone


def test_a_single_prompt_gets_three_engines():
    engine = Mortal(deadly=[0])
    assert failures(engine.answers([0])) == [0]
    assert engine.deaths == 3


def test_three_failures_in_a_row_are_the_engines():
    engine = Mortal(deadly=range(64))
    with pytest.raises(EngineError, match="died"):
        engine.answers(range(64))
    assert engine.deaths < 20
