"""What vLLM's `LLM(...)` is opened with: a run's settings, checked against the installed vLLM before a model loads."""

import ast
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fidelity.checkpoints import local_directory
from fidelity.config import RunConfig, VllmEngine, VllmServeEngine
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.schema import JsonObject, nearest

NAMED = {"model": "model", "dtype": "engine.dtype", "max_model_len": "engine.max_model_len", "revision": "revision"}
"""Arguments of vLLM that have a place of their own in the YAML."""
RESERVED = frozenset(
    {"host", "port", "uds", "api_key", "served_model_name", "ssl_keyfile", "ssl_certfile", "root_path"}
)
"""What a server of our own is started with, so that we find it."""
FRONTEND = ("openai/cli_args.py", "launchers/cli_args.py")
"""Where in vLLM's `entrypoints` the server's own arguments stand, depending on its version."""


def settings(config: RunConfig, engine: VllmEngine) -> JsonObject:
    """The child's `open` request: `LLM`'s arguments, and torchao's scheme, which the child turns into arguments."""
    arguments = {
        "model": str(local_directory(str(config.model), config.revision)),
        **({"dtype": engine.dtype} if engine.dtype else {}),
        **({"max_model_len": engine.max_model_len} if engine.max_model_len else {}),
        **engine.options,
    }
    return {"arguments": arguments, "torchao": engine.torchao.model_dump() if engine.torchao else None}


def check(run: str, engine: VllmEngine | VllmServeEngine) -> None:
    """Refuse what can't be meant, before anything is generated.

    Raises:
        ConfigError: An option that vLLM doesn't know, that has a place of its own, or that contradicts another.
        MissingPackageError: torchao is asked for and not installed.
    """
    known = known_arguments() if isinstance(engine, VllmEngine) else known_flags()
    for option in engine.options:
        where = f"{run}: engine.options.{option}"
        if option in NAMED:
            raise ConfigError(f"{where}: stands at the wrong place; write it as {NAMED[option]!r}")
        if known and option not in known:
            raise ConfigError(f"{where}: the installed vLLM has no such argument{nearest(option, sorted(known))}")
    if isinstance(engine, VllmEngine) and engine.torchao:
        if clash := [key for key in ("quantization", "hf_overrides") if key in engine.options]:
            raise ConfigError(f"{run}: engine.options.{clash[0]}: can't be given together with engine.torchao")
        if find_spec("torchao") is None:
            raise MissingPackageError("torchao", extra="torchao", needed_by="engine.torchao")


@cache
def known_arguments() -> frozenset[str]:
    """The names that `LLM(...)` of the installed vLLM takes, from its source: importing it takes a quarter of a minute.

    They are the parameters of `LLM.__init__` and the fields of `EngineArgs`, to which it passes the rest. Empty if they
    aren't found there, so that a newer vLLM is its own judge.
    """
    spec = find_spec("vllm")
    if spec is None or spec.origin is None:
        return frozenset()
    root = Path(spec.origin).parent
    try:
        fields = _class(root / "engine" / "arg_utils.py", "EngineArgs").body
        nodes = _class(root / "entrypoints" / "llm.py", "LLM").body
    except (OSError, SyntaxError, StopIteration):
        return frozenset()
    names = _fields(fields)
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names |= {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    return frozenset(names - {"self"})


@cache
def known_flags() -> frozenset[str]:
    """The options that `vllm serve` takes: those of the engine and those of the server, less what is ours to set."""
    spec = find_spec("vllm")
    if spec is None or spec.origin is None:
        return frozenset()
    entrypoints = Path(spec.origin).parent / "entrypoints"
    for file in FRONTEND:
        with suppress(OSError, SyntaxError, StopIteration):
            own = _fields(_class(entrypoints / file, "BaseFrontendArgs").body)
            own |= _fields(_class(entrypoints / file, "FrontendArgs").body)
            return (known_arguments() | own) - RESERVED
    return frozenset()


def _fields(body: list[ast.stmt]) -> set[str]:
    return {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}


def _class(file: Path, name: str) -> ast.ClassDef:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
