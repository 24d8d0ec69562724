"""Secrets, which must not be written: recognized by the name of their key, by their form, or by their value."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from fidelity.outside.environment import picks_kernels

SHORTEST = 8
"""Shorter values are placeholders for local servers (`EMPTY`, `none`), which can occur in any text."""
HIDDEN = "[the key]"
SECRET_WORDS = frozenset(
    {"secret", "password", "passwd", "passphrase", "pwd", "credential", "credentials", "authorization", "bearer"}
    | {"cookie", "apikey", "auth"}
)
"""The value of a key with one of these words in its name is a secret."""
LAST_WORDS = frozenset({"key", "token", "pat"})
"""The value of a key that ends with one of these words is a secret too."""
OF_A_VOCABULARY = frozenset(
    {"eos", "bos", "pad", "unk", "sep", "cls", "mask", "end", "begin", "start", "stop", "image", "audio", "video"}
    | {"prompt", "per", "next", "first", "last", "special", "added"}
)
"""With one of these words before `token`, the key is about a model's vocabulary."""
KNOWN_FORMS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}"
    r"|AKIA[0-9A-Z]{16}|xox[abpr]-[\w-]{10,}|AIza[\w-]{35}|nvapi-[\w-]{20,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
)
"""The forms of keys of Hugging Face, OpenAI, GitHub, GitLab, AWS, Slack, Google and NVIDIA, and of JSON web tokens."""
ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9a-fA-F])")


def names_secret(name: str) -> bool:
    """Whether a name belongs to a secret: `HF_TOKEN`, `api-key`, `awsSecretAccessKey`; not `eos_token` or `PWD`."""
    if name == "PWD":  # a shell's variable for its working directory
        return False
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    if SECRET_WORDS & set(words):
        return True
    return bool(words) and words[-1] in LAST_WORDS and not (len(words) > 1 and words[-2] in OF_A_VOCABULARY)


def fingerprint(secret: str) -> str:
    """The fingerprint that replaces a secret on disk. The fingerprint of a fingerprint is itself."""
    if re.fullmatch(r"sha256:[0-9a-f]{16}", secret):
        return secret
    return f"sha256:{hashlib.sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def masked(data: Any, name: str = "") -> Any:
    """JSON data with secrets, recognized by name or form, replaced by fingerprints.

    In a mapping called `env` all values are replaced except those of variables that select kernels.
    """
    match data:
        case dict() if name == "env":
            return {key: masked(value) if picks_kernels(key) else _fingerprinted(value) for key, value in data.items()}
        case dict():
            return {key: masked(value, str(key)) for key, value in data.items()}
        case list() | tuple():
            return [masked(value, name) for value in data]
        case str() if data and names_secret(name):
            return fingerprint(data)
        case str():
            return KNOWN_FORMS.sub(lambda match: fingerprint(match[0]), data)
    return data


class Secrets:
    """Values to hide in everything that is logged, stored or shown."""

    def __init__(self, values: Iterable[str]) -> None:
        long = {value for value in values if len(value) >= SHORTEST}
        forms = {form for value in long for form in (value, json.dumps(value)[1:-1], value.replace("/", r"\/"))}
        forms |= {quote(value, safe="") for value in long}
        self._forms = sorted(forms, key=len, reverse=True)

    @classmethod
    def in_mappings(cls, *mappings: Mapping[str, Any]) -> "Secrets":
        """The values under secret names, at any depth."""
        return cls(value for mapping in mappings for value in _values(mapping))

    def __or__(self, other: "Secrets") -> "Secrets":
        return Secrets([*self._forms, *other._forms])

    def __bool__(self) -> bool:
        return bool(self._forms)

    def hide(self, text: str) -> str:
        """The text without any of them."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def hide_in(self, body: bytes) -> bytes:
        r"""The same of bytes, those included that JSON wrote as `\u0073`: such escapes are written out."""
        if not self._forms:
            return body
        if b"\\u00" in body:
            body = ESCAPED.sub(_written_out, body)
        for form in self._forms:
            body = body.replace(form.encode("utf-8", "surrogatepass"), HIDDEN.encode())
        return body


def _fingerprinted(value: Any) -> Any:
    return value if value in (None, "") else fingerprint(str(value))


def _values(data: Any, name: str = "") -> Iterator[str]:
    match data:
        case Mapping():
            for key, value in data.items():
                yield from _values(value, str(key))
        case list() | tuple():
            for value in data:
                yield from _values(value, name)
        case str() if names_secret(name):
            yield data
        case str():
            yield from KNOWN_FORMS.findall(data)


def _written_out(match: "re.Match[bytes]") -> bytes:
    character = bytes([int(match[2], 16)])
    return match[0] if character in b'"\\\x7f' else match[1] + character
