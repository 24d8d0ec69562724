"""Measuring runs in turn (A B A B), so slow changes of the machine affect both sides of a ratio alike."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from fidelity.config import DEFAULT_BATCH, RecordedEngine, RunConfig, Sampling, StoredEngine
from fidelity.engines import Progress, TimedEngine, open_engine
from fidelity.errors import ConfigError
from fidelity.price.measures import values_from
from fidelity.records import Failure
from fidelity.runs.listener import Listener
from fidelity.runs.measure import RunWatch, time_alone
from fidelity.stats import reading_order
from fidelity.store.measurements import UNMEASURED, Measurement, Turn
from fidelity.store.runs import Run
from fidelity.store.store import Store


def measure_in_turn(runs: Sequence[tuple[RunConfig, Run]], *, store: Store, listener: Listener, rounds: int) -> None:
    """Measure finished runs again in turn, `rounds` times. Each turn opens the engine again.

    A turn is one batch of the run's prompts (as many as fit in a chunk, the same ones for every run) and the requests
    of `latency`. It is appended to the earlier rounds of the run's measurement. The generated texts are discarded. A
    run is skipped if its engine can't be timed.

    Raises:
        ConfigError: A run is stored or recorded, so it has no engine to measure.
        EngineError: An engine crashed; the earlier turns are saved.
    """
    for config, run in runs:
        if isinstance(config.engine, StoredEngine | RecordedEngine):
            raise ConfigError(
                f"{run.name}: the engine kind '{config.engine.kind}' has nothing to time; remove --interleave"
            )
    session = datetime.now(UTC).isoformat(timespec="seconds")
    for number in range(rounds):
        for config, run in runs:
            listener.say(f"{run.name}: measured in turn, {number + 1} of {rounds} ...")
            if values := _turn(config, run, store, listener):
                earlier = (store.measurement(run) or UNMEASURED).turns
                turn = Turn(turn=f"{session} {number}", values=values)
                store.add_measurement(run, Measurement(turns=(*earlier, turn)))


def _turn(config: RunConfig, run: Run, store: Store, listener: Listener) -> dict[str, float]:
    prompts = run.prompts()
    order = reading_order([prompt.id for prompt in prompts])[: config.drained or DEFAULT_BATCH]
    batch = [prompts[int(place)] for place in order]

    def tell(progress: Progress, *, since: float) -> None:
        listener.progress(run.name, progress.prompts, len(batch), progress.tokens, time.monotonic() - since)

    log = store.measurements_of(run) / "engine.log"
    with open_engine(config, log=log, on_progress=partial(tell, since=time.monotonic())) as engine:
        if not isinstance(engine, TimedEngine):
            return {}
        watch, began = RunWatch(engine), time.monotonic()
        outcomes = list(engine.generate(batch, config.sampling or Sampling()))
        tokens = sum(len(o.token_ids or ()) for o in outcomes if not isinstance(o, Failure))
        watch.chunk_finished(len(batch), tokens, time.monotonic() - began)
        measured = watch.measurement(config)
        if config.latency:
            measured = measured.replace(latency=time_alone(engine, prompts, config.latency))
    return {name: value.value for name, value in values_from(measured).items()}
