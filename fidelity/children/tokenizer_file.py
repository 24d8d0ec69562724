"""A tokenizer from its own file, for an environment without transformers: `tokenizer.json` and a chat template."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fidelity.children.wire import JsonRecord


class TokenizerFile:
    """What the children need of a tokenizer, by the names that transformers has for it."""

    def __init__(self, directory: Path) -> None:
        """Read `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`, of which only the first must be."""
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        config = _json(directory / "tokenizer_config.json")
        template = directory / "chat_template.jinja"
        self.chat_template = (
            template.read_text("utf-8") if template.is_file() else _default(config.get("chat_template"))
        )
        self._special = {name: _text(value) for name, value in config.items() if name.endswith("_token") and value}
        self.bos_token_id = self._tokenizer.token_to_id(self._special.get("bos_token", ""))
        ids = _json(directory / "generation_config.json").get("eos_token_id")
        named = self._tokenizer.token_to_id(self._special.get("eos_token", ""))
        self.ends = frozenset(
            int(token) for token in (*(ids if isinstance(ids, list) else [ids]), named) if token is not None
        )
        """The tokens that end an answer."""

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, **_: Any
    ) -> str | dict[str, list[int]]:
        """The chat with the beginning of an answer behind it, as a text or as token ids; rendered in a sandbox."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        jinja = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        jinja.globals |= {"raise_exception": _refuse, "strftime_now": lambda how: datetime.now().strftime(how)}
        jinja.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
        text = jinja.from_string(str(self.chat_template)).render(
            messages=messages, tools=None, documents=None, add_generation_prompt=True, **self._special
        )
        return {"input_ids": self._tokenizer.encode(text, add_special_tokens=False).ids} if tokenize else text

    def encode(self, text: str) -> list[int]:
        """A plain text's token ids, with what the tokenizer puts around one."""
        return list(self._tokenizer.encode(text).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of token ids."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def get_vocab(self) -> dict[str, int]:
        """Every token with its id."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))


def _json(file: Path) -> JsonRecord:
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def _default(template: Any) -> str | None:
    """A template, or the one called "default" of several."""
    if isinstance(template, list):
        template = {one["name"]: one["template"] for one in template}.get("default")
    return template or None


def _text(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _refuse(reason: str) -> None:
    raise ValueError(reason)
