"""Secrets, which must not be written: recognized by the name of their key, by their form, or by their value."""

import hashlib
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from fidelity.outside.environment import picks_kernels

SHORTEST = 8
"""Shorter values are placeholders for local servers (`EMPTY`, `none`), which can occur in any text."""
HIDDEN = "[the key]"
SECRET_WORDS = frozenset(
    {"secret", "secrets", "password", "passwords", "passwd", "passphrase", "passcode", "pwd", "credential"}
    | {"credentials", "authorization", "bearer", "cookie", "apikey", "apikeys", "auth", "jwt", "webhook"}
)
"""The value of a key with one of these words in its name is a secret."""
LAST_WORDS = frozenset({"key", "token", "pat", "pass"})
"""The value of a key that ends with one of these words is a secret too."""
PLURALS = {"keys": "key", "tokens": "token"}
OF_ACCESS = frozenset(
    {"api", "access", "auth", "hf", "hub", "refresh", "session", "private", "client", "user", "signing", "service"}
)
"""Words before `keys` or `tokens` that are about access: `api_keys`, but not `max_tokens` or `stop_tokens`."""
FORMS_OF_VALUES = frozenset({"value", "values", "pem", "base", "b", "string", "data", "header", "raw", "text"})
"""Words that can follow: `private_key_pem`, `TOKEN_B64`."""
RUN_TOGETHER = re.compile(
    r"(?:api|access|auth|hf|hub|secret|private|session|refresh|client)(?:key|token)s?$|passw(?:or)?ds?$|secrets?$"
)
"""Names without a separator: `hftoken`, `PGPASSWORD`."""
OF_A_VOCABULARY = frozenset(
    {"eos", "bos", "pad", "unk", "sep", "cls", "mask", "end", "begin", "start", "stop", "image", "audio", "video"}
    | {"prompt", "per", "next", "first", "last", "special", "added"}
)
"""With one of these words before `token`, the key is about a model's vocabulary."""
KNOWN_FORMS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}"
    r"|A(?:KIA|SIA)[0-9A-Z]{16}|xox[abpr]-[\w-]{10,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|nvapi-[\w-]{20,}"
    r"|[sr]k_(?:live|test)_\w{16,}|gsk_\w{20,}|xai-\w{20,}|r8_\w{20,}|pplx-\w{20,}|csk-\w{20,}|fw_\w{20,}"
    r"|tgp_v1_[\w-]{20,}|dop_v1_\w{20,}|npm_\w{30,}|pypi-[\w-]{30,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"
    r"|(?:Bearer|Basic)\s+[\w+/.~-]{16,}=*)"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)
"""The forms of keys of Hugging Face, OpenAI, Anthropic, GitHub, GitLab, AWS, Slack, Google, NVIDIA, Stripe, Groq, xAI,
Replicate, Perplexity, Cerebras, Fireworks, Together, DigitalOcean, npm and PyPI; JSON web tokens, values of
`Authorization` headers, user and password in a URL, and private keys."""
ASSIGNED = re.compile(
    r"(?P<name>[\w.-]*[A-Za-z][\w.-]*)(?P<sign>[\"']?\s*[=:]\s*[\"']?|(?<=[\w])\s+)(?P<value>[^\s&,;\"'}\])]{8,})"
)
"""`name=value`, `name: value`, and in command lines `--name value`."""
SETTINGS = frozenset({"engine", "options", "request"})
"""Keys of an engine's settings, where texts can be command lines, headers and URLs."""
ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9a-fA-F])")


def names_secret(name: str) -> bool:
    """Whether a name is a secret's: `HF_TOKEN`, `api-keys`, `awsSecretKey`, `hftoken`; not `eos_token` or `PWD`."""
    if name == "PWD":  # a shell's variable for its working directory
        return False
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    if SECRET_WORDS & set(words) or words[-2:] == ["connection", "string"]:
        return True
    while len(words) > 1 and words[-1] in FORMS_OF_VALUES:
        words.pop()
    if not words:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in PLURALS:
        return before in OF_ACCESS
    return bool(RUN_TOGETHER.search(last)) or (last in LAST_WORDS and before not in OF_A_VOCABULARY)


