"""What reviewers found: from displacement to "worse or not", with an exact interval."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from fidelity.comparison.results import Scores
from fidelity.comparison.stored import load_comparison
from fidelity.outside.paths import inside
from fidelity.records import Pair
from fidelity.stats import clopper_pearson, sign_test
from fidelity.store.reviews import (
    FOLDER,
    Review,
    Vote,
    answers_digest,
    latest,
    place_in_random_order,
    read_reviews,
    review_files,
)

CONFIDENCE = 0.95
SIGN: Mapping[Vote | None, int] = {"baseline better": 1, "candidate better": -1}
"""How a vote counts for its prompt; all others count 0."""
Selection = Literal["all", "random", "chosen"]
SELECTIONS: Mapping[Selection, str] = {
    "all": "every prompt",
    "random": "a random sample",
    "chosen": "not a random sample, so the result is about these prompts alone",
}
PairKey = tuple[str, int]
ReviewRow = dict[str, str | int | bool | None]


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

    @property
    def decided(self) -> int:
        """The prompts on which one side is better."""
        return self.worse + self.better

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (Clopper & Pearson) for the share of decided prompts on which the baseline is better."""
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
        """How the prompts with a vote were chosen: all of them, the first in random order, or in any other way."""
        if self.prompts == self.all_prompts:
            return "all"
        return "random" if self.prompts and self.random_first == self.prompts else "chosen"

    def in_words(self) -> str:
        """A sentence with the outcome and the interval."""
        if not self.decided:
            return f"Not decided: on none of {_counted(self.prompts, 'reviewed prompt')} is one answer better."
        low, high = self.interval
        heads = {"worse": "Worse", "better": "Better", "undecided": "Not decided"}
        return (
            f"{heads[self.outcome]}: the baseline is better on {self.worse} of "
            f"{_counted(self.decided, 'decided prompt')} "
            f"({self.worse / self.decided:.1%}, 95 % interval {low:.1%} to {high:.1%}; sign test, p = "
            f"{_p(self.p_value)})."
        )

    def headline(self) -> str:
        """The result in one line, for reports: counts, interval, and whether it holds for all prompts."""
        sentence = self.in_words().removesuffix(".")
        return (
            f"votes on {self.prompts:,} of {_counted(self.all_prompts, 'prompt')} ({SELECTIONS[self.selection]}): "
            f"candidate better {self.better}, same {self.same}, baseline better {self.worse}, both bad "
            f"{self.both_bad}. {sentence}"
        )

    def as_data(self) -> dict[str, object]:
        """All of it as plain data, for JSON."""
        low, high = self.interval
        return {
            **asdict(self),
            "agreement": list(self.agreement),
            "decided": self.decided,
            "interval": {"low": low, "high": high},
            "p_value": self.p_value,
            "outcome": self.outcome,
            "selection": self.selection,
        }

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
        if self.agreement[1]:
            same, several = self.agreement
            yield f"Several reviewers voted on {_counted(several, 'pair')}, and agree on {same:,}."
        if self.stale:
            yield f"Not counted: {_counted(self.stale, 'vote')} on answers that have changed since."
        if self.unreadable:
            yield f"Not counted: {_counted(self.unreadable, 'file')} that can't be read; run fidelity store check."
        yield self._about_the_selection()

    def _about_the_selection(self) -> str:
        match self.selection:
            case "all":
                return "Every prompt has a vote."
            case "random":
                return (
                    f"The reviewed prompts are the first of {self.all_prompts:,} in random order: a random sample, so "
                    f"the interval holds for prompts like all of them."
                )
        return (
            f"The reviewed prompts are no random sample of the {self.all_prompts:,}, so the result is about them alone "
            f"(in a list that begins with the worst pairs, about the worst). Only the first {self.random_first:,} in "
            f"random order have a vote. Sort the pairs by random order, and skip none, if it is to hold for all."
        )


def review_summary(comparison: Path) -> ReviewSummary:
    """Summarize the votes on a comparison.

    Raises:
        StoreError: The comparison can't be read.
    """
    return summarize_reviews(_candidate(comparison), *read_reviews(_root(comparison), comparison.name))


