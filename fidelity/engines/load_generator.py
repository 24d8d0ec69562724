"""Requests at a rate, by vLLM's own load generator, in a child process that imports it once."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.engines.logs import log_stream
from fidelity.engines.processes import ended, last_lines
from fidelity.errors import EngineError
from fidelity.outside.secrets import Secrets

ENDPOINT = "/v1/completions"


@dataclass(frozen=True, slots=True)
class Load:
    """The requests of one measurement."""

    prompt_tokens: int
    answer_tokens: int
    requests: int
    rate: float = math.inf
    """Requests per second, arriving at random (a Poisson process); infinite: all at once."""
    spread: float = 0.0
    """Lengths are drawn uniformly from 1 - spread to 1 + spread times the two above."""
    at_once: int | None = None
    """The most requests in flight; 1 is one after the other."""
    seed: int = 0


class LoadGenerator:
    """A child process that sends requests to servers, one load after the other."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self._log = process, log

    def send(self, load: Load, *, address: str, model: str, tokenizer: Path) -> dict[str, Any]:
        """Send a load and return the JSON of `vllm bench serve`, with a list of each request's times.

        Args:
            load: The requests.
            address: The server's, such as `http://127.0.0.1:8000`.
            model: The model's name on the server.
            tokenizer: The directory of the tokenizer that counts the tokens of the random prompts.

        Raises:
            EngineError: The load generator ended, failed, or lost a request.
        """
        arguments = bench_arguments(load, address=address, model=model, tokenizer=tokenizer)
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(arguments).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EngineError(f"the load generator ended{last_lines(self._log)}") from None
        answer = self.answer()
        if "error" in answer:
            raise EngineError(f"vllm bench serve: {answer['error']}{last_lines(self._log)}")
        result: dict[str, Any] = answer["result"]
        if result.get("completed") != load.requests:
            raise EngineError(
                f"vllm bench serve: {result.get('completed')} of {load.requests} requests were answered; "
                f"the server's log may say why{last_lines(self._log)}"
            )
        return result

    def answer(self) -> dict[str, Any]:
        """The next line of the child process.

        Raises:
            EngineError: It ended.
        """
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise EngineError(f"the load generator ended{last_lines(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def load_generator(log: Path) -> Iterator[LoadGenerator]:
    """Start the load generator, as a context manager that stops it.

    Raises:
        EngineError: It could not start, for example because vLLM is not installed.
    """
    with log_stream(log, Secrets.in_mappings(os.environ)) as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fidelity.children.vllm_bench"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env={**os.environ, "VLLM_NO_USAGE_STATS": "1"},
            start_new_session=True,
        )
    try:
        generator = LoadGenerator(process, log)
        generator.answer()
        yield generator
    finally:
        ended(process, patience=5.0)


def bench_arguments(load: Load, *, address: str, model: str, tokenizer: Path) -> list[str]:
    """The arguments of `vllm bench serve`."""
    options: dict[str, object] = {
        "backend": "openai",
        "base-url": address,
        "endpoint": ENDPOINT,
        "model": model,
        "tokenizer": tokenizer,
        "dataset-name": "random",
        "random-input-len": load.prompt_tokens,
        "random-output-len": load.answer_tokens,
        "random-range-ratio": load.spread,
        "num-prompts": load.requests,
        "request-rate": load.rate,
        "seed": load.seed,
        "temperature": 0,
        "percentile-metrics": "ttft,tpot,e2el",
        "metric-percentiles": "50,95,99",
        "ready-check-timeout-sec": 0,
        **({"max-concurrency": load.at_once} if load.at_once else {}),
    }
    pairs = [f"--{name}={value}" for name, value in options.items()]
    return [*pairs, "--ignore-eos", "--disable-tqdm", "--save-detailed"]
