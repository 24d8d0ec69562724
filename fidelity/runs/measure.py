"""What is measured of a run beside its outputs: size, memory, speed, and where the time went.

All of it lies in `measurements/` of the store, apart from the runs. None of it is in a digest, and none of it can
change an output: what is taken from the run itself is read off a clock, and what asks the engine for more is asked
when the run and its controls are complete.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fidelity.checkpoints import dissect, kv_cache, local_directory, read_config
from fidelity.config import USE_CASES, Latency, RunConfig, TransformersEngine, VllmServeEngine, VllmSettings
from fidelity.engines import Account, Alone, Answered, Engine, TimedEngine, WatchedEngine
from fidelity.errors import ConfigError
from fidelity.records import EngineInfo, Failure, Prompt
from fidelity.stats import READING_SEED, reading_order
from fidelity.store.measurements import ChunkTime, LatencyTimes, Measurement, ModelSize, ServedRequests, TimedRequest

OVER_RUNS = ("prefill", "decode", "prefill and decode")
"""Phases that an engine adds up over all that it generates."""


QUANTIZES = {"quantization", "quantization_config"}
"""Options with which an engine quantizes while it loads: how many bytes that leaves isn't in the files."""


STRETCHES = 12
"""How many stretches of an uninterrupted run are rates of their own, for the interval of its speed."""


class Done(NamedTuple):
    """What an engine has done since a moment."""

    prompts: int
    tokens: int
    seconds: float


class RunWatch:
    """Measures a run while it is generated."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._steps_before = engine.step_seconds
        self._account_before = _account_of(engine)
        self._machine = engine.watch_machine() if isinstance(engine, WatchedEngine) else None
        self._began = time.monotonic()
        self._seconds = self._writing = 0.0
        self._chunks: list[ChunkTime] = []

    def chunk_finished(self, prompts: int, tokens: int, seconds: float) -> None:
        """Another chunk is on disk; `seconds` is what it took to generate."""
        self._chunks.append(ChunkTime(prompts=prompts, tokens=tokens, seconds=seconds))
        self._seconds = time.monotonic() - self._began

    def stream_finished(self, reports: Sequence[Done], whole: Done) -> None:
        """An engine that was kept full has answered everything.

        Args:
            reports: What it had done at some moments in between; tokens of unfinished answers are estimates.
            whole: What it did in the end.
        """
        step = max(1, len(reports) // STRETCHES)
        last = Done(0, 0, 0.0)
        for report in (*reports[step - 1 :: step][: STRETCHES - 1], whole):
            tokens = min(report.tokens, whole.tokens)
            self.chunk_finished(report.prompts - last.prompts, tokens - last.tokens, report.seconds - last.seconds)
            last = Done(report.prompts, tokens, report.seconds)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The block writes to the store."""
        began = time.monotonic()
        yield
        self._writing += time.monotonic() - began

    def measurement(self, config: RunConfig) -> Measurement:
        """All of it. Of a run that was generated from its first prompt to its last without a break."""
        engine = self._engine
        measured = Measurement(
            created=_now(),
            engine=engine.info,
            prompts=sum(chunk.prompts for chunk in self._chunks),
            tokens=sum(chunk.tokens for chunk in self._chunks),
            seconds=self._seconds,
            step_seconds=engine.step_seconds - self._steps_before,
            chunks=tuple(self._chunks),
            size=size_of(config, engine.info),
        )
        if self._machine and isinstance(engine, WatchedEngine):
            account = _account_of(engine) or Account()
            memory = {**asdict(engine.memory()), "weights": account.weights, "kv_cache": account.kv_cache}
            measured = measured.replace(machine=self._machine.load(), memory=memory)
            if self._account_before:
                measured = measured.replace(profile=self._profile(account, self._account_before))
        return measured

    def _profile(self, account: Account, before: Account) -> dict[str, float]:
        """Seconds by phase; of those that an engine adds up, what came since it was `before`."""
        phases = {
            phase: seconds - (before.phases.get(phase, 0.0) if phase in OVER_RUNS else 0.0)
            for phase, seconds in account.phases.items()
        }
        return {**phases, "write": self._writing, "rest": self._rest(phases)}

    def _rest(self, phases: Mapping[str, float]) -> float:
        """Seconds of generating that were neither the engine's nor writing: tokenizing, and handing over."""
        return max(0.0, self._seconds - self._writing - sum(phases.get(phase, 0.0) for phase in OVER_RUNS))


def _account_of(engine: Engine) -> Account | None:
    return engine.account() if isinstance(engine, TimedEngine) else None


