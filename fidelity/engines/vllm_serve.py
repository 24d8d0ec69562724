"""The engine `vllm-serve`: `vllm serve` on a free port of this machine, always stopped afterwards."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fidelity.checkpoints import (
    chat_template,
    end_token_ids,
    fingerprint,
    local_directory,
    proposed_sampling,
    vocabulary_id,
)
from fidelity.children.vllm_cli import MORE_ARGUMENTS
from fidelity.children.vllm_config import speculative
from fidelity.config import RunConfig, VllmServeEngine
from fidelity.engines.base import ANYWHERE, OnProgress, Placement
from fidelity.engines.connection import Key
from fidelity.engines.logs import log_stream
from fidelity.engines.openai_server import ANY_TOKENIZER
from fidelity.engines.processes import ended, how_it_ended, last_lines, oom_kills, processor_seconds
from fidelity.engines.server_session import connected, first_contact
from fidelity.engines.vllm import child_env, on_this_machine
from fidelity.engines.vllm_log import with_vllm_log
from fidelity.engines.vllm_server import VllmServer
from fidelity.errors import EngineDied
from fidelity.outside.secrets import Secrets, is_secret
from fidelity.records import EngineInfo
from fidelity.schema import JsonObject

HOST = "127.0.0.1"
LOOK_S = 0.25
"""Seconds between checks whether the server is up."""
SHUTDOWN_S = 30.0
"""Seconds for the server to exit by itself."""
WORKING = 0.05
"""The share of one CPU that a loading server must use to count as working."""
SERVER_DEFAULTS: JsonObject = {
    "enable_prefix_caching": False,  # else a control's prompts would be cached
    "generation_config": "vllm",  # else the model's generation config would change the run's sampling
    "max_logprobs": -1,
    "uvicorn_log_level": "warning",
}
"""vLLM's options that make a server behave like an engine in a child process."""


@contextmanager
def serve(
    config: RunConfig,
    engine: VllmServeEngine,
    *,
    log: Path,
    on_progress: OnProgress,
    keep_failures: bool = False,
    placement: Placement = ANYWHERE,
) -> Iterator[VllmServer]:
    """Start a server, as a context manager that always stops it.

    Args:
        config: The run, which names the model.
        engine: vLLM's options, and how to ask.
        log: Where the server's own log, and a line for each attempt that failed, is appended to.
        on_progress: Called every second with the progress of a call.
        keep_failures: As in `open_engine`.
        placement: The GPUs that the server sees.

    Raises:
        EngineError: The server crashed, made no progress while starting, or refuses a plain request.
        MissingPackageError: `openai` is not installed.
    """
    checkpoint = local_directory(str(config.model), config.revision)
    env = {**placement.env, **child_env(engine), **secret_arguments(engine)}
    with _Process(command(checkpoint, config.name, engine, port := free_port()), env=env, log=log) as process:
        address = f"http://{HOST}:{port}/v1"
        with connected(address, Key(None), engine) as line:
            process.wait_until_healthy(port, deadline=engine.deadline, check=placement.check)
            model = first_contact(line, config.name, deadline=engine.deadline)
            server = VllmServer(
                line,
                model,
                engine,
                log=log,
                on_progress=on_progress,
                exit_report=process.exit_report,
                keep_failures=keep_failures,
            )
            tokenizer = vocabulary_id(checkpoint)
            info = configured(on_this_machine(server.info, engine), checkpoint, engine)
            logged = with_vllm_log(info, log, start=process.log_start)
            server.info = replace(
                logged,
                mode="eager" if engine.options.get("enforce_eager") else "compiled",
                tokenizer=tokenizer,
                chat_template=fingerprint(chat_template(checkpoint)) if engine.api == "chat" else None,
                notes=tuple(note for note in logged.notes if note != ANY_TOKENIZER or not tokenizer),
            )
            yield server


@contextmanager
def bare_server(config: RunConfig, engine: VllmServeEngine, *, log: Path) -> Iterator[tuple[str, str]]:
    """Start a server, and yield its address without a path, and the model's name on it. Nothing is asked.

    Raises:
        EngineError: The server crashed, or made no progress while starting.
    """
    checkpoint = local_directory(str(config.model), config.revision)
    env = {**child_env(engine), **secret_arguments(engine)}
    with _Process(command(checkpoint, config.name, engine, port := free_port()), env=env, log=log) as process:
        process.wait_until_healthy(port, deadline=engine.deadline, check=lambda: None)
        yield f"http://{HOST}:{port}", config.name


