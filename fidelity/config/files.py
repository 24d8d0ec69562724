"""A YAML file and the paths in it: what was written where, and what is wrong with it."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from fidelity.errors import ConfigError
from fidelity.schema import nearest


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """A path as written, made absolute from the folder of the YAML file that it is written in."""
    if isinstance(value, str) and info.context:
        return Path(info.context["folder"], value).resolve()
    return value


def _resolve_model(value: Any, info: ValidationInfo) -> Any:
    """A directory is made absolute; what is none and doesn't look like one stays a Hub id (`org/name`)."""
    if not isinstance(value, str) or not info.context:
        return value
    local = Path(info.context["folder"], value)
    looks_local = value.startswith((".", "/", "~")) or value.count("/") != 1 or local.parent.is_dir()
    return str(local.resolve()) if local.exists() or looks_local else value


RelativePath = Annotated[Path, BeforeValidator(_resolve)]
ModelName = Annotated[str, BeforeValidator(_resolve_model)]


def read_yaml(path: Path, *, keys: str, written_once: Collection[str] = ()) -> dict[str, object]:
    """The mapping in a YAML file, in which no mapping has the same key twice.

    Args:
        path: The file.
        keys: An example of what belongs there, for the error message.
        written_once: Keys whose mappings may not override what a merge (`<<: *other`) gives them, as YAML otherwise
            allows: of two limits for one column, neither may silently win.

    Raises:
        ConfigError: The file is missing, not UTF-8, not YAML, no mapping, or has a key twice; with its line.
    """
    try:
        data = _construct(path.read_text(encoding="utf-8"), path, written_once)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {str(error).replace(chr(10), ' ')}") from error
    except RecursionError:
        raise ConfigError(f"{path}: its mappings and lists are nested too deep, or contain themselves") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of keys is expected ({keys}), found {_type(data)}")
    return data


def _construct(text: str, path: Path, written_once: Collection[str]) -> Any:
    """The data, built once no key is repeated: PyYAML would take the last of two without a word."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if repeated := list(_repeated_keys(root, written_once)):
            raise ConfigError("\n".join(f"{path}: {one}" for one in repeated))
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _repeated_keys(root: yaml.Node, written_once: Collection[str]) -> Iterator[str]:
    """One sentence for each key that a mapping has a second time, however deep it is."""
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
                yield f"line {lines[1]}: the key {key.value!r} is there twice, first in line {lines[0]}; remove one"
            waiting.append((value, once))


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
    """Keys and values of a mapping, its own first, then those that a merge (`<<: *other`) gives it."""
    yield from ((key, value, True) for key, value in node.value)
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for other in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(other, yaml.MappingNode) and other is not node:
                    yield from ((k, v, False) for k, v, _ in _pairs(other) if k.tag != key.tag)


def explained(path: Path, error: ValidationError) -> ConfigError:
    """What pydantic found wrong in a file, a line each, with the place in the file."""
    return ConfigError("\n".join(f"{path}: {_place(e)}{_what(e)}" for e in error.errors()))


def _place(error: ErrorDetails) -> str:
    """Where in the file, as a user would write it: `engine.dtype`; the tag of a union is no key."""
    loc = [str(key) for key in error["loc"]]
    tag = {"engine": 1, "metrics": 2}.get(loc[0] if loc else "")
    place = ".".join(key for number, key in enumerate(loc) if number != tag)
    return f"{place}: " if place else ""


def _what(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":
        tag, known = error["ctx"]["tag"], re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
        return f"unknown kind {tag!r}{nearest(tag, known)}"
    return str(error["msg"]).removeprefix("Value error, ")


def _type(data: Any) -> str:
    return "nothing" if data is None else type(data).__name__
