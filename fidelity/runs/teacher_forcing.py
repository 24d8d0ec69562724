"""Forcing: a run's engine scores the baseline's tokens, in the chunks in which it generates."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fidelity.config import RunConfig, StoredEngine, TeacherForcing
from fidelity.engines import Engine, TokenScoringEngine, TokenTexts, can_score_tokens
from fidelity.errors import EngineError
from fidelity.outside.paths import inside
from fidelity.records import Failure, Generation, TokenScores
from fidelity.runs.jobs import Asked, Job
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import (
    WHOLE_VOCABULARY,
    Depth,
    ScoreWriter,
    finished,
    is_whole_vocabulary,
    scores_name,
    scores_of,
    scores_path,
)


def depths_of(config: RunConfig, stored: Run | None = None) -> tuple[Depth, ...]:
    """How deep a baseline's tokens are scored: what its YAML says; a stored one is as deep as it was scored."""
    if config.kl == "none":
        return ()
    if isinstance(config.engine, StoredEngine):
        own = scores_of(stored) if stored else []
        return tuple(scores.depth for scores in own if scores.manifest.baseline == scores.manifest.scorer)
    kl = config.kl or TeacherForcing()
    return (Depth(kl.top_k), *([Depth(WHOLE_VOCABULARY, kl.prompts, kl.tokens)] if kl.exact else []))


@dataclass(frozen=True)
class MissingScores:
    """The scores that one run owes its baseline, at one depth."""

    job: Job
    baseline: Run
    depth: Depth
    path: Path

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
            EngineError: The engine died; whole chunks are kept.
        """
        if self.lacks(number):
            seen: set[int] = set()
            self.writer.add_chunk(number, _noting(self._scores(self.job.batches[number], engine), seen))
            self._read_tokens(seen, engine)

    def tokens(self, number: int) -> int:
        """How many a chunk has."""
        return sum(len(self.handed.get((prompt.id, repeat), ())) for prompt, repeat in self.job.batches[number])

    def subset(self, run: Run, chunks: Sequence[int]) -> None:
        """Give a run that consists of some of the chunks the scores that it has."""
        subset = self.writer.subset(chunks, scores_path(run, self.baseline, self.depth))
        subset.complete(run, self.baseline, self.depth)

    def _scores(self, chunk: Sequence[Asked], engine: Engine) -> Iterator[TokenScores | Failure]:
        asked = [one for one in chunk if (one.prompt.id, one.repeat) in self.handed]
        ids = [self.handed[prompt.id, repeat] for prompt, repeat in asked]
        if why := self._why_not(engine):
            yield from (Failure(prompt.id, why, repeat) for prompt, repeat in asked)
        elif asked:
            assert isinstance(engine, TokenScoringEngine)
            scores = engine.score_tokens([prompt for prompt, _ in asked], ids, self.depth.top_k)
            for one, outcome in zip(asked, scores, strict=True):
                yield replace(outcome, repeat=one.repeat)

    def _read_tokens(self, seen: set[int], engine: Engine) -> None:
        """Keep how the tokens read, where the engine says it."""
        unread = sorted(seen - self.writer.texts.keys())
        if unread and isinstance(engine, TokenTexts):
            with suppress(EngineError):  # one that can't is none the worse for it
                self.writer.add_texts(dict(zip(unread, engine.token_texts(unread), strict=True)))

    def _why_not(self, engine: Engine) -> str | None:
        own, original = engine.info.tokenizer, self.baseline.manifest.engine.tokenizer
        if own and original and own != original:
            return f"{self.baseline.name} and {self.job.name} have different tokenizers"
        return None


def _noting(outcomes: Iterator[TokenScores | Failure], seen: set[int]) -> Iterator[TokenScores | Failure]:
    """The same; puts the tokens that people will read into `seen`: of the whole vocabulary only the answers'."""
    for outcome in outcomes:
        if isinstance(outcome, TokenScores):
            seen.update(outcome.token_ids.tolist())
            if not is_whole_vocabulary(outcome):
                seen.update(np.unique(outcome.top_ids).tolist())
        yield outcome


def missing_scores(job: Job, baseline: Run, depths: Sequence[Depth], store: Store) -> list[MissingScores]:
    """What a run has still to score; nothing where its engine can't, or where the baseline itself wasn't scored."""
    if not can_score_tokens(job.config, job.engine_identity):
        return []
    own = job.digest == baseline.manifest.digest
    missing = []
    for depth in depths:
        path = inside(store.root, "scores", scores_name(job.name, job.digest, baseline, depth))
        if not finished(path) and (own or finished(scores_path(baseline, baseline, depth))):
            missing.append(MissingScores(job, baseline, depth, path))
    return missing
