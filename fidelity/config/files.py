"""Reading a YAML file: its paths, its duplicate keys, and the place of each error."""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ValidationInfo

from fidelity.config.variables import substitute_variables
from fidelity.errors import ConfigError
from fidelity.outside.documents import MOST_NESTED, cleaned
from fidelity.prompts import HUB, local_folder, packaged

LARGEST = 1_000_000
"""Bytes of a YAML file."""
STANDARD_INPUT = Path("-")
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
LONGEST_NUMBER = 400
"""Characters of a number; the largest that a float can hold has 309 digits."""
MOST_VALUES = 100_000
"""Values in it, with aliases written out."""


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """A path, made absolute relative to the folder of its YAML file."""
    if isinstance(value, str) and info.context:
        return Path(info.context["folder"], value).resolve()
    return value


def _resolve_prompts(value: Any, info: ValidationInfo) -> Any:
    """A prompt set: the file of a packaged one, `hf:DATASET` unchanged but for a local folder, or a resolved path."""
    if isinstance(value, list):
        raise ValueError(
            "expected the name of a prompt set or its path; write the prompts into a file, one per line (prompts.txt)"
        )
    if not isinstance(value, str) or not info.context:
        return value
    folder = Path(info.context["folder"])
    if value.startswith(HUB):
        return Path(HUB + local_folder(value.removeprefix(HUB), folder))
    return ((None if (folder / value).is_file() else packaged(value)) or Path(folder, value)).resolve()


def _resolve_model(value: Any, info: ValidationInfo) -> Any:
    """An existing or path-like directory, made absolute; anything else is returned as a Hub id (`org/name`)."""
    if not isinstance(value, str) or not info.context:
        return value
    local = Path(info.context["folder"], value)
    looks_local = value.startswith((".", "/", "~")) or value.count("/") != 1 or local.parent.is_dir()
    return str(local.resolve()) if local.exists() or looks_local else value


RelativePath = Annotated[Path, BeforeValidator(_resolve)]
PromptSet = Annotated[Path, BeforeValidator(_resolve_prompts)]
ModelName = Annotated[str, BeforeValidator(_resolve_model)]


def read_yaml(path: Path, *, keys: str, written_once: Collection[str] = ()) -> dict[str, object]:
    """Read the mapping in a YAML file. Duplicate keys are refused.

    Args:
        path: The file; `-` is standard input.
        keys: An example of what belongs there, for the error message.
        written_once: Keys whose mappings may not override what a merge (`<<: *other`) gives them, as YAML otherwise
            allows: if a column has two limits, neither must silently replace the other.

    Raises:
        ConfigError: The file is missing, not UTF-8, not YAML, no mapping, or has a key twice; with its line.
    """
    try:
        text = sys.stdin.buffer.read(LARGEST + 1) if path == STANDARD_INPUT else _bytes(path)
        if len(text) > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST:,} bytes; this can't be a file of settings")
        data = _construct(text.decode("utf-8"), path, written_once)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {str(error).replace(chr(10), ' ')}") from error
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply, or an alias contains itself; flatten it") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of keys ({keys}), got {_type(data)}")
    return data


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _construct(text: str, path: Path, written_once: Collection[str]) -> Any:
    """Build the data after checking for duplicate keys, of which PyYAML would silently use the last."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if repeated := list(_repeated_keys(root, written_once)):
            raise ConfigError("\n".join(f"{path}: {one}" for one in repeated))
        if _written_out(root, {}, 0) > MOST_VALUES:
            raise ConfigError(f"{path}: more than {MOST_VALUES:,} values once its aliases are written out")
        substitute_variables(root, path, loader)
        _refuse_long_numbers(root, path)
        return cleaned(loader.construct_document(root))
    except (ValueError, OverflowError) as error:  # a date that doesn't exist, binary data that isn't
        raise ConfigError(f"{path}: has a value that can't be read ({error}); put it into quotes") from error
    finally:
        loader.dispose()


def _refuse_long_numbers(root: yaml.Node, path: Path) -> None:
    """Refuse numbers that take long to read, and that JSON can't hold."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.CollectionNode):
            waiting += [child for value in node.value for child in (value if isinstance(value, tuple) else (value,))]
        elif node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            line = node.start_mark.line + 1
            raise ConfigError(
                f"{path}, line {line}: a number of more than {LONGEST_NUMBER} characters; put it into quotes"
            )


def _written_out(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many values a node holds with its aliases written out.

    Raises:
        RecursionError: It is nested deeper than JSON may be, or contains itself.
    """
    if depth > MOST_NESTED:
        raise RecursionError
    if id(node) not in known:
        values = node.value if isinstance(node, yaml.CollectionNode) else []
        children = [child for value in values for child in (value if isinstance(value, tuple) else (value,))]
        known[id(node)] = 1 + sum(_written_out(child, known, depth + 1) for child in children)
    return known[id(node)]


def _repeated_keys(root: yaml.Node, written_once: Collection[str]) -> Iterator[str]:
    """Yield one sentence for each duplicate key, at any depth."""
    waiting, seen = [(root, False)], set[tuple[int, bool]]()
    while waiting:
        node, strict = waiting.pop()
        if (id(node), strict) in seen:  # an alias, maybe of something around it
            continue
        seen.add((id(node), strict))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(child, strict) for child in node.value]
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, value, own in _pairs(node) if isinstance(node, yaml.MappingNode) else ():
            once = strict or key.value in written_once
            earlier = first.setdefault((key.tag, str(key.value)), key)
            if earlier is not key and (own or once):
                lines = sorted(one.start_mark.line + 1 for one in (earlier, key))
                yield f"line {lines[1]}: duplicate key {key.value!r}, first used in line {lines[0]}; remove one"
            waiting.append((value, once))


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
    """Keys and values of a mapping: first its own, then those from a merge (`<<: *other`)."""
    yield from ((key, value, True) for key, value in node.value)
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(other, yaml.MappingNode) and other is not node:
                    yield from ((k, v, False) for k, v, _ in _pairs(other) if k.tag != key.tag)


def _type(data: Any) -> str:
    return "nothing" if data is None else type(data).__name__