def fingerprint(secret: str) -> str:
    """The fingerprint that replaces a secret on disk. The fingerprint of a fingerprint is itself."""
    if re.fullmatch(r"sha256:[0-9a-f]{16}", secret):
        return secret
    return f"sha256:{hashlib.sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def masked(data: Any, name: str = "") -> Any:
    """JSON data with secrets, recognized by name or form, replaced by fingerprints.

    Everything under a secret name is one. In a mapping called `env` all values are replaced except those of variables
    that select kernels.
    """
    return _Walk(fingerprint).replaced(data, name)


class _Walk:
    """JSON data with each secret in it replaced."""

    def __init__(self, replace: Callable[[str], str], *, env: bool = True) -> None:
        self._replace = replace
        self._env = env

    def replaced(self, data: Any, name: str = "", *, secret: bool = False, settings: bool = False) -> Any:
        """The data under a name.

        Args:
            data: A JSON document or a part of one.
            name: Its key in the mapping around it.
            secret: Whether it is under a secret name.
            settings: Whether it is in an engine's settings.
        """
        secret = secret or names_secret(name)
        settings = settings or name in SETTINGS
        match data:
            case Mapping() if name == "env" and self._env:
                return {key: self._of_env(key, value) for key, value in data.items()}
            case Mapping():
                header = settings and names_secret(str(data.get("name", "")))
                return {
                    self._text(key, settings=False) if isinstance(key, str) else key: self.replaced(
                        value, str(key), secret=secret or (header and key == "value"), settings=settings
                    )
                    for key, value in data.items()
                }
            case list() | tuple():
                after = [False, *(settings and _announces(one, len(data)) for one in data)]
                return [
                    self.replaced(value, secret=secret or announced, settings=settings)
                    for value, announced in zip(data, after, strict=False)
                ]
            case str() if secret:
                return self._replace(data) if data else data
            case str():
                return self._text(data, settings=settings)
            case int() | float() if secret and len(str(data)) >= SHORTEST:
                return self._replace(str(data))
        return data

    def _of_env(self, key: str, value: Any) -> Any:
        if picks_kernels(key):
            return self.replaced(value)
        return value if value in (None, "") else self._replace(str(value))

    def _text(self, text: str, *, settings: bool) -> str:
        text = KNOWN_FORMS.sub(lambda match: self._replace(match[0]), text)
        return self._assignments(text) if settings else text

    def _assignments(self, text: str) -> str:
        written, place = [], 0
        while match := ASSIGNED.search(text, place):
            spaced = not match["sign"].strip()
            secret = names_secret(match["name"]) and (match["name"].startswith("--") or not spaced)
            end = match.end("value" if secret else "sign")  # the value of another name can hold an assignment itself
            written += (
                [text[place : match.start("value")], self._replace(match["value"])] if secret else [text[place:end]]
            )
            place = end
        return "".join([*written, text[place:]])


def _announces(word: Any, length: int) -> bool:
    """Whether the next value of a list is a secret: after `--api-key`, or in `["Authorization", ...]`."""
    return isinstance(word, str) and names_secret(word) and (word.startswith("-") or length == 2)


def is_secret(option: str, value: Any) -> bool:
    """Whether an engine's option is or holds a secret, by its name or by a known form."""
    option_alone = {"options": {option: value}}
    return bool(masked(option_alone) != option_alone)


class Secrets:
    """Values to hide in everything that is logged, stored or shown."""

    def __init__(self, values: Iterable[str]) -> None:
        long = {form for value in values for form in (value, value.strip()) if len(form) >= SHORTEST}
        forms = {form for value in long for form in (value, json.dumps(value)[1:-1], value.replace("/", r"\/"))}
        forms |= {form for value in long for form in (quote(value, safe=""), html.escape(value))}
        self._forms = sorted(forms, key=len, reverse=True)

    @classmethod
    def in_mappings(cls, *mappings: Mapping[str, Any]) -> "Secrets":
        """The values under secret names and those of known forms, at any depth."""
        values: list[str] = []

        def remember(value: str) -> str:
            # A header's key is printed without "Bearer", a URL's without its user, a private key line by line.
            values.extend([value, *(piece for piece in re.split(r"\s+|:", value) if not piece.endswith("-"))])
            return value

        for mapping in mappings:
            _Walk(remember, env=False).replaced(mapping)
        return cls(values)

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


def _written_out(match: "re.Match[bytes]") -> bytes:
    character = bytes([int(match[2], 16)])
    return match[0] if character in b'"\\\x7f' else match[1] + character
