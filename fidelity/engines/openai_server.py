"""An engine for servers with OpenAI's protocol: concurrent requests with retries until `patience` runs out."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from fidelity.config import OpenAIEngine, Sampling, VllmServeEngine
from fidelity.engines.base import Admission, OnProgress, Progress
from fidelity.engines.bodies import LARGEST
from fidelity.engines.dialects import Served, body_of
from fidelity.engines.messages import ServerJson
from fidelity.engines.outages import CONFIRMED, PromptRefusals, Refusals, Traffic
from fidelity.engines.replies import generation
from fidelity.engines.server_session import ServerSession, backoff, when_ready
from fidelity.engines.trouble import TroubleError
from fidelity.errors import EngineError
from fidelity.outside.paths import open_own
from fidelity.records import EngineInfo, Failure, Generation, Prompt, ToolCall

HEARTBEAT_S = 1.0
"""Seconds between progress reports."""
ABOUT_THE_PROMPT = frozenset({400, 413, 414, 422})
"""With these a server refuses a prompt; with others, as 403 and 404, something before it refuses whatever is asked."""
TOO_LONG = re.compile(r"context (length|window|size)|max_model_len|too (long|many) (prompt|token|input)", re.IGNORECASE)
"""Messages that only an engine sends, and only about one prompt."""
GO_ON = (
    "finished answers are saved, run the command again to continue; with --keep-failures, refused prompts fail at once"
)
LADDER = ((True, True), (True, False), (False, True), (False, False))
"""Optional fields to request besides the text, in the order of attempts."""
PLAIN = Prompt("", "Hi"), Sampling(max_tokens=1)
"""What any server answers, unless it is the server that fails."""
OUR_BATCHES = (
    "fidelity can't set a server's batches: a control has the same prompts in another order, with fewer in flight"
)
NO_LOGPROBS = "the server refuses to return logprobs"
NO_TOKEN_IDS = "the server returns no token ids"  # noqa: S105 - a reason
ANY_TOKENIZER = "the server doesn't report its tokenizer: its token ids are assumed to be the baseline's"

Came = tuple[int, Generation | Failure]
T = TypeVar("T")


class OpenAIServer:
    """A connected server, usable until its connection closes."""

    info: EngineInfo
    step_seconds: float = 0.0

    def __init__(
        self,
        line: ServerSession,
        model: Served,
        requests: OpenAIEngine | VllmServeEngine,
        *,
        log: Path,
        on_progress: OnProgress,
        exit_report: Callable[[], str | None] = lambda: None,
        keep_failures: bool = False,
    ) -> None:
        """Find out, with requests for one token, which fields the server accepts.

        Args:
            line: To the server.
            model: What it serves.
            requests: How to ask.
            log: A line is appended for each attempt that failed.
            on_progress: Called every second with the progress of a call.
            exit_report: Returns how a server that fidelity started has crashed; None while it runs.
            keep_failures: A prompt that is refused has failed, whether or not others are refused too.

        Raises:
            EngineError: The server refuses a plain request.
        """
        self._line = line
        self._model = model
        self._requests = requests
        self.at_once = requests.concurrency
        self._log = log
        self._on_progress = on_progress
        self._deadline = requests.deadline
        self._exit_report = exit_report
        self._longest = "max_tokens"
        self._logprobs, self._token_ids = LADDER[0]
        self._keep_failures = keep_failures
        self._traffic = Traffic(lambda note: on_progress(Progress(self._done, self._tokens, self._line.hide(note))))
        self._unfinished = self._waiting = self._done = self._tokens = 0
        self._jitter = random.Random()
        tried = line.run(when_ready(self._try_out, requests.deadline))
        self._witness: tuple[str, Mapping[str, object]] = (self._path, self._body(*PLAIN))
        self._paths_answered: set[str] = set()
        notes = (OUR_BATCHES, *([] if self._logprobs else [NO_LOGPROBS]))
        notes += (NO_TOKEN_IDS,) if tried.token_ids is None else (ANY_TOKENIZER,)
        self.info = EngineInfo(
            kind=model.dialect.kind,
            version=model.version,
            ran_as=model.ran_as,
            context=model.context,
            chat_template=model.chat_template if requests.api == "chat" else None,
            notes=notes,
            model=model.model,
            **model.reveals,
        )

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, repeats: Sequence[int] | None = None
    ) -> Iterator[Generation | Failure]:
        """See `Engine.generate`."""
        came = dict(self.answer(prompts, sampling, repeats, admission=Admission(self.at_once)))
        yield from (came[place] for place in range(len(prompts)))

    def answer(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repeats: Sequence[int] | None = None,
        *,
        admission: Admission,
    ) -> Iterator[Came]:
        """See `StreamingEngine.answer`."""

        def outcome(place: int) -> Awaitable[Generation | Failure]:
            prompt = prompts[place]
            seed = sampling.seed_of(prompt.id, repeats[place] if repeats else 0)
            return self._outcome(prompt, sampling.model_copy(update={"seed": seed}))

        return self._all(len(prompts), outcome, admission.at_once or self.at_once)

    def _all(self, count: int, work: Callable[[int], Awaitable[T]], at_once: int) -> Iterator[tuple[int, T]]:
        """Yield each index and its outcome when it finishes."""
        places = iter(range(count))
        self._unfinished = count
        came: asyncio.Queue[tuple[int, T] | Exception] = asyncio.Queue()

        async def worker() -> None:
            try:
                for place in places:
                    came.put_nowait((place, await work(place)))
                    self._unfinished -= 1
            except Exception as error:
                came.put_nowait(error)

        async def start() -> list[asyncio.Task[None]]:
            return [asyncio.create_task(worker()) for _ in range(min(at_once, count))]

        workers = self._line.run(start())
        try:
            yield from self._as_they_come(came, count)
        finally:
            self._line.run(_ended(workers))

    def _as_they_come(self, came: "asyncio.Queue[tuple[int, T] | Exception]", count: int) -> Iterator[tuple[int, T]]:
        self._done = self._tokens = 0
        last_report = time.monotonic()
        while self._done < count:
            began = time.monotonic()
            batch = self._line.run(_all_there(came))
            now = time.monotonic()
            self.step_seconds += now - began
            for one in batch:
                if not isinstance(one, Exception):
                    self._done += 1
                    ids = getattr(one[1], "token_ids", None)
                    self._tokens += 0 if ids is None else len(ids)
                    yield one
            for error in batch:
                if isinstance(error, Exception):
                    raise error
            if now - last_report > HEARTBEAT_S:
                last_report = now
                self._on_progress(Progress(self._done, self._tokens))

    async def _outcome(self, prompt: Prompt, sampling: Sampling) -> Generation | Failure:
        """The outcome of a prompt after all attempts."""
        return await self._patiently(prompt.id, self._path, self._body(prompt, sampling), self._generation)

    async def _patiently(
        self, prompt_id: str, path: str, body: ServerJson, read: Callable[[str, bytes], T], *, most: int = LARGEST
    ) -> T | Failure:
        """An answer parsed by `read`, or why there is none.

        Raises:
            EngineError: The server is gone for good.
        """
        began, attempts = time.monotonic(), 0
        refusals: PromptRefusals = {kind: Refusals(enough=enough) for kind, enough in CONFIRMED.items()}
        while True:
            request = self._traffic.begin()
            try:
                result = read(prompt_id, await self._line.connection.post(path, body, most=most))
                self._traffic.answered(request)
                self._paths_answered.add(path)
                if path == self._path:
                    self._witness = (path, body)
                return result
            except TroubleError as trouble:
                attempts += 1
                self._traffic.failed(request, trouble)
                self._note(prompt_id, trouble)
                wait = self._wait(trouble, attempts)
                if failure := await self._failure(prompt_id, path, trouble, refusals, began, wait):
                    often = f"; tried {attempts} times in {time.monotonic() - began:.0f} s" if attempts > 1 else ""
                    return replace(failure, reason=failure.reason + often)
            finally:
                self._traffic.dropped(request)
            self._waiting += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._waiting -= 1

    async def _failure(
        self,
        prompt_id: str,
        path: str,
        trouble: TroubleError,
        refusals: PromptRefusals,
        began: float,
        wait: float,
    ) -> Failure | None:
        """Why a prompt is not asked again; None where it is.

        Raises:
            EngineError: The server is at fault, not the prompt, and has been for too long.
        """
        if died := self._exit_report():
            raise EngineError(died)
        reason = self._line.hide(trouble.reason)
        own = trouble.kind == "withheld" or (trouble.status in ABOUT_THE_PROMPT and bool(TOO_LONG.search(reason)))
        refused = trouble.status in ABOUT_THE_PROMPT and path in self._paths_answered
        failure = Failure(prompt_id, reason, cause="model" if own or refused else "world")
        if own or (self._keep_failures and trouble.kind == "refused"):
            return failure
        if self._traffic.refusing_s > self._deadline:
            raise EngineError(f"{reason}, for {self._traffic.refusing_s:.0f} s now; {GO_ON}")
        if refused_before := refusals.get(trouble.kind):
            refused_before.add(self._traffic)
            if refused_before.are_enough:
                return failure
            await self._ask_witness()
            return None
        if time.monotonic() - began + wait <= self._requests.patience:
            return None
        if self._traffic.answered_after(began) or self._keep_failures:
            return replace(failure, cause="world")
        raise EngineError(f"{reason}, and no other answer in {time.monotonic() - began:.0f} s; {GO_ON}")

    async def _ask_witness(self) -> None:
        """Where all that is left is refused, ask what was answered before: a server that is away refuses that too."""
        if self._unfinished > self._waiting + 1:
            return
        path, body = self._witness
        request = self._traffic.begin()
        try:
            await self._line.connection.post(path, {**body, self._longest: 1})
            self._traffic.answered(request)
        except TroubleError as trouble:
            self._traffic.failed(request, trouble)
        finally:
            self._traffic.dropped(request)

    def _wait(self, trouble: TroubleError, attempts: int) -> float:
        """Seconds until the next attempt: exponential with jitter, and at least what the server asks for."""
        return trouble.wait + backoff(attempts) * self._jitter.uniform(0.5, 1.0)

    def _note(self, prompt_id: str, trouble: TroubleError) -> None:
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = self._line.hide(f"{when} {prompt_id}: {trouble.reason}") + "\n"
        with open_own(self._log, append=True) as log:
            log.write(line.encode("utf-8", "replace"))

    @property
    def _path(self) -> str:
        return "/chat/completions" if self._requests.api == "chat" else "/completions"

    def _body(self, prompt: Prompt, sampling: Sampling) -> ServerJson:
        return body_of(
            prompt,
            sampling,
            self._requests,
            self._model,
            logprobs=self._logprobs,
            token_ids=self._token_ids,
            longest=self._longest,
        )

    def _generation(self, prompt_id: str, answer: bytes) -> Generation:
        answered = generation(answer, prompt_id=prompt_id)
        reasoning = None if answered.reasoning is None else self._line.hide(answered.reasoning)
        calls = tuple(ToolCall(*map(self._line.hide, call)) for call in answered.tool_calls or ())
        return replace(answered, text=self._line.hide(answered.text), reasoning=reasoning, tool_calls=calls)

    async def _try_out(self) -> Generation:
        """Request one token with all optional fields, and drop the fields that the server refuses."""
        while True:
            try:
                return await self._asked_for_one_token(*PLAIN)
            except TroubleError as trouble:
                if trouble.status not in (400, 422) or (self._logprobs, self._token_ids) == LADDER[-1]:
                    raise
            self._logprobs, self._token_ids = LADDER[LADDER.index((self._logprobs, self._token_ids)) + 1]

    async def _asked_for_one_token(self, prompt: Prompt, sampling: Sampling) -> Generation:
        try:
            answer = await self._line.connection.post(self._path, self._body(prompt, sampling))
        except TroubleError as trouble:
            if "max_completion_tokens" not in trouble.reason or self._longest != "max_tokens":
                raise
            self._longest = "max_completion_tokens"  # for OpenAI's newer models
            answer = await self._line.connection.post(self._path, self._body(prompt, sampling))
        return self._generation(prompt.id, answer)


async def _all_there(came: "asyncio.Queue[T]") -> list[T]:
    """All available items, at least one."""
    batch = [await came.get()]
    while not came.empty():
        batch.append(came.get_nowait())
    return batch


async def _ended(workers: Sequence["asyncio.Task[None]"]) -> None:
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
