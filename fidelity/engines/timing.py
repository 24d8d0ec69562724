"""Engines that can be timed, and the child process that can."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol, runtime_checkable

from fidelity.config import Sampling
from fidelity.engines.base import Admission, Engine
from fidelity.engines.child import ChildEngine, rows_of
from fidelity.engines.machine import MachineWatch
from fidelity.engines.memory import Memory
from fidelity.records import Failure, Generation, Prompt


@dataclass(frozen=True, slots=True)
class Account:
    """What an engine tells of itself."""

    phases: dict[str, float] = field(default_factory=dict)
    """Seconds since its process began: import, load, compile, warm-up, and over all runs so far prefill and decode."""
    weights: int | None = None
    """Bytes on the device; None where it keeps no such number."""
    kv_cache: int | None = None
    """Bytes that are reserved for keys and values, whether or not they are used."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A request to be answered with nothing else in the engine."""

    prompt: int
    """Its number among the prompts that are handed over."""
    tokens: int
    """To generate, whatever the model would end with."""
    length: int | None = None
    """The tokens to which the prompt is padded with the other prompts' text, or cut; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How long a request took."""

    prompt_tokens: int
    seconds: tuple[float, ...]
    """From the request to each of the generated tokens."""


@runtime_checkable
class WatchedEngine(Engine, Protocol):
    """An engine in processes of its own, which are watched from outside."""

    def memory(self) -> Memory:
        """The most that its processes have held since they began."""
        ...

    def watch_machine(self) -> MachineWatch:
        """Counts from now on what the machine does beside this engine."""
        ...


@runtime_checkable
class TimedEngine(WatchedEngine, Protocol):
    """One that can also be timed with one request at a time, and that gives account of itself."""

    def time_alone(self, prompts: Sequence[Prompt], requests: Sequence[Alone]) -> Iterator[Answered | Failure]:
        """One record per request, in order, behind an empty prefix cache."""
        ...

    def account(self) -> Account:
        """What it tells of itself by now."""
        ...


class TimedChild(ChildEngine):
    """A child process whose model has the methods `time_alone` and `account`."""

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
    """A child process whose model has the method `stream` too."""

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
