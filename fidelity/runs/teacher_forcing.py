"""Teacher forcing: a run's engine scores the baseline's tokens, chunk by chunk."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fidelity.config import RunConfig, StoredEngine, TeacherForcing
from fidelity.engines import Engine, TokenScoringEngine, TokenTexts, can_score_tokens
from fidelity.errors import EngineError
from fidelity.outside.paths import inside
from fidelity.records import Failure, Generation, Head, HiddenStates, TokenScores
from fidelity.runs.jobs import Asked, Job
from fidelity.store.runs import Run
from fidelity.store.score_tables import is_whole_vocabulary
from fidelity.store.store import Store
from fidelity.store.token_scores import (
    Depth,
    ScoreWriter,
    finished,
    scores_name,
    scores_of,
    scores_path,
)


def depths_of(config: RunConfig, stored: Run | None = None) -> tuple[Depth, ...]:
    """The depths at which a baseline's tokens are scored: from its YAML, or as scored before if it is stored."""
    if config.kl == "none":
        return ()
    if isinstance(config.engine, StoredEngine):
        own = scores_of(stored) if stored else []
        return tuple(scores.depth for scores in own if scores.manifest.baseline == scores.manifest.scorer)
    kl = config.kl or TeacherForcing()
    if not kl.exact:
        return (Depth(kl.top_k),)
    exact = Depth(kl.top_k, kl.prompts, kl.tokens, exact=True)
    return (exact,) if exact.every_token else (Depth(kl.top_k), exact)


@dataclass(frozen=True)
class MissingScores:
    """The token scores that one run still needs, at one depth."""

    job: Job
    baseline: Run
    depth: Depth
    path: Path
    _heads: dict[Engine, Head | str | None] = field(default_factory=dict, compare=False)
    """The head of each engine that has scored a chunk; see `heads.add_head`."""

    @cached_property
    def writer(self) -> ScoreWriter:
        return ScoreWriter(self.path)

    @cached_property
    def handed(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """The tokens to score, by prompt and repeat."""
        first = [prompt.id for prompt in self.baseline.prompts()[: self.depth.prompts]]
        wanted = set(first)
        return {
            (generation.prompt_id, generation.repeat): generation.token_ids[: self.depth.tokens]
            for generation in self.baseline.outcomes()
            if isinstance(generation, Generation)
            and generation.token_ids is not None
            and generation.prompt_id in wanted
        }

    def lacks(self, number: int) -> bool:
        """Whether a chunk isn't on disk."""
        return number not in self.writer.finished

    def fill(self, number: int, engine: Engine) -> None:
        """Score a chunk, unless it is on disk.

        Raises:
            EngineError: The engine crashed; finished chunks are saved.
        """
        if self.lacks(number):
            seen: set[int] = set()
            scores = self._scores(self.job.batches[number], engine)
            self.writer.add_chunk(number, _noting(scores, seen), exact=self.depth.exact)
            self._read_tokens(seen, engine)

    def tokens(self, number: int) -> int:
        """The number of tokens to score in a chunk."""
        return sum(len(self.handed.get((prompt.id, repeat), ())) for prompt, repeat in self.job.batches[number])

    def subset(self, run: Run, chunks: Sequence[int]) -> None:
        """Copy the scores of some chunks to a run that consists of these chunks."""
        subset = self.writer.subset(chunks, scores_path(run, self.baseline, self.depth))
        subset.complete(run, self.baseline, self.depth)

    def _scores(self, chunk: Sequence[Asked], engine: Engine) -> Iterator[TokenScores | Failure]:
        asked = [one for one in chunk if (one.prompt.id, one.repeat) in self.handed]
        ids = [self.handed[prompt.id, repeat] for prompt, repeat in asked]
        if why := self._why_not(engine):
            yield from (Failure(prompt.id, why, repeat) for prompt, repeat in asked)
        elif asked:
            assert isinstance(engine, TokenScoringEngine)
            if self.depth.exact and engine not in self._heads:
                self._heads[engine] = self.writer.add_head(engine.write_head)
            prompts, depth = [prompt for prompt, _ in asked], self.depth
            for one, outcome in zip(
                asked, engine.score_tokens(prompts, ids, depth.top_k, exact=depth.exact), strict=True
            ):
                yield replace(self._with_head(outcome, engine), repeat=one.repeat)

    def _with_head(self, outcome: TokenScores | Failure, engine: Engine) -> TokenScores | Failure:
        if not isinstance(outcome, TokenScores) or not isinstance(outcome.hidden, HiddenStates):
            return outcome
        head = self._heads[engine]
        return replace(outcome, hidden=head if isinstance(head, str) else replace(outcome.hidden, head=head))

    def _read_tokens(self, seen: set[int], engine: Engine) -> None:
        """Store the tokens' texts, if the engine reports them."""
        unread = sorted(seen - self.writer.texts.keys())
        if unread and isinstance(engine, TokenTexts):
            with suppress(EngineError):  # an engine that can't do this is still usable
                self.writer.add_texts(dict(zip(unread, engine.token_texts(unread), strict=True)))

    def _why_not(self, engine: Engine) -> str | None:
        own, original = engine.info.tokenizer, self.baseline.manifest.engine.tokenizer
        if own and original and own != original:
            return f"{self.baseline.name} and {self.job.name} have different tokenizers"
        return None


def _noting(outcomes: Iterator[TokenScores | Failure], seen: set[int]) -> Iterator[TokenScores | Failure]:
    """Pass the scores through, adding to `seen` the tokens to display: for the whole vocabulary only the answers'."""
    for outcome in outcomes:
        if isinstance(outcome, TokenScores):
            seen.update(outcome.token_ids.tolist())
            if not is_whole_vocabulary(outcome):
                seen.update(np.unique(outcome.top_ids).tolist())
        yield outcome


def missing_scores(job: Job, baseline: Run, depths: Sequence[Depth], store: Store) -> list[MissingScores]:
    """What a run still has to score: nothing if its engine can't, or if the baseline itself wasn't scored."""
    if not can_score_tokens(job.config, job.engine_identity):
        return []
    own = job.digest == baseline.manifest.digest
    missing = []
    for depth in depths:
        path = inside(store.root, "scores", scores_name(job.name, job.digest, baseline, depth))
        if not finished(path) and (own or finished(scores_path(baseline, baseline, depth))):
            missing.append(MissingScores(job, baseline, depth, path))
    return missing
