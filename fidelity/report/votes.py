"""Reviewers' votes in reports: who won on how many prompts, with an exact interval."""

from collections.abc import Iterator

from fidelity.comparison.results import ComparisonSet, Scores
from fidelity.comparison.reviews import votes_on


def vote_lines(result: ComparisonSet, *, details: bool = False) -> Iterator[str]:
    """A sentence for each candidate with votes; with details, also who voted and what isn't counted."""
    for candidate in result.candidates:
        for summary in votes_on(candidate, result.controls):
            yield f"{candidate.run.name}: {summary.headline()}"
            if details:
                yield from (f"{candidate.run.name}: votes: {line}" for line in summary.details())


def votes_json(result: ComparisonSet, candidate: Scores) -> list[dict[str, object]]:
    """The same as plain data; empty without votes."""
    return [summary.as_data() for summary in votes_on(candidate, result.controls)]
