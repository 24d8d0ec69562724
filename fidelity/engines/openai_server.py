"""A server that speaks OpenAI's protocol: many requests at once, each tried until it is answered or patience ends."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from fidelity.config import Requests, Sampling
from fidelity.engines.base import Admission, OnProgress, Progress
from fidelity.engines.connection import TroubleError
from fidelity.engines.dialects import Served, body_of
from fidelity.engines.messages import ServerJson
from fidelity.engines.replies import generation
from fidelity.engines.server_session import ServerSession, backoff, when_ready
from fidelity.errors import EngineError
from fidelity.records import EngineInfo, Failure, Generation, Prompt

HEARTBEAT_S = 1.0
"""How often a run says how far it is."""
MOST_NONSENSE = 4
"""How often a prompt may get an answer that is none."""
LADDER = ((True, True), (True, False), (False, True), (False, False))
"""What a server is asked for beside the text, logprobs and token ids, until it takes the request."""
OUR_BATCHES = "a server's batches are not ours to set: a control is the same prompts in another order, fewer at once"
NO_LOGPROBS = "the server refuses to give logprobs"
NO_TOKEN_IDS = "the server gives no token ids"
ANY_TOKENIZER = "the server doesn't say which tokenizer it has: its token ids are taken to be the baseline's"

Came = tuple[int, Generation | Failure]
T = TypeVar("T")


class OpenAIServer:
    """A server that is there; of use as long as its line is."""

    info: EngineInfo
    step_seconds: float = 0.0

    def __init__(
        self,
        line: ServerSession,
        model: Served,
        requests: Requests,
        *,
        log: Path,
        on_progress: OnProgress,
        deadline: float,
        exit_report: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Find out, with requests for one token, what it takes.

        Args:
            line: To the server.
            model: What it serves.
            requests: How to ask.
            log: A line is appended for each attempt that failed.
            on_progress: Told every second how far a call is.
            deadline: Seconds for which nothing may be reached.
            exit_report: Says of a server of our own how it died; None while it lives.

        Raises:
            EngineError: It refuses a plain request.
        """
        self._line = line
        self._model = model
        self._requests = requests
        self.at_once = requests.concurrency
        self._log = log
        self._on_progress = on_progress
        self._deadline = deadline
        self._exit_report = exit_report
        self._longest = "max_tokens"
        self._logprobs, self._token_ids = LADDER[0]
        self._lost_since: float | None = None
        self._jitter = random.Random()
        tried = line.run(when_ready(self._try_out, deadline))
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
        """What comes of each place, as it comes."""
        places = iter(range(count))
        came: asyncio.Queue[tuple[int, T] | Exception] = asyncio.Queue()

        async def worker() -> None:
            try:
                for place in places:
                    came.put_nowait((place, await work(place)))
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
        done = tokens = 0
        last_report = time.monotonic()
        while done < count:
            began = time.monotonic()
            batch = self._line.run(_all_there(came))
            now = time.monotonic()
            self.step_seconds += now - began
            for one in batch:
                if not isinstance(one, Exception):
                    done += 1
                    ids = getattr(one[1], "token_ids", None)
                    tokens += 0 if ids is None else len(ids)
                    yield one
            for error in batch:
                if isinstance(error, Exception):
                    raise error
            if now - last_report > HEARTBEAT_S:
                last_report = now
                self._on_progress(Progress(done, tokens))

    async def _outcome(self, prompt: Prompt, sampling: Sampling) -> Generation | Failure:
        """What comes of a prompt, however many attempts it takes."""
        return await self._patiently(prompt.id, self._path, self._body(prompt, sampling), self._generation)

    async def _patiently(
        self, prompt_id: str, path: str, body: ServerJson, read: Callable[[str, bytes], T]
    ) -> T | Failure:
        """An answer as `read` reads it, or why there is none.

        Raises:
            EngineError: Nothing more is to be had from this server.
        """
        began = time.monotonic()
        attempts = nonsense = 0
        while True:
            try:
                result = read(prompt_id, await self._line.connection.post(path, body))
                self._lost_since = None
                return result
            except TroubleError as trouble:
                attempts += 1
                nonsense += trouble.kind == "nonsense"
                self._note(prompt_id, trouble)
                if why := self._why_give_up_on_the_server(trouble):
                    raise EngineError(why) from None
                waited, wait = time.monotonic() - began, self._wait(trouble, attempts)
                if trouble.kind == "refused" or nonsense >= MOST_NONSENSE or waited + wait > self._requests.patience:
                    often = f"; tried {attempts} times in {waited:.0f} s" if attempts > 1 else ""
                    return Failure(prompt_id, self._line.hide(trouble.reason) + often)
            await asyncio.sleep(wait)

    def _why_give_up_on_the_server(self, trouble: TroubleError) -> str | None:
        if died := self._exit_report():
            return died
        if trouble.kind != "unreachable":
            self._lost_since = None
            return None
        now = time.monotonic()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since <= self._deadline:
            return None
        lost = f"{self._line.hide(trouble.reason)}, for {now - self._lost_since:.0f} s now"
        return f"{lost}; what was answered is kept, run again to go on"

    def _wait(self, trouble: TroubleError, attempts: int) -> float:
        """Seconds until the next attempt: longer each time, never the same for all, and what the server asks for."""
        return trouble.wait + backoff(attempts) * self._jitter.uniform(0.5, 1.0)

    def _note(self, prompt_id: str, trouble: TroubleError) -> None:
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._log.open("a", encoding="utf-8") as log:
            log.write(self._line.hide(f"{when} {prompt_id}: {trouble.reason}") + "\n")

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
        return replace(answered, text=self._line.hide(answered.text), reasoning=reasoning)

    async def _try_out(self) -> Generation:
        """One token, with as much beside it as the server gives: what it refuses is not asked for again."""
        plain = Prompt("", "Hi"), Sampling(max_tokens=1)
        while True:
            try:
                return await self._asked_for_one_token(*plain)
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
            self._longest = "max_completion_tokens"  # what OpenAI's own newer models want
            answer = await self._line.connection.post(self._path, self._body(prompt, sampling))
        return self._generation(prompt.id, answer)


async def _all_there(came: "asyncio.Queue[T]") -> list[T]:
    """What has come, at least one."""
    batch = [await came.get()]
    while not came.empty():
        batch.append(came.get_nowait())
    return batch


async def _ended(workers: Sequence["asyncio.Task[None]"]) -> None:
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
