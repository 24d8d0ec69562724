"""Measuring a run: size, memory, speed, and where the time was spent.

The results go to `measurements/` of the store. They are in no digest and can't change an output: timings of the run
itself only read a clock, and extra requests are sent when the run and its controls are complete.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fidelity.checkpoints import dissect, kv_cache, local_directory, read_config
from fidelity.config import USE_CASES, Latency, RunConfig, TransformersEngine, VllmServeEngine, VllmSettings
from fidelity.engines import Account, Alone, Answered, Engine, TimedEngine, WatchedEngine
from fidelity.errors import ConfigError
from fidelity.outside.documents import read_json
from fidelity.records import EngineInfo, Failure, Prompt
from fidelity.stats import READING_SEED, reading_order
from fidelity.store.measurements import ChunkTime, LatencyTimes, Measurement, ModelSize, ServedRequests, TimedRequest

OVER_RUNS = ("prefill", "decode", "prefill and decode")
"""Phases that an engine times in total, over everything that it generates."""


QUANTIZES = {"quantization", "quantization_config"}
"""Options that quantize while loading, so the files don't show the size in memory."""


STRETCHES = 12
"""The number of segments of an uninterrupted run whose rates give the interval of its speed."""


class RunWatch:
    """Measures a run while it is being generated."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._steps_before = engine.step_seconds
        self._account_before = _account_of(engine)
        self._machine = engine.watch_machine() if isinstance(engine, WatchedEngine) else None
        self._began = time.monotonic()
        self._seconds = self._writing = 0.0
        self._chunks: list[ChunkTime] = []

    def chunk_finished(self, prompts: int, tokens: int, seconds: float) -> None:
        """Record that a chunk is on disk; `seconds` is its generation time."""
        self._chunks.append(ChunkTime(prompts=prompts, tokens=tokens, seconds=seconds))
        self._seconds = time.monotonic() - self._began

    def stream_finished(self, reports: Sequence[ChunkTime], whole: ChunkTime) -> None:
        """Record that an engine with continuous batching has answered everything.

        Args:
            reports: Its progress at several moments; tokens of unfinished answers are estimates.
            whole: Its final progress.
        """
        step = max(1, len(reports) // STRETCHES)
        last = ChunkTime(prompts=0, tokens=0, seconds=0.0)
        for report in (*reports[step - 1 :: step][: STRETCHES - 1], whole):
            tokens = min(report.tokens, whole.tokens)
            self.chunk_finished(report.prompts - last.prompts, tokens - last.tokens, report.seconds - last.seconds)
            last = report.replace(tokens=tokens)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Time a block that writes to the store."""
        began = time.monotonic()
        yield
        self._writing += time.monotonic() - began

    def measurement(self, config: RunConfig) -> Measurement:
        """The measurements of a run that was generated without a break."""
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
            memory = engine.memory().replace(weights=account.weights, kv_cache=account.kv_cache)
            measured = measured.replace(machine=self._machine.load(), memory=memory)
            if self._account_before:
                measured = measured.replace(profile=self._profile(account, self._account_before))
        return measured

    def _profile(self, account: Account, before: Account) -> dict[str, float]:
        """Seconds by phase; for phases that the engine accumulates, the increase since `before`."""
        phases = {
            phase: seconds - (before.phases.get(phase, 0.0) if phase in OVER_RUNS else 0.0)
            for phase, seconds in account.phases.items()
        }
        return {**phases, "write": self._writing, "rest": self._rest(phases)}

    def _rest(self, phases: Mapping[str, float]) -> float:
        """Seconds of generating that were neither the engine's nor spent on writing: tokenizing and transfer."""
        return max(0.0, self._seconds - self._writing - sum(phases.get(phase, 0.0) for phase in OVER_RUNS))


def _account_of(engine: Engine) -> Account | None:
    return engine.account() if isinstance(engine, TimedEngine) else None


def size_of(config: RunConfig, info: EngineInfo) -> ModelSize | None:
    """Bytes on disk and loaded, by kind of layer, from the model's file headers; None if the model isn't here."""
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
    """Send one request at a time: each prompt once per repeat, so slow changes of the machine affect all equally.

    One request of every kind is sent first as a warm-up and discarded.
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
    """The number of requests that `time_alone` sends, including warm-ups."""
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
"""fidelity's names for the results of `vllm bench serve`, and vLLM's names."""


def read_serving(files: Sequence[Path]) -> tuple[ServedRequests, ...]:
    """Read the results of `vllm bench serve --save-result`, one row per file, slowest rate first.

    Raises:
        ConfigError: A file can't be read, or was not written by that tool.
    """
    rows = []
    for file in files:
        try:
            rows.append(_served(read_json(file.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError) as error:  # pydantic's are ValueErrors
            raise ConfigError(
                f"{file}: not a result of `vllm bench serve --save-result` ({type(error).__name__}: {error})"
            ) from error
    return tuple(sorted(rows, key=lambda row: (row.request_rate is None, row.request_rate or 0.0)))


def _served(result: object) -> ServedRequests:
    if not isinstance(result, dict):
        raise TypeError("expected a JSON object")
    row = {name: result.get(key) for name, key in SERVED.items()}
    if row["requests_per_s"] is None:
        raise KeyError("request_throughput")
    rate = None if row["request_rate"] == "inf" else row["request_rate"]  # "inf": all requests at once
    about = {"model": result["model_id"], "created": result["date"]}
    return ServedRequests.model_validate({**row, **about, "request_rate": rate})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
