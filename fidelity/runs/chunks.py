"""Generating a run's chunks: the prompts of a chunk go through the engine and into the store."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fidelity.engines import Engine, StreamingEngine
from fidelity.records import Failure, Generation
from fidelity.runs.jobs import Asked, Job
from fidelity.runs.listener import RunProgress
from fidelity.runs.measure import RunWatch
from fidelity.store.measurements import ChunkTime
from fidelity.store.runs import RunWriter


@dataclass(frozen=True, slots=True)
class ChunkGeneration:
    """Generates the chunks of one run and writes them."""

    job: Job
    writer: RunWriter
    engine: Engine
    progress: RunProgress
    watch: RunWatch

    def generate(self, number: int, asked: Sequence[Asked]) -> None:
        """Generate the chunk of this number.

        Raises:
            EngineError: The engine died; all finished answers of a streamed run are on disk.
        """
        if self.job.streamed and isinstance(self.engine, StreamingEngine):
            self._answer_by_answer(self.engine, number, asked)
        else:
            self._at_once(number, asked)

    def _at_once(self, number: int, asked: Sequence[Asked]) -> None:
        prompts, repeats = [prompt for prompt, _ in asked], [repeat for _, repeat in asked]
        began = time.monotonic()
        generations = self.engine.generate(prompts, self.job.sampling, repeats)
        outcomes = [replace(outcome, repeat=repeat) for outcome, repeat in zip(generations, repeats, strict=True)]
        took = time.monotonic() - began
        with self.watch.writing():
            self.writer.add_chunk(number, prompts, outcomes)
        tokens = sum(map(_tokens, outcomes))
        self.watch.chunk_finished(len(prompts), tokens, took)
        self.progress.chunk_finished(len(prompts), tokens)

    def _answer_by_answer(self, engine: StreamingEngine, number: int, asked: Sequence[Asked]) -> None:
        """Write each answer as soon as it is finished, so that a killed run resumes within the chunk."""
        began = time.monotonic()
        with self.writer.journal(number) as journal:
            left = [place for place in range(len(asked)) if place not in journal.places]
            self.progress.resumed(len(asked) - len(left))
            tokens = 0
            prompts, repeats = [asked[place].prompt for place in left], [asked[place].repeat for place in left]
            for n, outcome in engine.answer(prompts, self.job.sampling, repeats, admission=self.job.admission):
                journal.add(left[n], replace(outcome, repeat=repeats[n]))
                tokens += _tokens(outcome)
            whole = ChunkTime(prompts=len(left), tokens=tokens, seconds=time.monotonic() - began)
            self.watch.stream_finished(self.progress.reports, whole)
            answered = [asked[place].prompt for place in journal.places]
            with self.watch.writing():
                self.writer.add_chunk(number, answered, (outcome for _, outcome in journal.outcomes()))
        self.progress.chunk_finished(len(left), tokens)


def _tokens(outcome: Generation | Failure) -> int:
    return 0 if isinstance(outcome, Failure) else len(outcome.token_ids or ())
