"""A YAML file and the paths in it: what was written where, and what is wrong with it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ValidationError, ValidationInfo

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


def read_yaml(path: Path, *, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file; `keys` are an example of what belongs there, for the error message.

    Raises:
        ConfigError: The file is missing, not UTF-8, not YAML, or no mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); name an existing YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of keys is expected ({keys}), found {_type(data)}")
    return data


def explained(path: Path, error: ValidationError) -> ConfigError:
    """What pydantic found wrong in a file, a line each, with the place in the file."""
    return ConfigError("\n".join(f"{path}: {_place(e)}{_what(e)}" for e in error.errors()))


def _place(error: Mapping[str, Any]) -> str:
    """Where in the file, as a user would write it: `engine.dtype`; the tag of a union is no key."""
    loc = [str(part) for part in error["loc"]]
    tag = {"engine": 1, "metrics": 2}.get(loc[0] if loc else "")
    place = ".".join(part for number, part in enumerate(loc) if number != tag)
    return f"{place}: " if place else ""


def _what(error: Mapping[str, Any]) -> str:
    if error["type"] == "union_tag_invalid":
        tag, known = error["ctx"]["tag"], re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
        return f"unknown kind {tag!r}{nearest(tag, known)}"
    return str(error["msg"]).removeprefix("Value error, ")


def _type(data: Any) -> str:
    return "nothing" if data is None else type(data).__name__
