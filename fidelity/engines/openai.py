"""The engine `openai`: a running server that speaks OpenAI's protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from fidelity.checkpoints.remembered import read_remembered, remember
from fidelity.config import OpenAIEngine
from fidelity.engines.base import OnProgress
from fidelity.engines.connection import Key
from fidelity.engines.dialects import Served, same_place
from fidelity.engines.openai_server import OpenAIServer
from fidelity.engines.server_session import connected, first_contact
from fidelity.engines.vllm_server import VllmServer
from fidelity.errors import EngineError
from fidelity.schema import JsonObject


@contextmanager
def open_server(
    engine: OpenAIEngine, *, log: Path, on_progress: OnProgress, keep_failures: bool = False
) -> Iterator[OpenAIServer]:
    """A server that somebody else runs; the connections to it are closed in every case.

    Raises:
        ConfigError: The environment variable with the key isn't set.
        EngineError: The server can't be reached, doesn't serve the model, or refuses a plain request.
        MissingPackageError: `openai` is not installed.
    """
    key = Key(engine.api_key_env)
    with connected(engine.base_url, key, engine) as line:
        model = first_contact(line, engine.model, deadline=engine.deadline)
        yield server_of(model)(
            line,
            model,
            engine,
            log=log,
            on_progress=on_progress,
            keep_failures=keep_failures,
        )


def server_identity(engine: OpenAIEngine, *, remembered: Path) -> JsonObject:
    """What a server's outputs depend on, as the server reports it.

    If it is unreachable or serves another model now, its last report is used, so its finished runs are recognized.
    `remembered` is the JSON file with these reports.

    Raises:
        ConfigError: The environment variable with the key isn't set.
        EngineError: The server can't be reached, and there is no earlier report.
        MissingPackageError: `openai` is not installed.
    """
    name = f"{engine.base_url} {engine.model or ''}".rstrip()
    known = read_remembered(remembered).get(name)
    try:
        with connected(engine.base_url, Key(engine.api_key_env), engine) as line:
            answer = asdict(first_contact(line, engine.model, deadline=engine.deadline))
            del answer["reveals"]
    except EngineError:
        if not isinstance(known, dict) or "model" not in known:
            raise
        answer = known
    if known != answer:
        remember(remembered, {name: answer})
    return {**engine.decisive(), "model": answer["model"], "at": same_place(engine.base_url), "server": answer}


def server_of(model: Served) -> type[OpenAIServer]:
    """The engine class for a server. A vLLM server can do more than OpenAI's protocol."""
    return VllmServer if model.owner == "vllm" else OpenAIServer
