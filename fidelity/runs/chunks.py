"""Generating a run's chunks: the prompts of a chunk go through the engine and into the store."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fidelity.engines import Engine, StreamingEngine
from fidelity.errors import EngineError
from fidelity.records import Failure, Generation, Response
from fidelity.runs.deaths import MOST_DEATHS, answers_despite_deaths
from fidelity.runs.jobs import Asked, Job
from fidelity.runs.measure import RunWatch
from fidelity.runs.shared_engine import SharedEngine, first_line
from fidelity.store.measurements import ChunkTime
from fidelity.store.runs import RunWriter


@dataclass(frozen=True, slots=True)
class ChunkGeneration:
    """Generates the chunks of one run and writes them."""

    job: Job
    writer: RunWriter
    engines: SharedEngine
    watch: RunWatch

    @property
    def engine(self) -> Engine:
        """The run's engine, which is opened again if it died."""
        return self.engines.of(self.job, self.writer.log)

    def generate(self, number: int, asked: Sequence[Asked]) -> None:
        """Generate the chunk of this number.

        Raises:
            EngineError: The engine died; all finished answers of a streamed run are on disk.
        """
        if self.job.streamed and isinstance(self.engine, StreamingEngine):
            self._answer_by_answer(number, asked)
        else:
            self._at_once(number, asked)

    def _at_once(self, number: int, asked: Sequence[Asked]) -> None:
        prompts = [prompt for prompt, _ in asked]
        began = time.monotonic()
        answers = dict(self._outcomes(asked, range(len(asked)), self._batch))
        outcomes = [answers[place] for place in range(len(asked))]
        took = time.monotonic() - began
        with self.watch.writing():
            self.writer.add_chunk(number, prompts, outcomes)
        tokens = sum(map(_tokens, outcomes))
        self.watch.chunk_finished(len(prompts), tokens, took)
        self.engines.progress.chunk_finished(len(prompts), tokens)

    def _answer_by_answer(self, number: int, asked: Sequence[Asked]) -> None:
        """Write each answer as soon as it is finished, so that a killed run resumes within the chunk."""
        began, progress = time.monotonic(), self.engines.progress
        with self.writer.journal(number) as journal:
            left = [place for place in range(len(asked)) if place not in journal.places]
            progress.resumed(len(asked) - len(left))
            tokens = 0
            for place, outcome in self._outcomes(asked, left, self._stream, on_death=journal.note_resumption):
                journal.add(place, outcome)
                tokens += _tokens(outcome)
            whole = ChunkTime(prompts=len(left), tokens=tokens, seconds=time.monotonic() - began)
            self.watch.stream_finished(progress.reports, whole)
            answered = [asked[place].prompt for place in journal.places]
            with self.watch.writing():
                self.writer.add_chunk(number, answered, (outcome for _, outcome in journal.outcomes()))

    def _outcomes(
        self,
        asked: Sequence[Asked],
        places: Sequence[int],
        ask: Callable[[Sequence[Asked], Sequence[int]], Iterator[tuple[int, Response]]],
        *,
        on_death: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Response]]:
        """The outcome of each place; from several engines, if one that dies is replaced."""
        if not self.engines.replaces_dead(self.job):
            return ask(asked, places)

        def replace_engine(error: EngineError) -> None:
            on_death()
            self.engines.died(self.job, error)
            _ = self.engine  # opened here, where its error is no prompt's

        def failure(place: int, error: EngineError) -> Failure:
            prompt, repeat = asked[place]
            reason = f"{MOST_DEATHS} engines died on it, the last one with no other prompt: {first_line(error)}"
            return Failure(prompt.id, reason, repeat)

        return answers_despite_deaths(places, partial(ask, asked), on_death=replace_engine, failure=failure)

    def _batch(self, asked: Sequence[Asked], places: Sequence[int]) -> Iterator[tuple[int, Response]]:
        """All outcomes together at the end, since a batch that was interrupted is another one."""
        prompts, repeats = [asked[place].prompt for place in places], [asked[place].repeat for place in places]
        outcomes = list(self.engine.generate(prompts, self.job.sampling, repeats))
        for place, outcome in zip(places, outcomes, strict=True):
            yield place, replace(outcome, repeat=asked[place].repeat)

    def _stream(self, asked: Sequence[Asked], places: Sequence[int]) -> Iterator[tuple[int, Response]]:
        """Each outcome when it is finished."""
        engine = self.engine
        assert isinstance(engine, StreamingEngine)
        prompts, repeats = [asked[place].prompt for place in places], [asked[place].repeat for place in places]
        count = tokens = 0
        try:
            for n, outcome in engine.answer(prompts, self.job.sampling, repeats, admission=self.job.admission):
                count, tokens = count + 1, tokens + _tokens(outcome)
                yield places[n], replace(outcome, repeat=repeats[n])
        finally:
            self.engines.progress.chunk_finished(count, tokens)


def _tokens(outcome: Generation | Failure) -> int:
    return 0 if isinstance(outcome, Failure) else len(outcome.token_ids or ())
