"""Generating runs that stop as soon as a gate can decide."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.records import Prompt
from fidelity.runs.chunks import ChunkGeneration
from fidelity.runs.drafts import draft_of, draft_of_subset
from fidelity.runs.invariance import prove
from fidelity.runs.jobs import Job
from fidelity.runs.measure import RunWatch
from fidelity.runs.shared_engine import SharedEngine
from fidelity.runs.teacher_forcing import MissingScores
from fidelity.store.manifests import Invariance, RunDraft
from fidelity.store.runs import Run, RunWriter
from fidelity.store.store import Store

Decided = Callable[[Run], str | None]
"""A gate's outcome for an unfinished run; None while it is inconclusive."""


@dataclass(frozen=True, slots=True)
class GrowingRun:
    """A run that is generated chunk after chunk until a gate decides.

    The prompts up to then become a separate run. The chunks stay in place: a stricter gate continues from there, and a
    looser gate stops earlier, as if nothing had been generated yet.
    """

    job: Job
    writer: RunWriter
    engines: SharedEngine
    store: Store
    decided: Decided
    missing_scores: Sequence[MissingScores]
    """Token scores that the gate needs besides the run; they are computed with each chunk."""

    def generate(self) -> Run:
        """Generate until the gate decides, or the whole run if it doesn't.

        Raises:
            EngineError: The engine died; whole chunks are on disk.
        """
        finished, draft, plan, answers = self.writer.finished, self.writer.draft, self.job.plan, Counter[str]()
        done = sum(len(plan[number]) for number in finished)
        self.engines.progress.start(self.job.name, done=done, total=self.job.answers)
        for number, asked in enumerate(plan):
            if number not in finished or draft is None:
                draft = self._write_draft()
            if number not in finished:
                self._chunks().generate(number, asked)
            if self.job.config.batch_invariant and draft.invariance is None:
                draft = draft.replace(invariance=self._proof())
                self.writer.write_draft(draft)
            self._score(number)
            answers.update(prompt.id for prompt, _ in asked)
            prompts = [prompt for prompt in self.job.prompts if answers[prompt.id] == self.job.repeats]
            if 0 < len(prompts) < len(self.job.prompts) and (run := self._decided_after(number, prompts, draft)):
                return run
        assert draft is not None  # a plan has at least one chunk
        return self.writer.complete(self.job.prompts, draft)

    def _write_draft(self) -> RunDraft:
        draft = draft_of(self.job, self.engines.of(self.job, self.writer.log), self.store)
        self.writer.write_draft(draft)
        return draft

    def _proof(self) -> Invariance:
        return prove(self.job, self.engines.of(self.job, self.writer.log), self.writer.outcomes())

    def _chunks(self) -> ChunkGeneration:
        watch = RunWatch(self.engines.of(self.job, self.writer.log))
        return ChunkGeneration(self.job, self.writer, self.engines, watch)

    def _score(self, number: int) -> None:
        for missing in self.missing_scores:
            if missing.lacks(number):
                missing.fill(number, self.engines.of(self.job, self.writer.log))

    def _decided_after(self, number: int, prompts: Sequence[Prompt], draft: RunDraft) -> Run | None:
        """The run of the chunks up to this one, if the gate can decide on it."""
        manifest = draft_of_subset(draft, prompts, last=number)
        chunks = range(number + 1)
        with TemporaryDirectory() as folder:
            outcome = self.decided(self._subset(chunks, prompts, manifest, Path(folder, "runs", self.job.name)))
        if outcome is None:
            return None
        self.engines.listener.say(f"{self.job.name}: {outcome} after {len(prompts)} of {len(self.job.prompts)} prompts")
        return self._subset(chunks, prompts, manifest, self.store.run_path(self.job.name, manifest.digest))

    def _subset(self, chunks: Sequence[int], prompts: Sequence[Prompt], manifest: RunDraft, path: Path) -> Run:
        """Store some of the chunks as a separate run, with its token scores."""
        run = self.writer.subset(chunks, prompts, manifest, path=path)
        for missing in self.missing_scores:
            missing.subset(run, chunks)
        return run
