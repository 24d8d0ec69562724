"""Pairs of outputs for one prompt, and what the pairs of two runs have in common."""

from dataclasses import dataclass

from fidelity.records.prompts import Prompt
from fidelity.records.responses import Generation
from fidelity.records.token_scores import TokenScores
from fidelity.schema import REFUSE_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class Pair:
    """A baseline's and a candidate's generations for one prompt (and one repeat)."""

    prompt: Prompt
    baseline: Generation
    candidate: Generation
    baselines: tuple[Generation, ...] = ()
    """With several repeats: the baseline's generations in all of the prompt's pairs, including this one."""
    candidates: tuple[Generation, ...] = ()
    """The candidate's generations, in the same order."""
    token_scores: tuple[TokenScores, TokenScores] | None = None
    """Both models' scores of the baseline's tokens, the baseline's first; only for metrics that need them."""


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two runs are equal in each respect; None if unknown (a run has no token ids, or no logprobs)."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    texts: bool
    token_ids: bool | None = None
    logprobs: bool | None = None


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """A comparison of the prompts of two runs as their models read them, in tokens."""

    pairs: int
    known: int
    """The number of pairs for which both runs report the prompt's length."""
    hashed: int
    """The number of pairs for which both report the prompt's tokens."""
    differing: int
    """The number of pairs for which length or tokens differ, as far as known."""
    example: str | None = None
    """The id of the first prompt that differs."""
    baseline_tokens: int | None = None
    """The length of that prompt in the baseline, in tokens."""
    other_tokens: int | None = None
    """The length of that prompt in the other run, in tokens."""

    @property
    def same(self) -> bool:
        """Whether all prompts are proven to have the same tokens."""
        return self.hashed == self.pairs > 0 and not self.differing


@dataclass(frozen=True, slots=True)
class SharedAnswers:
    """The number of a control's answers that are closer to one run. A control should not be closer to the candidate."""

    candidate_and_control: int
    """The control's answers that are closer to the candidate's than to the baseline's."""
    baseline_and_control: int
    """The control's answers that are closer to the baseline's."""
