"""Generating many configurations' runs with several engines at once, each engine in its own place.

A run goes whole to one engine. Each run is claimed by the store's lock, so several commands can share a study, and its
answers are in the store's journal, so any engine can continue it. All engines belong to threads of this process, which
alone writes; models run in other processes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from fidelity.engines import Opener, Placement, open_engine
from fidelity.errors import FidelityError, StoreError
from fidelity.runs.generate import finished_run, score_tokens
from fidelity.runs.jobs import Job
from fidelity.runs.listener import Listener
from fidelity.runs.shared_engine import SharedEngine
from fidelity.runs.teacher_forcing import missing_scores
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth

LOOK_S = 0.5
"""Seconds between looks for work that became possible without an engine of this process."""
CLAIMED_S = 2.0
"""Seconds until a run that another command has claimed is tried again."""
SHUTDOWN_S = 40.0
"""Seconds for all engines to end."""


class Stopped(Exception):
    """The pool is being closed: its engines end wherever they are."""


class Claimed(Exception):
    """Another command is generating the run."""


class PlaceLost(Exception):
    """An engine's place is gone, and so soon there is no other one: its run is put back."""


@dataclass(eq=False)
class ModelWork:
    """The runs of one configuration that are not finished, and how far they are."""

    family: str
    jobs: tuple[Job, ...]
    """The run, then its controls."""
    depths: tuple[Depth, ...]
    """The depths at which it scores the baseline's tokens."""
    gpus: int
    """The number of GPUs of one engine; on a CPU, 1."""
    weight: float
    """The bytes of the model: larger models begin first."""
    baseline: "ModelWork | None" = None
    """The work of its baseline; None if it is one."""
    error: FidelityError | None = None
    """Why its runs could not be generated."""
    pending: deque[Job] = field(init=False)
    first: Run | None = field(default=None, init=False)
    """The first of its runs, when that has scored the baseline's tokens."""
    started: bool = field(default=False, init=False)
    at_first: bool = field(default=False, init=False)
    """Whether an engine of this process is at its first run."""
    engines: int = field(default=0, init=False)
    waits_for_scores: bool = field(default=False, init=False)
    """Whether its first run could not score the baseline's tokens, since those weren't there."""
    not_before: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.pending = deque(self.jobs)

    @property
    def reference(self) -> "ModelWork":
        """The work of the baseline, which gives the tokens to score."""
        return self.baseline or self

    @property
    def busy(self) -> bool:
        """Whether something is left to do."""
        if self.baseline and self.baseline.error and not self.error:
            self.error = self.baseline.error
        return bool(self.engines or (self.pending and not self.error))

    def next_job(self) -> Job | None:
        """What an engine of this model can do now, if anything."""
        if not self.pending or self.error or time.monotonic() < self.not_before:
            return None
        if self.baseline and not self.baseline.started:
            return None
        job = self.pending[0]
        depends = job.control_of is not None and job.config.batch_invariant
        return None if depends and self.first is None else job


class Places(Protocol):
    """Where engines can run: the GPUs of this machine, or a cluster."""

    def take(self, gpus: int) -> Placement | None:
        """A place for an engine with so many GPUs; None if all are taken."""
        ...

    def give_back(self, placement: Placement) -> None:
        """Free a place."""
        ...

    def opener(self, placement: Placement) -> Opener:
        """Opens engines in this place."""
        ...

    def most(self) -> int:
        """The number of GPUs that one engine can have."""
        ...

    def total(self) -> int:
        """The number of GPUs, or of engines at once on a CPU."""
        ...

    def close(self) -> None:
        """Withdraw what was asked for and isn't there yet."""
        ...


class LocalPlaces:
    """The GPUs of this machine, or a number of engines on its CPU."""

    def __init__(self, *, gpus: Sequence[str] = (), engines: int = 1) -> None:
        """Have these GPUs, else this number of engines."""
        self._gpus = bool(gpus)
        self._all = list(gpus) or [str(number) for number in range(1, engines + 1)]
        self._free = list(self._all)

    def take(self, gpus: int) -> Placement | None:
        """See `Places`."""
        if gpus > len(self._free):
            return None
        taken, self._free = tuple(self._free[:gpus]), self._free[gpus:]
        if self._gpus:
            return Placement(f"GPU {','.join(taken)}", taken)
        return Placement(f"engine {','.join(taken)}", ())

    def give_back(self, placement: Placement) -> None:
        """See `Places`."""
        names = placement.name.partition(" ")[2].split(",")
        self._free = sorted([*self._free, *names], key=self._all.index)

    def opener(self, placement: Placement) -> Opener:
        """See `Places`."""
        return partial(open_engine, placement=placement)

    def most(self) -> int:
        """See `Places`."""
        return len(self._all)

    def total(self) -> int:
        """See `Places`."""
        return len(self._all)

    def close(self) -> None:
        """See `Places`."""


ListenerOf = Callable[[str, str], Listener]
"""The listener for a family and an engine's name."""


