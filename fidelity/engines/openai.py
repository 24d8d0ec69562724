"""The engine of a server that somebody else runs and that speaks OpenAI's protocol."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from fidelity.config import OpenAIEngine
from fidelity.engines.base import OnProgress
from fidelity.engines.connection import Key
from fidelity.engines.dialects import Served, same_place
from fidelity.engines.openai_server import OpenAIServer
from fidelity.engines.server_session import connected, first_contact
from fidelity.engines.vllm_server import VllmServer
from fidelity.errors import EngineError
from fidelity.files import whole_file
from fidelity.schema import JsonObject


@contextmanager
def open_server(engine: OpenAIEngine, *, log: Path, on_progress: OnProgress) -> Iterator[OpenAIServer]:
    """A server that somebody else runs; the connections to it are closed in every case.

    Raises:
        ConfigError: The variable that holds the key isn't set.
        EngineError: It can't be reached, doesn't serve the model, or refuses a plain request.
        MissingPackageError: `openai` is not installed.
    """
    key = Key(engine.api_key_env)
    with connected(engine.base_url, key, engine) as line:
        model = first_contact(line, engine.model, deadline=engine.deadline)
        yield server_of(model)(line, model, engine, log=log, on_progress=on_progress, deadline=engine.deadline)


def server_identity(engine: OpenAIEngine, *, remembered: Path) -> JsonObject:
    """What a server's outputs depend on, as it says itself.

    If it is away or serves another model now, what it said the last time is taken, so that its finished runs are found;
    `remembered` is the JSON file that holds it.

    Raises:
        ConfigError: The variable that holds the key isn't set.
        EngineError: It can't be reached, and never was.
        MissingPackageError: `openai` is not installed.
    """
    known: dict[str, JsonObject] = {}
    with suppress(OSError, ValueError):
        known = json.loads(remembered.read_text(encoding="utf-8"))
    name = f"{engine.base_url} {engine.model or ''}".rstrip()
    try:
        with connected(engine.base_url, Key(engine.api_key_env), engine) as line:
            answer = asdict(first_contact(line, engine.model, deadline=engine.deadline))
            del answer["reveals"]
    except EngineError:
        if name not in known:
            raise
        answer = known[name]
    if known.get(name) != answer:
        with whole_file(remembered) as draft:
            draft.write_text(json.dumps({**known, name: answer}, indent=0), encoding="utf-8")
    return {**engine.decisive(), "model": answer["model"], "at": same_place(engine.base_url), "server": answer}


def server_of(model: Served) -> type[OpenAIServer]:
    """The engine that a server is: vLLM's can do more than OpenAI's protocol has."""
    return VllmServer if model.owner == "vllm" else OpenAIServer
