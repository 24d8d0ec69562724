"""What votes add up to: counts of prompts, an exact interval, and the sentences that every report has."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from fidelity.outside.strings import one_line
from fidelity.stats import clopper_pearson, sign_test

CONFIDENCE = 0.95
Selection = Literal["all", "random", "chosen"]
SELECTIONS: Mapping[Selection, str] = {
    "all": "every prompt",
    "random": "a random sample",
    "chosen": "not a random sample, so the result is about these prompts alone",
}


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """About a judge whose votes a summary has. Counts are of pairs."""

    model: str
    instructions: str
    """The digest of what it was asked."""
    equal: int
    """Pairs of equal answers, which count as the same and aren't asked."""
    by_position: int
    """Pairs where it preferred the answer in the same place in both orders, which counts as the same."""
    no_verdict: int
    """Pairs without a vote, since one of its answers can't be read."""
    against_control: "ReviewSummary | None" = None
    """Its votes between the baseline and a control, which is the same model; None if it has none."""


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """Counts of prompts, since answers to one prompt aren't independent, and an exact test.

    A prompt counts as `worse` if more of its votes prefer the baseline than the candidate, as `better` if fewer do.
    """

    pairs: int
    """The pairs of the comparison."""
    all_prompts: int
    """The prompts of these pairs."""
    prompts: int
    """The prompts with a vote."""
    random_first: int
    """How many of the first prompts in random order have a vote, up to the first without one."""
    worse: int
    same: int
    better: int
    both_bad: int
    votes: int
    blind_votes: int
    reviewers: int
    agreement: tuple[int, int]
    """The pairs with votes of several reviewers who all say the same, and all pairs with several reviewers."""
    stale: int
    """Votes on texts that have changed since. They don't count."""
    unreadable: int
    """Files that can't be read; `fidelity store check` names them."""
    without_vote: int = 0
    """The prompts that a judge was asked about without a readable verdict."""
    source: str = "reviewers"
    """Who voted: all people together, or the name of a judge."""
    judge: JudgeFacts | None = None

    @property
    def decided(self) -> int:
        """The prompts on which one side is better."""
        return self.worse + self.better

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval (Clopper & Pearson) for the share of decided prompts on which the baseline is better."""
        return clopper_pearson(self.worse, self.decided, confidence=CONFIDENCE)

    @property
    def p_value(self) -> float:
        """The two-sided sign test of the decided prompts."""
        return sign_test(self.worse, self.decided)

    @property
    def outcome(self) -> Literal["worse", "better", "undecided"]:
        """Whether the candidate's answers are worse: the interval is above, below, or around one half."""
        low, high = self.interval
        return "worse" if low > 0.5 else "better" if high < 0.5 else "undecided"

    @property
    def selection(self) -> Selection:
        """How the prompts were chosen: all of them, the first in random order, or in any other way."""
        asked = self.prompts + self.without_vote
        if asked == self.all_prompts:
            return "all"
        return "random" if asked and self.random_first == asked else "chosen"

    def in_words(self) -> str:
        """A sentence with the outcome and the interval."""
        if not self.decided:
            return f"Not decided: on none of {_counted(self.prompts, 'reviewed prompt')} is one answer better."
        low, high = self.interval
        heads = {"worse": "Worse", "better": "Better", "undecided": "Not decided"}
        return (
            f"{heads[self.outcome]}: the baseline is better on {self.worse} of "
            f"{_counted(self.decided, 'decided prompt')} "
            f"({self.worse / self.decided:.1%}, 95% interval {low:.1%} to {high:.1%}; sign test, p = "
            f"{_p(self.p_value)})."
        )

    def headline(self) -> str:
        """The result in one line, for reports: counts, interval, and whether it holds for all prompts."""
        sentence = self.in_words().removesuffix(".")
        by = f" by the judge {one_line(self.source)}" if self.judge else ""
        both_bad = "" if self.judge else f", both bad {self.both_bad}"
        text = (
            f"votes{by} on {self.prompts:,} of {_counted(self.all_prompts, 'prompt')} ({SELECTIONS[self.selection]}): "
            f"candidate better {self.better}, same {self.same}, baseline better {self.worse}{both_bad}. {sentence}"
        )
        return f"{text}. {self.judge_in_words()}" if self.judge else text

    def judge_in_words(self) -> str:
        """What a judge does where there is nothing to prefer, and how often it gave no verdict."""
        if not self.judge:
            return ""
        aa = self.judge.against_control
        text = "No votes between the baseline and a control (A/A)"
        if aa:
            text = (
                f"Between the baseline and its control (A/A) it preferred one on {aa.decided:,} of "
                f"{_counted(aa.prompts, 'prompt')} (control {aa.better}, baseline {aa.worse})"
            )
        return text + (f"; no readable verdict on {_counted(self.without_vote, 'prompt')}" if self.without_vote else "")

    def as_data(self) -> dict[str, object]:
        """All of it as plain data, for JSON."""
        low, high = self.interval
        return {
            **asdict(self),
            "agreement": list(self.agreement),
            "judge": self._judge_as_data(),
            "decided": self.decided,
            "interval": {"low": low, "high": high},
            "p_value": self.p_value,
            "outcome": self.outcome,
            "selection": self.selection,
        }

    def _judge_as_data(self) -> dict[str, object] | None:
        if not self.judge:
            return None
        aa = self.judge.against_control
        return {**asdict(self.judge), "against_control": aa.as_data() if aa else None}

    def details(self) -> Iterator[str]:
        """Sentences about the votes behind it."""
        yield (
            f"Reviewed: {self.prompts:,} of {_counted(self.all_prompts, 'prompt')} ({self.pairs:,} pairs in the "
            f"comparison): baseline better {self.worse}, same {self.same}, candidate better {self.better}, both bad "
            f"{self.both_bad}."
        )
        yield (
            f"{_counted(self.votes, 'vote')} by {_counted(self.reviewers, 'reviewer')}, {self.blind_votes:,} of them "
            f"blind."
        )
        if self.judge:
            yield (
                f"{one_line(self.source)} is the model {one_line(self.judge.model)}, instructions "
                f"{self.judge.instructions[:12]}, asked in both orders. Pairs: {self.judge.equal:,} with equal "
                f"answers, {self.judge.by_position:,} where it chose by position (the same), "
                f"{self.judge.no_verdict:,} without a readable verdict (no vote)."
            )
            yield f"{self.judge_in_words()}."
        if self.agreement[1]:
            same, several = self.agreement
            yield f"Several reviewers voted on {_counted(several, 'pair')}, and agree on {same:,}."
        if self.stale:
            yield f"Not counted: {_counted(self.stale, 'vote')} on answers that have changed since."
        if self.unreadable:
            yield f"Not counted: {_counted(self.unreadable, 'file')} that can't be read; run fidelity store check."
        yield self._about_the_selection()

    def _about_the_selection(self) -> str:
        but = f", but for {self.without_vote:,} without a readable verdict" if self.without_vote else ""
        match self.selection:
            case "all":
                return f"Every prompt has a vote{but}."
            case "random":
                return (
                    f"The reviewed prompts are the first of {self.all_prompts:,} in random order{but}: a random "
                    f"sample, so the interval holds for prompts like all of them{' with a verdict' if but else ''}."
                )
        return (
            f"The reviewed prompts are no random sample of the {self.all_prompts:,}, so the result is about them alone "
            f"(in a list that begins with the worst pairs, about the worst). Only the first {self.random_first:,} in "
            f"random order have a vote. Sort the pairs by random order, and skip none, if it is to hold for all."
        )


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