class EnginePool:
    """Engines in all places, until no work is left."""

    def __init__(self, places: Places, store: Store, listener_of: ListenerOf, *, keep_failures: bool = False) -> None:
        self._places = places
        self._store = store
        self._listener_of = listener_of
        self._keep_failures = keep_failures
        self._change = threading.Condition()
        self._stopped = False
        self._crash: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def families(self, models: Sequence[ModelWork]) -> Iterator[str]:
        """Generate all runs. Yields a family's name when nothing of it is left to do, while others continue.

        A model that can't be generated has an `error` then, which ends neither the other models nor the pool.

        Raises:
            StoreError: The store can't be written.
            KeyboardInterrupt: Ctrl-C; all engines are ended before it is raised.
        """
        self._store.sweep()
        for model in models:
            if model.gpus > self._places.most():
                most = self._places.most()
                model.error = FidelityError(f"its engine needs {model.gpus} GPUs, but {most} can be used (see --gpus)")
        ordered = sorted(models, key=lambda model: (model.gpus, model.weight, model.baseline is None), reverse=True)
        waiting = dict.fromkeys(model.family for model in models)
        dispatcher = threading.Thread(target=self._dispatch, args=(ordered,), name="dispatcher", daemon=True)
        dispatcher.start()
        try:
            while waiting and not self._crash:
                with self._change:
                    self._change.wait(LOOK_S)
                    busy = {model.family for model in models if model.busy}
                for family in waiting.keys() - busy:
                    del waiting[family]
                    yield family
        finally:
            with self._change:
                self._stopped = True
                self._change.notify_all()
            until = time.monotonic() + SHUTDOWN_S
            for thread in (dispatcher, *self._threads):
                thread.join(max(0.0, until - time.monotonic()))
            self._places.close()
        if self._crash:
            raise self._crash

    def _dispatch(self, models: Sequence[ModelWork]) -> None:
        """Start engines until nothing is left to do."""
        try:
            with self._change:
                while not self._stopped and any(model.busy for model in models):
                    self._start_engines(models)
                    self._change.wait(LOOK_S)
        except BaseException as error:  # else everybody would wait for it
            self._crash = error

    def _start_engines(self, models: Sequence[ModelWork]) -> None:
        """Start engines while there are places: largest models first, then more engines for what is left of a model.

        A model that doesn't fit is waited for, since smaller ones would keep taking its GPUs.
        """
        while not self._crash and (model := self._next(models)):
            placement = self._places.take(model.gpus)
            if placement is None:
                break
            model.engines, model.started = model.engines + 1, True
            model.at_first = model.at_first or model.pending[0] is model.jobs[0]
            thread = threading.Thread(target=self._serve, args=(model, placement), name=placement.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _next(models: Sequence[ModelWork]) -> ModelWork | None:
        ready = [model for model in models if model.next_job()]
        return next((model for model in ready if not model.engines), next(iter(ready), None))

    def _serve(self, model: ModelWork, placement: Placement) -> None:
        """One engine's thread: it goes through a model's runs."""
        try:
            own = Placement(placement.name, placement.gpus, self._check)
            listener = self._listener_of(model.family, placement.name)
            with ExitStack() as stack:
                engines = SharedEngine(
                    stack,
                    _Checking(listener, self._check),
                    keep_failures=self._keep_failures,
                    opener=self._places.opener(own),
                    replaces_dead=True,
                )
                while job := self._taken(model):
                    self._run(model, job, engines)
        except Stopped:
            pass
        except StoreError as error:  # a full disk stops the others too
            self._crash = error
        except FidelityError as error:
            model.error = error
            listener.say(f"{model.jobs[0].name}: {error}")
        except BaseException as error:  # a defect must not leave the others waiting
            self._crash = error
        finally:
            with self._change:
                model.engines -= 1
                self._places.give_back(placement)
                self._change.notify_all()

    def _taken(self, model: ModelWork) -> Job | None:
        with self._change:
            if self._stopped or not (job := model.next_job()):
                return None
            model.pending.popleft()
            return job

    def _run(self, model: ModelWork, job: Job, engines: SharedEngine) -> None:
        """Generate one run, and let it score the baseline's tokens when those are there."""
        is_first = job is model.jobs[0]
        try:
            run = finished_run(job, engines, self._store, on_wait=self._claimed)
            if is_first or not model.baseline:
                reference = run if is_first and not model.baseline else self._wait_for(model.reference)
                model.waits_for_scores = model.waits_for_scores or reference is None
                if reference:
                    missing = missing_scores(job, reference, model.depths, self._store)
                    score_tokens(job, run, missing, engines)
            if is_first:
                model.first = run
        except PlaceLost:
            with self._change:
                engines.listener.say(f"{job.name}: its place is lost; it waits for another one")
                model.pending.appendleft(job)
            raise Stopped from None
        except Claimed:
            with self._change:
                if not model.not_before:
                    engines.listener.say(f"{job.name}: another command is generating it")
                model.pending.append(job)
                model.not_before = time.monotonic() + CLAIMED_S
        finally:
            if is_first:
                with self._change:
                    model.at_first = False
                    self._change.notify_all()

    def _wait_for(self, reference: ModelWork) -> Run | None:
        """The run of the baseline when its own tokens are scored; None if no engine of this process is at it."""
        with self._change:
            while reference.first is None and reference.at_first:
                self._check()
                self._change.wait(LOOK_S)
            return reference.first

    def _check(self) -> None:
        if self._stopped:
            raise Stopped

    @staticmethod
    def _claimed() -> None:
        raise Claimed


class _Checking:
    """A listener that ends an engine's thread when the pool is closed, for engines that are not waited for."""

    def __init__(self, listener: Listener, check: Callable[[], None]) -> None:
        self._listener, self._check = listener, check

    def say(self, text: str) -> None:
        self._listener.say(text)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        self._check()
        self._listener.progress(run, done, total, tokens, seconds)