def size_of(config: RunConfig, info: EngineInfo) -> ModelSize | None:
    """Bytes on disk and loaded, by kind of layer, from the headers of the model's files; None without a model here."""
    engine = config.engine
    if not isinstance(engine, VllmSettings | TransformersEngine):
        return None
    torchao = None if isinstance(engine, VllmServeEngine) else engine.torchao
    checkpoint = local_directory(str(config.model), config.revision)
    anatomy = dissect(checkpoint)
    cache = kv_cache(read_config(checkpoint), dtype=info.kv_cache)
    torchao = None if isinstance(engine, VllmServeEngine) else engine.torchao
    stored, loaded = dict[str, int](), dict[str, int]()
    for group in anatomy.parts:
        stored[group.kind] = stored.get(group.kind, 0) + group.bytes
        loaded[group.kind] = loaded.get(group.kind, 0) + group.bytes_loaded(info.dtype)
    return ModelSize(
        bytes=anatomy.checkpoint.bytes,
        bits_per_weight=anatomy.bits_per_weight,
        layers=stored,
        layers_loaded=None if torchao or QUANTIZES.intersection(engine.options) else loaded,
        kv_cache=cache,
    )


def time_alone(engine: TimedEngine, prompts: Sequence[Prompt], asked: Latency) -> LatencyTimes:
    """Ask the engine one request at a time: each prompt once in every repeat, so that a machine's drift is spread.

    Every kind of request is asked once before, and thrown away.
    """
    order = reading_order([prompt.id for prompt in prompts], seed=READING_SEED)
    chosen = [prompts[int(place)] for place in order[: asked.prompts]]
    kinds = {
        "prompts": (None, asked.max_tokens),
        **{f"prefill {length}": (length, 1) for length in asked.prefill},
        **{str(name): USE_CASES[name] for name in asked.use_cases},
    }
    plan = [(kind, -1, 0) for kind in kinds]
    plan += [(kind, turn, place) for turn in range(asked.repeats) for kind in kinds for place in range(len(chosen))]
    began, machine = time.monotonic(), engine.watch_machine()
    requests = [Alone(place, kinds[kind][1], kinds[kind][0]) for kind, _, place in plan]
    answers = list(engine.time_alone(chosen, requests))
    done = [(*what, answer) for what, answer in zip(plan, answers, strict=True) if what[1] >= 0]
    return LatencyTimes(
        created=_now(),
        asked=asked,
        seconds=time.monotonic() - began,
        machine=machine.load(),
        requests=tuple(
            TimedRequest(
                kind=kind,
                prompt_id=chosen[place].id,
                repeat=turn,
                prompt_tokens=answer.prompt_tokens,
                seconds=answer.seconds,
            )
            for kind, turn, place, answer in done
            if isinstance(answer, Answered)
        ),
        failed={
            f"{kind}: {chosen[place].id}": answer.reason
            for kind, _, place, answer in done
            if isinstance(answer, Failure)
        },
    )


def requests_of(asked: Latency, prompts: int) -> int:
    """How many requests `time_alone` makes, the thrown away ones included."""
    kinds = 1 + len(asked.prefill) + len(asked.use_cases)
    return kinds * (1 + asked.repeats * min(asked.prompts, prompts))


SERVED = {
    "request_rate": "request_rate",
    "max_concurrency": "max_concurrency",
    "completed": "completed",
    "failed": "failed",
    "seconds": "duration",
    "requests_per_s": "request_throughput",
    "tokens_per_s": "output_throughput",
    "first_token_ms": "median_ttft_ms",
    "first_token_p99_ms": "p99_ttft_ms",
    "next_token_ms": "median_itl_ms",
    "next_token_p99_ms": "p99_itl_ms",
    "answer_ms": "median_e2el_ms",
    "answer_p99_ms": "p99_e2el_ms",
}
"""Our names for what `vllm bench serve` measures, and its own."""


def read_serving(files: Sequence[Path]) -> tuple[ServedRequests, ...]:
    """What `vllm bench serve --save-result` wrote, a row for each file, slowest rate first; None for what it left out.

    Raises:
        ConfigError: A file can't be read, or is not of that tool.
    """
    rows = []
    for file in files:
        try:
            rows.append(_served(json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError) as error:  # pydantic's are ValueErrors
            raise ConfigError(
                f"{file}: no result of `vllm bench serve --save-result` ({type(error).__name__}: {error})"
            ) from error
    return tuple(sorted(rows, key=lambda row: (row.request_rate is None, row.request_rate or 0.0)))


def _served(result: object) -> ServedRequests:
    if not isinstance(result, dict):
        raise TypeError("an object is expected")
    row = {name: result.get(key) for name, key in SERVED.items()}
    if row["requests_per_s"] is None:
        raise KeyError("request_throughput")
    rate = None if row["request_rate"] == "inf" else row["request_rate"]  # "inf": all at once
    about = {"model": result["model_id"], "created": result["date"]}
    return ServedRequests.model_validate({**row, **about, "request_rate": rate})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
