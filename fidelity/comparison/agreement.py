"""What the answers of two runs have in common, counted in one pass over their pairs."""

from collections.abc import Iterable
from dataclasses import dataclass

from fidelity.metrics.base import Need
from fidelity.records import Generation, Pair, PromptTokens, Sameness, Side
from fidelity.text.normalization import normalize

MOST_CHARACTERS = 4_000
"""Of an answer, in which its nearness to others is looked for."""
OPTIONAL: tuple[Need, ...] = ("token_ids", "finish_reason")
"""The fields of a generation that an engine or a recording can leave out."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """In which respects two runs are equal."""

    prompt_tokens: PromptTokens
    """How the models of both runs read the prompts."""
    same: Sameness
    """Whether both generations are equal in every pair; texts that only look different count as equal."""
    one_sided_thinking: int
    """In how many pairs one side has thinking before its answer, and the other has not."""
    contradictions: int
    """In how many pairs the token ids are equal and the texts aren't, so that one of the two is wrong."""
    spelling_only: int
    """The number of answers that differ only in spaces, apostrophes, hyphens or invisible characters."""
    recorded: frozenset[tuple[Side, Need]]
    """Which of the `OPTIONAL` fields any answer of a side has."""


def agreement_of(pairs: Iterable[Pair]) -> Agreement:
    """Read every pair once."""
    tokens, respects = _PromptTokens(), [_Respect() for _ in range(3)]
    texts, token_ids, logprobs = respects
    one_sided = contradictions = spelling = 0
    recorded: set[tuple[Side, Need]] = set()
    for pair in pairs:
        a, b = pair.baseline, pair.candidate
        tokens.add(pair.prompt.id, a, b)
        differ = _written(a) != _written(b)
        respelled = differ and _plain(a) == _plain(b)
        texts.add(respelled or not differ)
        if not respelled:  # another spelling has other tokens
            token_ids.add(_equal(a.token_ids, b.token_ids))
        logprobs.add(_equal(a.logprobs, b.logprobs))
        one_sided += (a.reasoning is None) != (b.reasoning is None)
        contradictions += bool(a.token_ids) and a.token_ids == b.token_ids and differ and not respelled
        spelling += a.text != b.text and normalize(a.text) == normalize(b.text)
        if len(recorded) < 2 * len(OPTIONAL):
            sides: tuple[tuple[Side, Generation], ...] = (("baseline", a), ("candidate", b))
            recorded |= {(side, need) for side, one in sides for need in OPTIONAL if getattr(one, need) is not None}
    same = Sameness(texts=texts.equal is not False, token_ids=token_ids.equal, logprobs=logprobs.equal)
    return Agreement(tokens.counts, same, one_sided, contradictions, spelling, frozenset(recorded))


def similarity(one: Generation, other: Generation) -> float:
    """Of the beginnings of two answers, by edits of characters, in [0, 1]."""
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(_plain(one)[:MOST_CHARACTERS], _plain(other)[:MOST_CHARACTERS])


@dataclass(slots=True)
class _Respect:
    """Whether all pairs are equal in one respect: None if no pair is known to differ but some are unknown."""

    equal: bool | None = True

    def add(self, equal: bool | None) -> None:
        if equal is False or self.equal is False:
            self.equal = False
        elif equal is None:
            self.equal = None


@dataclass(slots=True)
class _PromptTokens:
    """Counts of how two models read prompts, with the first prompt that differs: in number, or else in its tokens."""

    pairs: int = 0
    known: int = 0
    hashed: int = 0
    differing: int = 0
    by_number: tuple[str, int | None, int | None] | None = None
    by_hash: tuple[str, int | None, int | None] | None = None

    def add(self, prompt_id: str, a: Generation, b: Generation) -> None:
        known = a.prompt_tokens is not None and b.prompt_tokens is not None
        hashed = known and a.prompt_hash is not None and b.prompt_hash is not None
        example = prompt_id, a.prompt_tokens, b.prompt_tokens
        self.pairs, self.known, self.hashed = self.pairs + 1, self.known + known, self.hashed + hashed
        if known and a.prompt_tokens != b.prompt_tokens:
            self.differing += 1
            self.by_number = self.by_number or example
        elif hashed and a.prompt_hash != b.prompt_hash:
            self.differing += 1
            self.by_hash = self.by_hash or example

    @property
    def counts(self) -> PromptTokens:
        example = self.by_number or self.by_hash or (None, None, None)
        return PromptTokens(self.pairs, self.known, self.hashed, self.differing, *example)


def _equal(one: object, other: object) -> bool | None:
    return None if one is None or other is None else one == other


def _plain(generation: Generation) -> str:
    return " ".join(normalize(_written(generation)).split())


def _written(generation: Generation) -> str:
    return f"{generation.reasoning or ''}\n{generation.text}"
