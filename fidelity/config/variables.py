"""Environment variables in the values of a YAML file: `${NAME}` and `${NAME:-default}`; `$${` is a literal `${`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from fidelity.errors import ConfigError
from fidelity.outside.environment import picks_kernels
from fidelity.outside.secrets import KNOWN_FORMS, names_secret

VARIABLE = re.compile(r"\$?\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}")


def substitute_variables(
    root: yaml.Node, path: Path, resolver: yaml.resolver.Resolver, environment: Mapping[str, str] = os.environ
) -> None:
    """Put the values of variables into a document's values, keys excepted. A value can't add keys or lists.

    A value without quotes gets its type as if it had been written there: `${LIMIT}` can be a number. An empty variable
    counts as missing, as in a shell.

    Raises:
        ConfigError: A variable isn't set, or it is a secret that would be written to disk; with file, line and key.
    """
    done = set[int]()

    def visit(node: yaml.Node, keys: tuple[str, ...]) -> None:
        if id(node) in done:  # an alias
            return
        done.add(id(node))
        match node:
            case yaml.MappingNode():
                for key, value in node.value:
                    visit(value, (*keys, str(key.value)))
            case yaml.SequenceNode():
                for number, value in enumerate(node.value):
                    visit(value, (*keys, str(number)))
            case yaml.ScalarNode() if "${" in node.value:
                _substitute(node, keys, path, resolver, environment)

    visit(root, ())


def _substitute(
    node: yaml.ScalarNode,
    keys: tuple[str, ...],
    path: Path,
    resolver: yaml.resolver.Resolver,
    environment: Mapping[str, str],
) -> None:
    place = f"{path}, line {node.start_mark.line + 1}: {'.'.join(keys)}"

    def value_of(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        name, default = match["name"], match["default"]
        value = environment.get(name) or (None if default is None else default[2:])
        if value is None:
            raise ConfigError(
                f"{place}: the environment variable {name} is not set; set it, or write a default: ${{{name}:-...}}"
            )
        if (names_secret(name) or KNOWN_FORMS.search(value)) and not _is_masked(keys):
            raise ConfigError(
                f"{place}: {name} holds a secret, and this value is written to the store; give a server's key by the "
                f"name of its variable (engine.api_key_env: {name}), another one under engine.env"
            )
        return value

    node.value = VARIABLE.sub(value_of, node.value)
    if not node.style:  # plain: None or empty, by the loader
        node.tag = resolver.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]


def _is_masked(keys: tuple[str, ...]) -> bool:
    """Whether the store keeps only a fingerprint of the value under these keys."""
    return ("env" in keys[:-1] and not picks_kernels(keys[-1])) or names_secret(keys[-1])
