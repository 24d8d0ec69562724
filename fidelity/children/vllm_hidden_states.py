"""The hidden states of vLLM's teacher forcing, and the head of its model.

`compute_logits` is a method of vLLM's interface for models. Its runners call it for the log-probabilities of prompts,
outside of the compiled graph, in the order and the blocks that suit them. So rows are assigned to answers by their
content: a row belongs to a token if its largest log-probabilities are the ones that vLLM returned for this token.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fidelity.children.hidden_states import head_fields, hidden_record, write_matrix
from fidelity.children.wire import JsonRecord

TOLERANCE = 1e-4
"""The maximum difference in nats of log-probabilities that two kernels compute from the same logits."""
BLOCK_ELEMENTS = 2**25
"""The number of log-probabilities to compute at once."""
MOST_BYTES = 2**31
"""The size of the rows in memory, beyond which the oldest are dropped."""


class StateRecorder:
    """Records the hidden states that enter a model's head."""

    def __init__(self, llm: Any, top_k: int) -> None:
        """Record rows that are to be found by their `top_k` largest log-probabilities."""
        self._llm = llm
        self._top_k = top_k
        self._rows: deque[tuple[Any, Any]] = deque()
        self._bytes = 0
        self._all_top: Any = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record until the end of the context; the model is then as before."""
        self._llm.apply_model(self._attach)
        try:
            yield
        finally:
            self._llm.apply_model(lambda model: delattr(model, "compute_logits"))
            self._rows.clear()

    def record(self, top: Any) -> JsonRecord:
        """The key `hidden` of an answer's record.

        Args:
            top: The (n, top_k) largest log-probabilities at each of its tokens, as vLLM returned them.
        """
        import numpy as np
        import torch

        places = self._places(np.asarray(top, np.float32))
        if places is None:
            return {"refused": "vLLM's hidden states don't reproduce the log-probabilities that it returned"}
        starts = np.cumsum([0, *(len(hidden) for hidden, _ in self._rows)])
        blocks = np.searchsorted(starts, places, side="right") - 1
        rows = [self._rows[block][0][place - starts[block]] for block, place in zip(blocks, places, strict=True)]
        return hidden_record(torch.stack(rows)) if rows else hidden_record(self._rows[-1][0][:0])

    def _attach(self, model: Any) -> None:
        original = model.compute_logits

        def compute_logits(hidden_states: Any, *args: Any, **keys: Any) -> Any:
            logits = original(hidden_states, *args, **keys)
            self._add(hidden_states, logits)
            return logits

        model.compute_logits = compute_logits

    def _add(self, hidden_states: Any, logits: Any) -> None:
        import torch

        size = max(1, BLOCK_ELEMENTS // logits.shape[-1])
        top = [rows.float().log_softmax(-1).topk(self._top_k).values.cpu() for rows in logits.split(size)]
        hidden = hidden_states.detach().to("cpu", copy=True)
        self._rows.append((hidden, torch.cat(top).numpy()))
        self._bytes += hidden.nbytes
        self._all_top = None
        while self._bytes > MOST_BYTES:
            self._bytes -= self._rows.popleft()[0].nbytes

    def _places(self, top: Any) -> Any:
        """The row of each token, or None if a token has none.

        The rows of an answer follow each other, except where a runner has cut it, so the longest run of equal rows is
        continued from there. Equal rows are equally right: they come from the same text.
        """
        import numpy as np

        if self._all_top is None:
            self._all_top = np.concatenate([own for _, own in self._rows])
        rows, places, done = self._all_top, np.empty(len(top), np.int64), 0
        while done < len(top):
            similar = np.flatnonzero(np.abs(rows[:, 0] - top[done, 0]) <= TOLERANCE)
            starts = similar[_equal(rows[similar], top[done])]
            runs = [(_equal_rows(rows[first:], top[done:]), int(first)) for first in starts]
            length, first = max(runs, default=(0, 0))
            if not length:
                return None
            places[done : done + length] = np.arange(first, first + length)
            done += length
        return places


def _equal_rows(rows: Any, top: Any) -> int:
    """The number of rows from the first on that are equal."""
    n = min(len(rows), len(top))
    equal = _equal(rows[:n], top[:n])
    return n if equal.all() else int(equal.argmin())


def _equal(rows: Any, top: Any) -> Any:
    import numpy as np

    with np.errstate(invalid="ignore"):  # equal infinities
        return ((rows == top) | (np.abs(rows - top) <= TOLERANCE)).all(axis=1)


def why_not(llm: Any, top_k: int) -> str | None:
    """Why this engine's hidden states can't be recorded."""
    engine = llm.llm_engine
    parallel = getattr(engine.vllm_config, "parallel_config", None)
    processes = int(getattr(parallel, "world_size", 1)) * int(getattr(parallel, "data_parallel_size", 1))
    if processes > 1:
        return f"the model is spread over {processes} processes; exact distributions need one, without parallelism"
    if getattr(engine, "model_executor", None) is None:
        return "vLLM runs in another process; exact distributions need VLLM_ENABLE_V1_MULTIPROCESSING=0"
    return "exact distributions need a top_k of at least 2" if top_k < 2 else None


def write_head(llm: Any, file: str) -> JsonRecord:
    """Write the matrix of the model's head, as `write_matrix` does; a record of `write_head`."""
    config = llm.llm_engine.model_config
    try:
        record: JsonRecord = llm.apply_model(
            lambda model: _written(model, file, config.get_hidden_size(), config.dtype)
        )[0]
    except (ValueError, RuntimeError, AttributeError) as error:
        return {"refused": f"the model's head is not a matrix that can be read: {error}"}
    return record


def _written(model: Any, file: str, width: int, dtype: Any) -> JsonRecord:
    processors = [m for m in model.modules() if hasattr(m, "soft_cap") and hasattr(m, "scale")]
    settings = {(m.soft_cap, m.scale) for m in processors} or {(None, 1.0)}
    if len(settings) > 1:
        raise ValueError(f"its logits are processed in {len(settings)} ways")
    ((soft_cap, scale),) = settings
    try:
        for processor in processors:
            processor.soft_cap, processor.scale = None, 1.0
        device = next(model.parameters()).device
        name = write_matrix(file, model.compute_logits, width=width, dtype=dtype, device=device)
    finally:
        for processor in processors:
            processor.soft_cap, processor.scale = soft_cap, scale
    return {**head_fields(name, soft_cap=soft_cap, scale=scale)}
