"""The loop of every child process: requests on stdin, records on stdout, one JSON object per line.

The process exits when stdin closes, which also happens if the parent crashes.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TextIO

from fidelity.children.wire import JsonRecord, SampledRow, SamplingFields

LAST_BREATH_S = 20.0
"""Seconds for the engine to shut down before the process is killed."""
ReportProgress = Callable[[int, int], None]
"""Called with the numbers of answered prompts and generated tokens of the request."""


class Model(Protocol):
    """A loaded model. Requests call its methods, each of which yields records.

    A model that can score given tokens has `score_tokens(rows, continuations, top_k, on_progress, exact=False)`: the
    token ids of a continuation for each row. Its records are `prompt_id` and, each `arrays.packed`, `token_ids`,
    `logprobs`, `ranks`, `top_ids` and `top_logprobs` (ids `<i4`, logprobs `<f4`, tables row after row; see
    `TokenScores`). Of the whole vocabulary (`top_k` -1), `top_ids` is None and `top_logprobs` is in the order of the
    ids. With `exact` there is also `hidden`: `values` (n x width, in the model's dtype), `dtype` and `width` of the
    hidden states that the head reads, or `refused`, the reason why there are none. `write_head(file, on_progress)` then
    writes the head's matrix and yields one record: `HeadFields`, or `refused`, or `are_logits` if the hidden states are
    the logits. If it has
    `token_texts(ids, on_progress)`, which yields one record with `texts`, its tokens are displayed as text.
    """

    info: JsonRecord
    """The arguments of `EngineInfo`."""
    step_seconds: float
    """Seconds spent in the engine's own steps since the warm-up."""

    def generate(
        self, rows: list[SampledRow], sampling: SamplingFields, on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """Yield one record per row, in order: the arguments of `Generation`, or `prompt_id` and `failure`, a reason."""
        ...


def answer(open_model: Callable[..., Model]) -> None:
    """Answer requests until stdin closes.

    The first request is `{"open": {...}}`, with the arguments of `open_model`. All others are `{METHOD: {...}}`, with
    the arguments of that method of the model.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of libraries goes to the log, not between the records
    requests: queue.SimpleQueue[JsonRecord | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read_requests, args=(requests, busy), daemon=True).start()

    model: Model | None = None
    while (request := requests.get()) is not None:
        busy.set()
        ((method, arguments),) = request.items()
        try:
            if model is None:
                model = open_model(**arguments)
                _reply(replies, info=model.info)
            else:
                for record in getattr(model, method)(**arguments, on_progress=_sign_of_life(replies)):
                    _reply(replies, record=record)
                _reply(replies, done=True, step_seconds=model.step_seconds)
        except Exception as error:
            logging.getLogger(__name__).exception("the request failed")
            _reply(replies, error=f"{type(error).__name__}: {error}")
        busy.clear()


def _sign_of_life(replies: TextIO) -> ReportProgress:
    return lambda prompts, tokens: _reply(replies, progress=[prompts, tokens])


def _reply(stream: TextIO, **message: Any) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _read_requests(requests: "queue.SimpleQueue[JsonRecord | None]", busy: threading.Event) -> None:
    """Pass requests on until stdin closes. Then nobody waits for an answer, so a running request is aborted."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)
    if not busy.is_set():
        time.sleep(LAST_BREATH_S)
    os.killpg(0, signal.SIGKILL)
