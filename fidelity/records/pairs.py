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
    """With several repeats: what the baseline said in each of the prompt's pairs, this one's among them."""
    candidates: tuple[Generation, ...] = ()
    """The same of the candidate, in the same order."""
    token_scores: tuple[TokenScores, TokenScores] | None = None
    """What both models make of the baseline's tokens, its own scores first; only for metrics that read it."""


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two runs said the very same; None where a run doesn't tell (it has no token ids, or no logprobs)."""

    __pydantic_config__ = REFUSE_UNKNOWN_KEYS

    texts: bool
    token_ids: bool | None = None
    logprobs: bool | None = None


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """The prompts of two runs as their models read them, in tokens, pair by pair."""

    pairs: int
    known: int
    """Pairs where both runs tell how many tokens the prompt had."""
    hashed: int
    """Pairs where both tell which tokens."""
    differing: int
    """Pairs where number or tokens differ, as far as both are known."""
    example: str | None = None
    """The id of the first prompt that differs."""
    baseline_tokens: int | None = None
    """How many tokens the baseline read that prompt as."""
    other_tokens: int | None = None
    """The same of the other run."""

    @property
    def same(self) -> bool:
        """Whether all prompts are proven to be the same tokens."""
        return self.hashed == self.pairs > 0 and not self.differing


@dataclass(frozen=True, slots=True)
class SharedAnswers:
    """How many answers exactly two of three runs share: a control has no reason to be nearer to the candidate."""

    candidate_and_control: int
    """Answers of the candidate and the control that are equal, where the baseline's is another."""
    baseline_and_control: int
    """Answers of the baseline and the control that are equal, where the candidate's is another."""
