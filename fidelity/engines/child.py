"""The parent's side of an engine in a child process, so a crash of the engine doesn't end the command."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from fidelity.children.wire import HeadFields, JsonRecord, PromptRow, SampledRow, SamplingFields
from fidelity.config import Sampling
from fidelity.engines.base import ANYWHERE, OnProgress, Placement, Progress
from fidelity.engines.logs import log_stream
from fidelity.engines.machine import MachineWatch
from fidelity.engines.memory import MemoryWatch
from fidelity.engines.messages import with_calls
from fidelity.engines.processes import ended, how_it_ended, last_lines, oom_kills, processor_seconds
from fidelity.errors import EngineDied, EngineError
from fidelity.files import ready_to_write
from fidelity.outside.documents import read_json
from fidelity.outside.secrets import Secrets
from fidelity.records import (
    STORED_AS,
    EngineInfo,
    Failure,
    Generation,
    HiddenStates,
    Prompt,
    TokenScores,
    ToolCall,
    every_id,
)
from fidelity.store.measurements import MemoryUse

LOADING = "loading the model"
SHUTDOWN_S = 30.0
"""Seconds for the child to exit by itself."""
LOOK_S = 1.0
"""Seconds between checks of a silent child."""
KILLED = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit codes of a process that somebody else has ended."""
WORKING = 0.05
"""The share of one CPU that a loading or compiling child must use to count as working."""


BORROWED = """import runpy, sys, types
folder, module = sys.argv[1:]
package = types.ModuleType("fidelity")
package.__path__ = [folder]
sys.modules["fidelity"] = package
runpy.run_module(module, run_name="__main__")"""
"""Runs a module of this package in another environment, without access to this environment."""


