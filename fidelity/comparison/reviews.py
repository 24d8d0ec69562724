"""Votes on a comparison, of people and of judges: read from the store, counted by prompt, and as rows."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from fidelity.comparison.results import Scores
from fidelity.comparison.stored import load_comparison
from fidelity.comparison.vote_summary import JudgeFacts, ReviewSummary
from fidelity.records import Pair
from fidelity.store.reviews import (
    Review,
    Vote,
    answers_digest,
    latest,
    newest,
    place_in_random_order,
    read_reviews,
)

SIGN: Mapping[Vote | None, int] = {"baseline better": 1, "candidate better": -1}
"""How a vote counts for its prompt; all others count 0."""
PairKey = tuple[str, int]
JudgeKey = tuple[str, str, str]
"""Name, model, digest of the instructions."""
ReviewRow = dict[str, str | int | bool | None]


def review_summary(comparison: Path) -> ReviewSummary:
    """Summarize people's votes on a comparison.

    Raises:
        StoreError: The comparison can't be read.
    """
    people, unreadable = read_reviews(_root(comparison), comparison.name)
    return summarize_reviews(_candidate(comparison), [one for one in people if not one.judge], unreadable)


def vote_summaries(comparison: Path) -> list[ReviewSummary]:
    """Summarize all votes on a comparison; see `votes_on`.

    Raises:
        StoreError: The comparison can't be read.
    """
    result = load_comparison(comparison, only=())
    return votes_on(result.candidates[0], result.controls)


def votes_on(scores: Scores, controls: Sequence[Scores] = ()) -> list[ReviewSummary]:
    """Summarize the votes on a candidate: of all people together, then of each judge.

    Empty without votes, and then no text is read.
    """
    reviews, unreadable = _reviews_of(scores)
    people = [review for review in reviews if not review.judge]
    summaries = [summarize_reviews(scores, people, unreadable)] if people or unreadable else []
    for judge, own in _by_judge(reviews).items():
        between = [(control, _by_judge(_reviews_of(control)[0]).get(judge)) for control in controls]
        against = next((_judge_summary(control, judge, votes, None) for control, votes in between if votes), None)
        summaries.append(_judge_summary(scores, judge, own, against))
    return summaries


def _reviews_of(scores: Scores) -> tuple[list[Review], int]:
    path = scores.comparison.path
    return read_reviews(_root(path), path.name)


def _by_judge(reviews: Iterable[Review]) -> dict[JudgeKey, list[Review]]:
    """The newest review of each judge on each pair, by name, model and instructions."""
    judges: dict[JudgeKey, list[Review]] = defaultdict(list)
    for review in newest(review for review in reviews if review.judge):
        if review.judge:
            judges[review.reviewer, review.judge.model, review.judge.instructions].append(review)
    return judges


def _judge_summary(
    scores: Scores, judge: JudgeKey, reviews: Sequence[Review], against: ReviewSummary | None
) -> ReviewSummary:
    name, model, instructions = judge
    summary, pairs = summarize_reviews(scores, reviews), pairs_of(scores, {one.prompt_id for one in reviews})
    answers = [review.judge for review in reviews if review.judge and _is_valid(review, pairs)]
    facts = JudgeFacts(
        model=model,
        instructions=instructions,
        equal=sum(one.choices is None for one in answers),
        by_position=sum(one.choices in (("first", "first"), ("second", "second")) for one in answers),
        no_verdict=sum("unreadable" in (one.choices or ()) for one in answers),
        against_control=against,
    )
    return replace(summary, source=name, judge=facts)


def summarize_reviews(scores: Scores, reviews: Iterable[Review], unreadable: int = 0) -> ReviewSummary:
    """Summarize the votes on a candidate."""
    reviews = list(reviews)
    pairs = pairs_of(scores, {review.prompt_id for review in reviews})
    current = latest(reviews)
    valid = [review for review in current if _is_valid(review, pairs)]
    asked = {review.prompt_id for review in newest(reviews) if review.judge and _is_valid(review, pairs)}
    by_pair, by_prompt = defaultdict[PairKey, list[Review]](list), defaultdict[str, list[Review]](list)
    for review in valid:
        by_pair[review.pair].append(review)
        by_prompt[review.prompt_id].append(review)
    outcomes = [_outcome(votes) for votes in by_prompt.values()]
    several = [votes for votes in by_pair.values() if len(votes) > 1]
    prompts = in_random_order(scores)
    return ReviewSummary(
        pairs=len(scores.prompt_ids),
        all_prompts=len(prompts),
        prompts=len(by_prompt),
        random_first=sum(1 for _ in takewhile((asked | by_prompt.keys()).__contains__, prompts)),
        without_vote=len(asked - by_prompt.keys()),
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
    reviews = latest(read_reviews(_root(comparison), comparison.name)[0])
    pairs = pairs_of(_candidate(comparison), {review.prompt_id for review in reviews})
    for review in reviews:
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
            "judge": review.judge.model if review.judge else None,
            "counts": _is_valid(review, pairs),
        }
        yield row if not texts else {**row, **_texts(pair)}


def _texts(pair: Pair | None) -> ReviewRow:
    if pair is None:
        return dict.fromkeys(("prompt", "baseline", "candidate"))
    return {"prompt": pair.prompt.text, "baseline": pair.baseline.text, "candidate": pair.candidate.text}


def _candidate(comparison: Path) -> Scores:
    (candidate,) = load_comparison(comparison, only=()).candidates
    return candidate


def in_random_order(scores: Scores) -> list[str]:
    """The prompts of a comparison's pairs in random order: the first ones are a random sample of all."""
    return sorted(set(scores.prompt_ids), key=lambda prompt_id: place_in_random_order((prompt_id, 0)))


def pairs_of(scores: Scores, prompts: Container[str]) -> dict[PairKey, Pair]:
    """The pairs of some prompts, by prompt and repeat. No other text is read."""
    rows = [row for row, prompt_id in enumerate(scores.prompt_ids) if prompt_id in prompts]
    pairs = (scores.pairing.pairs[row] for row in rows)
    return {(pair.prompt.id, pair.candidate.repeat): pair for pair in pairs}


def _is_valid(review: Review, pairs: Mapping[PairKey, Pair]) -> bool:
    """Whether a vote is on the answers that the pair has now."""
    pair = pairs.get(review.pair)
    return pair is not None and answers_digest(pair.baseline.text, pair.candidate.text) == review.answers


def _outcome(votes: Sequence[Review]) -> Vote:
    """A prompt's outcome by the majority of its votes for one side."""
    balance = sum(SIGN.get(review.vote, 0) for review in votes)
    if balance:
        return "baseline better" if balance > 0 else "candidate better"
    return "both bad" if all(review.vote == "both bad" for review in votes) else "same"


def _root(comparison: Path) -> Path:
    return comparison.resolve().parent.parent