def votes_on(scores: Scores) -> list[ReviewSummary]:
    """Summarize the votes on a candidate. Empty without any, and then no text is read.

    Raises:
        StoreError: The votes can't be listed.
    """
    path = scores.comparison.path
    if not review_files(inside(_root(path), FOLDER, path.name)):
        return []
    return [summarize_reviews(scores, *read_reviews(_root(path), path.name))]


def summarize_reviews(scores: Scores, reviews: Iterable[Review], unreadable: int = 0) -> ReviewSummary:
    """Summarize the votes on a candidate."""
    pairs = {key: _digest(pair) for key, pair in _pairs_of(scores).items()}
    current = latest(reviews)
    valid = [review for review in current if pairs.get(review.pair) == review.answers]
    by_pair, by_prompt = defaultdict[PairKey, list[Review]](list), defaultdict[str, list[Review]](list)
    for review in valid:
        by_pair[review.pair].append(review)
        by_prompt[review.prompt_id].append(review)
    outcomes = [_outcome(votes) for votes in by_prompt.values()]
    several = [votes for votes in by_pair.values() if len(votes) > 1]
    in_random_order = dict.fromkeys(prompt_id for prompt_id, _ in sorted(pairs, key=place_in_random_order))
    return ReviewSummary(
        pairs=len(pairs),
        all_prompts=len(in_random_order),
        prompts=len(by_prompt),
        random_first=sum(1 for _ in takewhile(by_prompt.__contains__, in_random_order)),
        worse=outcomes.count("baseline better"),
        same=outcomes.count("same"),
        better=outcomes.count("candidate better"),
        both_bad=outcomes.count("both bad"),
        votes=len(valid),
        blind_votes=sum(review.blind for review in valid),
        reviewers=len({review.reviewer for review in valid}),
        agreement=(sum(len({review.vote for review in votes}) == 1 for votes in several), len(several)),
        stale=len(current) - len(valid),
        unreadable=unreadable,
    )


def review_rows(comparison: Path, *, texts: bool = False) -> Iterator[ReviewRow]:
    """The newest vote of each reviewer on each pair, as plain values, oldest first.

    Args:
        comparison: A directory in a store's `comparisons/`.
        texts: Whether to add the prompt and both answers.

    Raises:
        StoreError: The comparison can't be read.
    """
    pairs = _pairs_of(_candidate(comparison))
    for review in latest(read_reviews(_root(comparison), comparison.name)[0]):
        pair = pairs.get(review.pair)
        row: ReviewRow = {
            "comparison": review.comparison,
            "prompt_id": review.prompt_id,
            "repeat": review.repeat,
            "reviewer": review.reviewer,
            "vote": review.vote,
            "note": review.note,
            "tags": ", ".join(review.tags),
            "blind": review.blind,
            "created": review.created,
            "counts": pair is not None and _digest(pair) == review.answers,
        }
        yield row if not texts else {**row, **_texts(pair)}


def _texts(pair: Pair | None) -> ReviewRow:
    if pair is None:
        return dict.fromkeys(("prompt", "baseline", "candidate"))
    return {"prompt": pair.prompt.text, "baseline": pair.baseline.text, "candidate": pair.candidate.text}


def _candidate(comparison: Path) -> Scores:
    (candidate,) = load_comparison(comparison, only=()).candidates
    return candidate


def _pairs_of(scores: Scores) -> dict[PairKey, Pair]:
    return {(pair.prompt.id, pair.candidate.repeat): pair for pair in scores.pairing.pairs}


def _digest(pair: Pair) -> str:
    return answers_digest(pair.baseline.text, pair.candidate.text)


def _outcome(votes: Sequence[Review]) -> Vote:
    """A prompt's outcome by the majority of its votes for one side."""
    balance = sum(SIGN.get(review.vote, 0) for review in votes)
    if balance:
        return "baseline better" if balance > 0 else "candidate better"
    return "both bad" if all(review.vote == "both bad" for review in votes) else "same"


def _root(comparison: Path) -> Path:
    return comparison.resolve().parent.parent


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