class ChildEngine:
    """An engine that runs as `python -m MODULE` and communicates in JSON lines.

    The records are complete before the child is asked to exit, so its exit status doesn't matter for the run (vLLM can
    abort after the last output).
    """

    info: EngineInfo
    step_seconds: float = 0.0

    def __init__(
        self,
        module: str,
        settings: Mapping[str, object],
        *,
        env: Mapping[str, str],
        log: Path,
        on_progress: OnProgress,
        deadline: float,
        python: Path | None = None,
        placement: Placement = ANYWHERE,
    ) -> None:
        """Start the child, which loads its model.

        Args:
            module: The module to run.
            settings: The `open` request.
            env: Environment variables in addition to the inherited ones.
            log: The file to which its stderr and its libraries' output are appended.
            on_progress: Called with the progress within a chunk.
            deadline: Stop the child after this many seconds without progress. A line from the child is progress;
                while it silently loads or compiles, so is CPU use.
            python: The interpreter of another environment. Default: this one.
            placement: The GPUs that it sees.

        Raises:
            EngineError: The child crashed, made no progress, or reported an error.
        """
        self._log_path = log
        self._deadline = deadline
        self._check = placement.check
        self._given_up = False
        self._oom_kills = oom_kills()
        self._on_progress = on_progress
        self._buffer = bytearray()
        self._secrets = Secrets.in_mappings(os.environ, env, settings)
        with log_stream(log, self._secrets) as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - a list, no shell
                command_of(module, python),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **placement.env, **env},
                start_new_session=True,  # only the command gets Ctrl-C, and the whole group can be ended
            )
        self._memory = MemoryWatch(self._process.pid, gpus=placement.gpus)
        try:
            self._send({"open": dict(settings)})
            ready_to_write()  # while the child loads its model
            reply = self._receive(while_doing=LOADING)
            self.info = TypeAdapter(EngineInfo).validate_python(reply["info"])
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """See `Engine.generate`."""
        rows, chosen = self.sampled_rows(prompts, sampling, repeats)
        for record in self._ask("generate", while_doing="generating", rows=rows, sampling=chosen):
            yield self.generation_of(record)

    def generation_of(self, record: JsonRecord) -> Generation | Failure:
        """A record of `generate`."""
        if "failure" in record:
            return Failure(record["prompt_id"], self._secrets.hide(record["failure"]))
        return Generation(**_tuples(_with_calls(record)))

    @staticmethod
    def sampled_rows(
        prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None
    ) -> tuple[list[SampledRow], SamplingFields]:
        """The rows of a request, each with its own seed, and their common sampling."""
        which = repeats or [0] * len(prompts)
        seeds = [sampling.seed_of(prompt.id, repeat) for prompt, repeat in zip(prompts, which, strict=True)]
        rows: list[SampledRow] = [{**row, "seed": seed} for row, seed in zip(rows_of(prompts), seeds, strict=True)]
        fields: SamplingFields = sampling.model_dump(mode="json", exclude={"repeats"})  # type: ignore[assignment]
        return rows, fields

    def score_tokens(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]], top_k: int, *, exact: bool = False
    ) -> Iterator[TokenScores | Failure]:
        """See `TokenScoringEngine.score_tokens`."""
        handed = [list(map(int, ids)) for ids in continuations]
        given = {"rows": rows_of(prompts), "continuations": handed, "top_k": top_k, "exact": exact}
        for record in self._ask("score_tokens", while_doing="scoring tokens", **given):
            if "failure" in record:
                yield Failure(record["prompt_id"], self._secrets.hide(record["failure"]))
            else:
                yield _token_scores(record)

    def write_head(self, file: Path) -> HeadFields | str | None:
        """See `TokenScoringEngine.write_head`."""
        (record,) = self._ask("write_head", while_doing="reading the model's head", file=str(file))
        if "refused" in record:
            return self._secrets.hide(record["refused"])
        return None if record.get("are_logits") else HeadFields(**record)  # type: ignore[typeddict-item]

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """See `TokenTexts`."""
        (record,) = self._ask("token_texts", while_doing="reading tokens", ids=[int(i) for i in ids])
        return list(record["texts"])

    def memory(self) -> MemoryUse:
        """See `WatchedEngine.memory`."""
        return self._memory.peak()

    def watch_machine(self) -> MachineWatch:
        """See `WatchedEngine.watch_machine`."""
        return MachineWatch(self._process.pid)

    def _ask(self, method: str, *, while_doing: str, **arguments: Any) -> Iterator[JsonRecord]:
        """Yield the records of a request as they arrive."""
        self._send({method: arguments})
        while True:
            match self._receive(while_doing=while_doing):
                case {"done": True, "step_seconds": seconds}:
                    self.step_seconds = seconds
                    return
                case {"progress": [prompts_done, tokens]}:
                    self._on_progress(Progress(prompts_done, tokens))
                case {"record": record}:
                    yield record

    def _send(self, request: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._exit_report("before the first request") from None

    def _receive(self, *, while_doing: str) -> JsonRecord:
        line = self._read_line(while_doing)
        if not line:
            raise self._exit_report(f"while {while_doing}")
        reply: JsonRecord = read_json(line, unique_keys=False)
        if "error" in reply:
            why = self._secrets.hide(str(reply["error"]))
            raise EngineError(f"the engine failed while {while_doing}: {why}{last_lines(self._log_path)}")
        return reply

    def _read_line(self, while_doing: str) -> bytes:
        """The child's next line; empty when the child has exited."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        last, used, searched = time.monotonic(), 0.0, 0
        self._check()
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if not select.select([fd], [], [], LOOK_S)[0]:
                self._check()
                silent = time.monotonic() - last
                now_used = processor_seconds(self._process.pid)
                if while_doing == LOADING and now_used - used > WORKING * silent:
                    last = time.monotonic()
                elif silent > self._deadline:
                    self._given_up = True
                    raise EngineDied(
                        f"the engine made no progress for {silent:.0f} s while {while_doing}, and was stopped; if it "
                        f"only needs longer, raise engine.deadline (seconds){last_lines(self._log_path)}"
                    )
                else:
                    now_used = min(used, now_used)  # the CPU time of a compiler process disappears with it
                used = now_used
                continue
            block = os.read(fd, 1 << 20)
            if not block:
                return b""
            self._buffer += block
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _exit_report(self, when: str) -> EngineDied:
        try:
            code = self._process.wait(timeout=SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            return EngineDied(f"the engine stopped answering {when}{last_lines(self._log_path)}")
        how = how_it_ended(code, oom_kills_before=self._oom_kills)
        advice = "finished answers are saved, run the command again to continue"
        report = f"the engine process {how} {when}; {advice}{last_lines(self._log_path)}"
        return EngineDied(report, killed=code in KILLED)

    def _end(self) -> None:
        """Close stdin, which ends the child."""
        self._memory.stop()
        ended(self._process, patience=SHUTDOWN_S, at_once=self._given_up)


def command_of(module: str, python: Path | None) -> list[str]:
    """The command of a child process. `-P`: a folder `fidelity` in the working directory may belong to anybody."""
    if python is None:
        return [sys.executable, "-P", "-m", module]
    package = Path(__file__).parent.parent
    return [str(python), "-I", "-c", BORROWED, str(package), module]


def rows_of(prompts: Sequence[Prompt]) -> list[PromptRow]:
    """Prompts in the format of the child process."""
    return [
        {"id": p.id, "text": p.text, "messages": p.chat, "tools": None, "tool_choice": None, **p.offer}  # type: ignore[typeddict-item]
        for p in prompts
    ]


def _token_scores(record: JsonRecord) -> TokenScores:
    """A record of `score_tokens`. Arrays are base64 of little-endian bytes, since JSON is slow with so many numbers."""
    token_ids, top_logprobs = _array(record["token_ids"], "<i4"), _array(record["top_logprobs"], "<f4")
    table = (len(token_ids), len(top_logprobs) // max(1, len(token_ids)))
    top_ids = every_id(*table) if record["top_ids"] is None else _array(record["top_ids"], "<i4").reshape(table)
    return TokenScores(
        prompt_id=record["prompt_id"],
        token_ids=token_ids,
        logprobs=_array(record["logprobs"], "<f4"),
        ranks=_array(record["ranks"], "<i4"),
        top_ids=top_ids,
        top_logprobs=top_logprobs.reshape(table),
        hidden=_hidden(record["hidden"]) if "hidden" in record else None,
    )


def _hidden(record: JsonRecord) -> HiddenStates | str:
    if "refused" in record:
        return str(record["refused"])
    values = _array(record["values"], STORED_AS[record["dtype"]])
    return HiddenStates(values.reshape(-1, record["width"]), record["dtype"])


def _array(packed: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(b64decode(packed), kind)


def _with_calls(record: JsonRecord) -> JsonRecord:
    """An answer with tool calls that the child has read, in the form of a server's answer."""
    if "tool_calls" not in record:
        return record
    calls = [ToolCall(name, arguments) for name, arguments in record["tool_calls"]]
    text = with_calls(record.pop("content", record["text"]), [{"function": call._asdict()} for call in calls])
    return {**record, "text": text, "tool_calls": calls}


def _tuples(fields: JsonRecord) -> JsonRecord:
    """Turn JSON's lists into the records' tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
