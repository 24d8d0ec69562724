"""The arguments of vLLM's `LLM(...)` for a run, checked against the installed vLLM before a model loads."""

import ast
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from fidelity.checkpoints import local_directory, read_config
from fidelity.config import RunConfig, VllmEngine, VllmServeEngine
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.schema import JsonObject, nearest

NAMED = {
    "model": "model",
    "dtype": "engine.dtype",
    "max_model_len": "engine.max_model_len",
    "revision": "revision",
    "tool_call_parser": "engine.tool_call_parser",
    "enable_auto_tool_choice": "engine.tool_call_parser",
}
"""Arguments of vLLM that are set elsewhere in the YAML."""
RESERVED = frozenset(
    {"host", "port", "uds", "api_key", "served_model_name", "ssl_keyfile", "ssl_certfile", "root_path"}
)
"""Options of `vllm serve` that fidelity sets itself."""
PLUGINS = "vllm.general_plugins"
METHODS_OF_PLUGINS = frozenset({"gguf", "bitsandbytes"})
"""Methods that packages of vLLM's own add."""
FRONTEND = ("openai/cli_args.py", "launchers/cli_args.py")
"""The files in vLLM's `entrypoints` that can define the server's arguments, depending on its version."""


def settings(config: RunConfig, engine: VllmEngine) -> JsonObject:
    """The child's `open` request: `LLM`'s arguments, and torchao's scheme, which the child turns into arguments."""
    arguments = {
        "model": str(local_directory(str(config.model), config.revision)),
        **({"dtype": engine.dtype} if engine.dtype else {}),
        **({"max_model_len": engine.max_model_len} if engine.max_model_len else {}),
        **({"attention_backend": invariant_attention(config, engine)} if config.batch_invariant else {}),
        **engine.options,
    }
    torchao = engine.torchao.model_dump() if engine.torchao else None
    return {"arguments": arguments, "torchao": torchao, "tool_call_parser": engine.tool_call_parser}


def invariant_attention(config: RunConfig, engine: VllmEngine) -> str:
    """The attention backend for batch-invariant kernels.

    FlashAttention's answers don't depend on the other prompts in a batch, but on whether one of them is being read in
    the same step: on an H200 with vLLM 0.26, 31 of 72 answers were bit-equal in a run that admits prompts one after
    the other, and all 72 with Triton's attention (docs/decisions/009-batching.md).
    """
    latent = "kv_lora_rank" in read_config(local_directory(str(config.model), config.revision))
    return "TRITON_MLA" if latent else "TRITON_ATTN"


def check(place: str, engine: VllmEngine | VllmServeEngine) -> None:
    """Refuse invalid options before anything is generated.

    Raises:
        ConfigError: vLLM doesn't have an option, or it is set elsewhere, or it contradicts another one.
        MissingPackageError: torchao is configured but not installed.
    """
    known = known_arguments() if isinstance(engine, VllmEngine) else known_flags()
    for option in engine.options:
        where = f"{place}: engine.options.{option}"
        if option in NAMED:
            raise ConfigError(f"{where}: set elsewhere; write it as {NAMED[option]!r}")
        if known and option not in known:
            raise ConfigError(f"{where}: the installed vLLM has no such argument{nearest(option, sorted(known))}")
    method, methods = engine.options.get("quantization"), quantization_methods()
    if isinstance(method, str) and methods and method not in methods:
        where, hint = f"{place}: engine.options.quantization", nearest(method, sorted(methods))
        raise ConfigError(f"{where}: the installed vLLM has no method {method!r}{hint}")
    if isinstance(engine, VllmEngine) and engine.torchao:
        if clash := [key for key in ("quantization", "hf_overrides") if key in engine.options]:
            raise ConfigError(f"{place}: engine.options.{clash[0]}: can't be combined with engine.torchao; remove one")
        if find_spec("torchao") is None:
            raise MissingPackageError("torchao", extra="torchao", needed_by="engine.torchao")


@cache
def known_arguments() -> frozenset[str]:
    """The arguments of the installed vLLM's `LLM(...)`, from its source, since importing vLLM takes 15 s.

    These are the parameters of `LLM.__init__` and the fields of `EngineArgs`. Empty if they aren't found, so a
    newer vLLM checks its arguments itself.
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
def quantization_methods() -> frozenset[str]:
    """The methods of the installed vLLM's `quantization`, from its source; empty if a plugin may add others."""
    spec = find_spec("vllm")
    if spec is None or spec.origin is None or any(_adds_methods(plugin) for plugin in entry_points(group=PLUGINS)):
        return frozenset()
    file = Path(spec.origin).parent / "model_executor" / "layers" / "quantization" / "__init__.py"
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return frozenset()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id="QuantizationMethods")], value=ast.Subscript(slice=ast.Tuple(elts=names))
            ):
                return (
                    frozenset(str(name.value) for name in names if isinstance(name, ast.Constant)) | METHODS_OF_PLUGINS
                )
    return frozenset()


def _adds_methods(plugin: EntryPoint) -> bool:
    """Whether a plugin of vLLM is somebody else's, which may register any method."""
    return not (plugin.dist and plugin.dist.name.startswith("vllm"))


@cache
def known_flags() -> frozenset[str]:
    """The options of `vllm serve` that a user can set: the engine's and the server's."""
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
