"""The reference pages of the documentation's site, generated from the code whenever the site is built."""

import argparse
import ast
import inspect
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fidelity.cli import parser_of_all
from fidelity.cli.parser import every_command
from fidelity.config import RunConfig
from fidelity.gate import Gate
from fidelity.metrics import AnyMetric
from fidelity.study.study import StudyFile

SIMPLE = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path"}


def command_line() -> str:
    """Every command with its arguments."""
    pages = [
        "# Every command and option\n\n"
        "`fidelity help COMMAND` prints the same. To complete commands in a shell, add one line to its configuration: "
        '`eval "$(fidelity completion bash)"`, or `zsh`.\n\n'
        "Exit codes: 0 pass, or no gate was given; 1 fail; 2 could not be judged, or any error; 130 Ctrl-C.\n"
    ]
    for command in every_command(parser_of_all()):
        rows = [(_invocation(action), _escaped(_help(command, action))) for action in command._actions]
        pages.append(f"## {command.prog}\n\n" + _table(("argument", "meaning"), rows))
    return "\n".join(pages)


def yaml_keys() -> str:
    """Every key of a run, a gate and a study, and the parameters of every metric."""
    text = (
        "# Every YAML key\n\nPaths are relative to the file. An unknown key is an error that names the nearest "
        "one. Values may contain environment variables: `${NAME}`, or `${NAME:-default}`; `$${` is a literal `${`. "
        'Inside `{...}` such a value needs quotes: `{max_tokens: "${TOKENS}"}`. A missing variable is an error, and so '
        "is a secret where the store would keep it.\n"
    )
    for title, model in (("A run", RunConfig), ("A gate", Gate), ("A study", StudyFile)):
        text += f"\n## {title}\n\n{_keys(model)}"
        for inner in _inner_models(model):
            if not issubclass(inner, tuple(get_args(get_args(AnyMetric)[0]))) and inner is not RunConfig:
                text += f"\n### {_title(inner)}\n\n{_first_sentence(inner)}\n\n{_keys(inner)}"
    text += "\n## The parameters of metrics\n\nIn the baseline's `metrics:`, `{kind: rouge, stem: true}`.\n"
    for metric in get_args(get_args(AnyMetric)[0]):
        text += f"\n### {metric.model_fields['kind'].default}\n\n{_first_sentence(metric)}\n\n{_keys(metric)}"
    return text


def _invocation(action: argparse.Action) -> str:
    """`--store DIR`, `-q, --quiet`, `COMPARISON`."""
    names = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else str(action.metavar or "" or "|".join(map(str, action.choices or ())))
    value = value or ("" if names else action.dest)
    return f"`{f'{names} {value}'.strip()}`".replace("|", "\\|")


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    values = {**vars(action), "prog": command.prog}
    return (action.help or "") % values


def _keys(model: type[BaseModel]) -> str:
    meanings = _field_docs(model)
    rows = [
        (f"`{name}`", _type(field.annotation), _default(field.default), _escaped(meanings.get(name) or ""))
        for name, field in model.model_fields.items()
        if not (name == "label" and "kind" in model.model_fields and model is not RunConfig and not meanings.get(name))
    ]
    return _table(("key", "value", "default", "meaning"), rows)


def _field_docs(model: type[BaseModel]) -> dict[str, str | None]:
    """The text under each field. pydantic's `use_attribute_docstrings` reads them in every command, for 0.1 s."""
    docs: dict[str, str | None] = {}
    for one in reversed([one for one in model.__mro__ if issubclass(one, BaseModel) and one is not BaseModel]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body
        for line, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                text = (
                    after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
                )
                docs[line.target.id] = inspect.cleandoc(text) if isinstance(text, str) else None
    return docs


def _inner_models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models in a model's fields, each once, depth first."""
    seen: list[type[BaseModel]] = []

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in seen:
                seen.append(annotation)
                for field in annotation.model_fields.values():
                    visit(field.annotation)
            return
        for inner in get_args(annotation):
            visit(inner)

    for field in model.model_fields.values():
        visit(field.annotation)
    yield from seen


def _title(model: type[BaseModel]) -> str:
    kind = model.model_fields.get("kind")
    return f"`kind: {get_args(kind.annotation)[0]}`" if kind is not None else model.__name__


def _first_sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _type(annotation: Any) -> str:
    """A type in words: `text`, `number or list`, `one of a, b`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in SIMPLE:
        return SIMPLE[annotation]
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        known = [_type(one) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(known))
    if origin in (tuple, list):
        inner = dict.fromkeys(_type(one) for one in arguments if one is not Ellipsis)
        return "list: " + ", ".join(inner) if len(inner) == 1 else "list"
    if origin is dict:
        return f"mapping to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return "any"


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return ""
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, BaseModel):
        return "see below"
    words = {True: "true", False: "false"}
    return f"`{words[value] if isinstance(value, bool) else value}`"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


PAGES = {"command-line.md": command_line, "yaml.md": yaml_keys}
"""The pages by their name in the site."""
