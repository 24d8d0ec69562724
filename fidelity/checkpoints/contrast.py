"""Two checkpoints side by side: in what a quantized copy differs from its baseline, by their files alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fidelity.checkpoints.anatomy import Anatomy, dissect
from fidelity.checkpoints.config import ModelJson, read_config, text_of
from fidelity.checkpoints.generation import end_token_ids, proposed_sampling
from fidelity.checkpoints.source import chat_template
from fidelity.checkpoints.tensors import read_weights
from fidelity.checkpoints.tokenizer import StoredTokenizer, read_tokenizer

NOT_OF_THE_MODEL = {
    *(
        "transformers_version",
        "_name_or_path",
        "quantization_config",
        "compression_config",
        "quantization",
        "use_cache",
    ),
    *("architectures", "dtype", "torch_dtype", "eos_token_id", "bos_token_id", "pad_token_id", "text_config"),
    *("auto_map", "_attn_implementation", "pretraining_tp", "initializer_range", "unsloth_version", "unsloth_fixed"),
}
"""Keys of config.json that change no output, or are compared by themselves."""
MOST = 8
"""Names that a line lists."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One thing that differs."""

    what: str
    baseline: str
    other: str
    inconclusive: bool
    """Whether drift can't be told apart from it, so that a fail of a gate would be inconclusive."""


def contrast(baseline: Path, other: Path) -> tuple[Contrast, ...]:
    """All that differs between two checkpoints, by their files alone.

    Raises:
        ConfigError: A config.json or a header is damaged.
    """
    differences = [*_architecture(baseline, other), *_tokenizers(baseline, other), *_templates(baseline, other)]
    return (*differences, *_answers(baseline, other), *_layers(baseline, other))


def _architecture(baseline: Path, other: Path) -> Iterator[Contrast]:
    anatomies = dissect(baseline), dissect(other)
    yield from _differing("architecture", *(one.architecture for one in anatomies))
    yield from _differing("compute type", *(one.dtype for one in anatomies))
    if baseline.is_file() or other.is_file():
        return
    first, second = (_of_the_model(read_config(folder)) for folder in (baseline, other))
    for key in sorted({*first, *second}):
        if first.get(key) != second.get(key):
            yield Contrast(f"config: {key}", _short(first.get(key)), _short(second.get(key)), True)


def _of_the_model(config: ModelJson) -> ModelJson:
    merged = {**config, **text_of(config)}
    return {key: value for key, value in merged.items() if key not in NOT_OF_THE_MODEL}


def _tokenizers(baseline: Path, other: Path) -> Iterator[Contrast]:
    first, second = read_tokenizer(baseline), read_tokenizer(other)
    if first is None or second is None:
        yield from _differing("tokenizer", *("none" if one is None else "tokenizer.json" for one in (first, second)))
        return
    alone = _only(first, second), _only(second, first)
    if any(alone):
        yield Contrast("tokens of its own", _listed(alone[0]), _listed(alone[1]), True)
    moved = [token for token, number in first.vocabulary.items() if second.vocabulary.get(token, number) != number]
    if moved:
        yield Contrast(f"ids of {len(moved)} tokens", _ids(first, moved), _ids(second, moved), True)
    for words, section in first.sections.items():
        if section != second.sections[words]:
            yield Contrast(f"tokenizer: {words}", _short(section), _short(second.sections[words]), True)


def _ids(tokenizer: StoredTokenizer, tokens: list[str]) -> str:
    return ", ".join(f"{token!r} {tokenizer.vocabulary[token]}" for token in tokens[:MOST])


def _only(one: StoredTokenizer, other: StoredTokenizer) -> list[str]:
    return [token for token in one.vocabulary if token not in other.vocabulary]


def _templates(baseline: Path, other: Path) -> Iterator[Contrast]:
    first, second = chat_template(baseline), chat_template(other)
    if first == second:
        return
    if isinstance(first, str) and isinstance(second, str):
        lines = zip_longest(first.splitlines(), second.splitlines())
        number, (one, two) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
        yield Contrast(f"chat template, line {number}", _short(_around(one, two)), _short(_around(two, one)), True)
        return
    yield Contrast("chat template", _short(first), _short(second), True)


def _around(line: str | None, other: str | None) -> str | None:
    """A line from a little before the first character that differs: templates are often one long line."""
    if line is None:
        return None
    same = next((n for n, (a, b) in enumerate(zip(line, other or "", strict=False)) if a != b), len(other or ""))
    begin = max(0, same - 10)
    return ("..." if begin else "") + line[begin:]


def _answers(baseline: Path, other: Path) -> Iterator[Contrast]:
    """Where an answer ends, and how it is sampled if nobody says."""
    ends = [end_token_ids(folder) for folder in (baseline, other)]
    yield from _differing("end tokens", *(_listed(list(map(str, one or ()))) for one in ends))
    first, second = proposed_sampling(baseline), proposed_sampling(other)
    for key in sorted({*first, *second}):
        yield from _differing(f"generation config: {key}", first.get(key), second.get(key))


def _layers(baseline: Path, other: Path) -> Iterator[Contrast]:
    first, second = _schemes(dissect(baseline)), _schemes(dissect(other))
    changes: dict[tuple[str, str], list[str]] = {}
    for name in sorted({*first, *second}):
        pair = first.get(name, "none"), second.get(name, "none")
        if pair[0] != pair[1]:
            changes.setdefault(pair, []).append(name.rpartition("*.")[2])
    for pair, names in changes.items():
        yield Contrast(f"layers: {_listed(list(dict.fromkeys(names)))}", *pair, inconclusive="none" in pair)
    if first == second and not baseline.is_file() and not other.is_file():
        tensors = [
            {name: (tensor.dtype, tensor.shape) for name, tensor in read_weights(folder).tensors.items()}
            for folder in (baseline, other)
        ]
        if tensors[0] == tensors[1]:
            yield Contrast("layers", "these", "the same types and shapes: nothing is quantized otherwise", False)


def _schemes(anatomy: Anatomy) -> dict[str, str]:
    """The formats of all layers of a name, in every block."""
    formats_of: dict[str, set[str]] = {}
    for stored in anatomy.parts:
        for name in stored.names:
            formats_of.setdefault(name, set()).add(stored.format)
    return {name: " and ".join(sorted(formats)) for name, formats in formats_of.items()}


def _differing(what: str, first: Any, second: Any) -> Iterator[Contrast]:
    if first != second:
        yield Contrast(what, _short(first), _short(second), True)


def _listed(names: list[str]) -> str:
    few = ", ".join(map(repr, names[:MOST])).replace("'", "") if names else "none"
    return few if len(names) <= MOST else f"{few} and {len(names) - MOST} more"


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 70 else f"{text[:67]}..."
