"""Time and memory of a vLLM engine, from its objects, which vLLM 0.26 and 0.32 share."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fidelity.children.wire import AloneRequest, JsonRecord


class Phases:
    """Accumulated seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, phase: str, *, since: float | None = None) -> Iterator[None]:
        """Add the time of the block, or the time `since` a value of `time.monotonic`."""
        began = time.monotonic() if since is None else since
        yield
        self.add(phase, time.monotonic() - began)

    def add(self, phase: str, seconds: float) -> None:
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def forget(self, *phases: str) -> None:
        for phase in phases:
            self.seconds.pop(phase, None)

    def move(self, seconds: float, *, out_of: str, to: str) -> None:
        """Move some seconds from one phase to another."""
        self.add(out_of, -seconds)
        self.add(to, seconds)


def process_started() -> float:
    """The start of this process, as a value of `time.monotonic`; now if unknown."""
    try:
        with open("/proc/self/stat") as stat:  # noqa: PTH123 - only this module is loaded yet
            ticks = int(stat.read().rpartition(")")[2].split()[19])
    except OSError:
        return time.monotonic()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age


def compile_seconds(llm: Any) -> float:
    """The seconds of loading that torch.compile took; 0 with eager kernels."""
    return float(getattr(llm.llm_engine.vllm_config.compilation_config, "compilation_time", 0.0))


def next_step(engine: Any) -> str:
    """The phase of the engine's next step: `prefill` if any prompt in it has no token yet.

    Such a step can generate for other prompts at the same time.
    """
    processor = getattr(engine, "output_processor", None)
    if processor is None:
        return "prefill and decode"
    reading = any(state.is_prefilling for state in processor.request_states.values())
    return "prefill" if reading else "decode"


def memory(llm: Any) -> dict[str, int | None]:
    """Bytes of the weights and the KV cache; None if vLLM doesn't know (in its CPU build, the weights)."""
    return {"weights": _weights(llm), "kv_cache": _kv_cache(llm)}


def _weights(llm: Any) -> int | None:
    """The growth of device memory while the workers loaded the weights."""
    try:
        used = llm.collective_rpc(_model_memory)
    except (
        Exception
    ):  # engines differ in what can be sent to a worker, and a run must not fail because of a missing number
        return None
    return None if any(one is None for one in used) else sum(used)


def _model_memory(worker: Any) -> int | None:
    used = getattr(getattr(worker, "model_runner", None), "model_memory_usage", None)
    return int(used) if used else None


def _kv_cache(llm: Any) -> int | None:
    """The KV cache of all workers. After 0.26 its tensors share one allocation, and each reports its size."""
    try:
        tensors = llm.llm_engine.engine_core.engine_core.scheduler.kv_cache_config.kv_cache_tensors
        workers = int(llm.llm_engine.vllm_config.parallel_config.world_size)
    except AttributeError:
        return None
    sizes = [int(tensor.size) for tensor in tensors]
    one_allocation = any(hasattr(tensor, "layer_stride") for tensor in tensors)
    return workers * (max(sizes, default=0) if one_allocation else sum(sizes)) or None


def answer_alone(llm: Any, prompt: list[int], *, tokens: int, name: str) -> list[float]:
    """The time of each token, in seconds since the request, with nothing else in the engine and no prefix cached.

    End tokens are ignored, so all models generate the same number of tokens.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    engine = llm.llm_engine
    llm.reset_prefix_cache()
    params = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, output_kind=RequestOutputKind.DELTA)
    came: list[float] = []
    began = time.perf_counter()
    engine.add_request(name, {"prompt_token_ids": prompt}, params)
    while engine.get_num_unfinished_requests():
        for output in engine.step():
            came += [time.perf_counter() - began] * len(output.outputs[0].token_ids)
    return came


def answers_alone(
    llm: Any, prompts: list[list[int] | str], requests: list[AloneRequest], on_progress: Callable[[int, int], None]
) -> Iterator[JsonRecord]:
    """Yield a record for each request, in order, with the times of its tokens.

    Args:
        llm: vLLM's `LLM`.
        prompts: Token ids, or why a prompt can't be used.
        requests: `row`, the index of the prompt; `tokens` to generate; `length`, to which the prompt is cut or padded
            with other prompts' tokens (None: unchanged).
        on_progress: Called with the numbers of finished requests and tokens.
    """
    context = int(llm.llm_engine.model_config.max_model_len)
    filler = [token for prompt in prompts if not isinstance(prompt, str) for token in prompt]
    tokens = 0
    for number, request in enumerate(requests):
        prompt, length = prompts[request["row"]], request["length"]
        if not isinstance(prompt, str) and length is not None:
            prompt = padded(prompt, filler, length)
        if not isinstance(prompt, str) and len(prompt) + request["tokens"] > context:
            prompt = f"{len(prompt)} tokens and an answer of {request['tokens']}: the context length is {context}"
        if isinstance(prompt, str):
            yield {"failure": prompt}
            continue
        came = answer_alone(llm, prompt, tokens=request["tokens"], name=f"alone-{number}")
        tokens += len(came)
        on_progress(number + 1, tokens)
        yield {"prompt_tokens": len(prompt), "seconds": came}


def padded(prompt: list[int], filler: list[int], length: int) -> list[int]:
    """Exactly this many tokens: the prompt followed by repeated texts, or its start."""
    text = list(prompt)
    while filler and len(text) < length:
        text += filler[: length - len(text)]
    return text[:length]