def configured(info: EngineInfo, checkpoint: Path, engine: VllmServeEngine) -> EngineInfo:
    """The server's report, completed from its options and its checkpoint."""
    given = {**SERVER_DEFAULTS, **engine.options}
    neutral = given["generation_config"] == "vllm"
    cache = str(given.get("kv_cache_dtype", "auto"))
    return replace(
        info,
        dtype=engine.dtype,
        kv_cache=None if cache == "auto" else cache,
        tensor_parallel=int(str(given.get("tensor_parallel_size") or 1)),
        pipeline_parallel=int(str(given.get("pipeline_parallel_size") or 1)),
        speculative=speculative(given.get("speculative_config")),
        end_tokens=end_token_ids(checkpoint),
        generation_config={} if neutral else dict(proposed_sampling(checkpoint)),
    )


def command(checkpoint: Path, name: str, engine: VllmServeEngine, port: int) -> list[str]:
    """The server's command line, which everybody on the machine may read: secrets are not in it."""
    options = {
        **SERVER_DEFAULTS,
        **({"dtype": engine.dtype} if engine.dtype else {}),
        **({"max_model_len": engine.max_model_len} if engine.max_model_len else {}),
        **{option: value for option, value in engine.options.items() if not is_secret(option, value)},
        **_tool_options(engine),
        "host": HOST,
        "port": port,
        "served_model_name": name,
    }
    flags = [word for option, value in options.items() for word in _flag(option, value)]
    return [sys.executable, "-P", "-m", "fidelity.children.vllm_cli", "serve", str(checkpoint), *flags]


def _tool_options(engine: VllmServeEngine) -> JsonObject:
    parser = engine.tool_call_parser
    return {"enable_auto_tool_choice": True, "tool_call_parser": parser} if parser else {}


def secret_arguments(engine: VllmServeEngine) -> dict[str, str]:
    """The options that hold secrets (`hf_token`), as the variable of the environment that `vllm_cli` reads."""
    secret = {option: value for option, value in engine.options.items() if is_secret(option, value)}
    flags = [word for option, value in secret.items() for word in _flag(option, value)]
    return {MORE_ARGUMENTS: json.dumps(flags)} if flags else {}


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _flag(option: str, value: Any) -> list[str]:
    """An argument of vLLM's `LLM(...)` as an option of `vllm serve`."""
    name = option.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, dict):
        return [f"--{name}", json.dumps(value)]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [] if value is None else [f"--{name}={value}"]


class _Process:
    """The server's process group. Its first process ends the group when this process closes its pipe."""

    def __init__(self, command: list[str], *, env: Mapping[str, str], log: Path) -> None:
        self._log = log
        self.log_start = log.stat().st_size if log.is_file() else 0
        """Where this server's lines start in the log, in bytes."""
        self._oom_kills = oom_kills()
        with log_stream(log, Secrets.in_mappings(os.environ, env) | _of_arguments(env)) as output:
            self._process = subprocess.Popen(  # noqa: S603 - a list, no shell
                [sys.executable, "-P", "-m", "fidelity.children.serving", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **env},
                start_new_session=True,
            )

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        ended(self._process, patience=SHUTDOWN_S)

    def exit_report(self) -> str | None:
        """How the server exited, with its last log lines; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        how = how_it_ended(code, oom_kills_before=self._oom_kills)
        return f"vllm serve {how}; finished answers are saved, run the command again to continue{last_lines(self._log)}"

    def wait_until_healthy(self, port: int, *, deadline: float, check: Callable[[], None]) -> None:
        """Wait until the server answers, calling `check`. While it silently loads or compiles, CPU use is progress.

        Raises:
            EngineError: The server crashed, or did nothing for `deadline` seconds.
        """
        since, used = time.monotonic(), 0.0
        while not _healthy(port):
            check()
            if died := self.exit_report():
                raise EngineDied(died)
            silent, now_used = time.monotonic() - since, processor_seconds(self._process.pid)
            if now_used - used > WORKING * silent:
                since, used = time.monotonic(), now_used
            elif silent > deadline:
                raise EngineDied(
                    f"vllm serve did nothing for {silent:.0f} s while starting, and was stopped; if it needs longer, "
                    f"raise engine.deadline (seconds){last_lines(self._log)}"
                )
            time.sleep(LOOK_S)


def _of_arguments(env: Mapping[str, str]) -> Secrets:
    flags: list[str] = json.loads(env.get(MORE_ARGUMENTS, "[]"))
    return Secrets([flag.partition("=")[2] for flag in flags]) | Secrets.in_mappings({"options": flags})


def _healthy(port: int) -> bool:
    line = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        line.request("GET", "/health")
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()
