"""Engines that can be timed, and their child process."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol, runtime_checkable

from fidelity.config import Sampling
from fidelity.engines.base import Admission, Engine
from fidelity.engines.child import ChildEngine, rows_of
from fidelity.engines.machine import MachineWatch
from fidelity.records import Failure, Generation, Prompt
from fidelity.store.measurements import MemoryUse


@dataclass(frozen=True, slots=True)
class Account:
    """An engine's own measurements."""

    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase: import, load, compile, warm-up, and prefill and decode over all runs so far."""
    weights: int | None = None
    """Bytes of the weights on the device; None if unknown."""
    kv_cache: int | None = None
    """Bytes reserved for keys and values, whether or not they are used."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A request to time with nothing else in the engine."""

    prompt: int
    """The index of its prompt."""
    tokens: int
    """The number of tokens to generate; end tokens are ignored."""
    length: int | None = None
    """The length to which the prompt is padded with other prompts' text, or cut, in tokens; None: unchanged."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The times of a request."""

    prompt_tokens: int
    seconds: tuple[float, ...]
    """Seconds from the request to each generated token."""


@runtime_checkable
class WatchedEngine(Engine, Protocol):
    """An engine in its own processes, which are measured from outside."""

    def memory(self) -> MemoryUse:
        """The peak memory of its processes."""
        ...

    def watch_machine(self) -> MachineWatch:
        """Start measuring the machine's other load."""
        ...


@runtime_checkable
class TimedEngine(WatchedEngine, Protocol):
    """An engine that can be timed with one request at a time, and that reports its own measurements."""

    def time_alone(self, prompts: Sequence[Prompt], requests: Sequence[Alone]) -> Iterator[Answered | Failure]:
        """Return one record per request, in order, with an empty prefix cache."""
        ...

    def account(self) -> Account:
        """The engine's own measurements so far."""
        ...


class TimedChild(ChildEngine):
    """A child process with a model that has the methods `time_alone` and `account`."""

    def time_alone(self, prompts: Sequence[Prompt], requests: Sequence[Alone]) -> Iterator[Answered | Failure]:
        """See `TimedEngine.time_alone`."""
        asked = [{"row": r.prompt, "tokens": r.tokens, "length": r.length} for r in requests]
        records = self._ask("time_alone", while_doing="being timed", rows=rows_of(prompts), requests=asked)
        for request, record in zip(requests, records, strict=True):
            if "failure" in record:
                yield Failure(prompts[request.prompt].id, record["failure"])
            else:
                yield Answered(record["prompt_tokens"], tuple(record["seconds"]))

    def account(self) -> Account:
        """See `TimedEngine.account`."""
        (record,) = self._ask("account", while_doing="giving account")
        return Account(**record)


class StreamingChild(TimedChild):
    """A child process with a model that has the method `stream` too."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repeats: Sequence[int] | None = None,
        *,
        admission: Admission,
    ) -> Iterator[tuple[int, Generation | Failure]]:
        """See `StreamingEngine.answer`."""
        rows, chosen = self.sampled_rows(prompts, sampling, repeats)
        for record in self._ask("stream", while_doing="generating", rows=rows, sampling=chosen, **asdict(admission)):
            yield record.pop("place"), self.generation_of(record)
