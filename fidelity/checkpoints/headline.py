"""A checkpoint's format in a few words, by most of its weights, and in full, by shares."""

import re
from collections import Counter
from collections.abc import Iterable

from fidelity.checkpoints.kv_cache import KVCache
from fidelity.checkpoints.resolution import Resolution, Resolved
from fidelity.checkpoints.schemes import NOT_KNOWN, Scheme

MULTIPLY = ("attention", "mlp", "experts")
"""The kinds of layers that determine the format."""
WORDS = {"mlp": "MLP"}
MINOR = 0.1
"""A second scheme with a smaller share of the quantized weights doesn't make a checkpoint mixed."""


def headline(resolution: Resolution, cache: KVCache | None) -> str | None:
    """`W4A16-INT4 g128`, `W4A16-MXFP4 g32 (experts)`, `mixed: NVFP4 g16 (MLP), FP8 (attention)`; None if empty."""
    if resolution.faults:
        return f"{NOT_KNOWN} (its files contradict each other)"
    if resolution.unknown:
        return f"{NOT_KNOWN} ({resolution.unknown[0]})"
    if not resolution.layers:
        return None
    words = _weights(resolution)
    if cache and cache.scales is not None:
        words += f", KV cache {cache.dtype}" + (" (calibrated)" if cache.scales == "calibrated" else "")
    return words


def shares(resolution: Resolution) -> tuple[tuple[str, float], ...]:
    """Each scheme with its share of all weights, largest first; empty if a layout is unknown."""
    total = resolution.parameters
    if not total:
        return ()
    counted: Counter[str] = Counter()
    for one in resolution.layers:
        counted[one.scheme.full if one.scheme else NOT_KNOWN] += one.parameters or 0
    return tuple((scheme, count / total) for scheme, count in counted.most_common() if count)


def composition(parts: Iterable[tuple[str, float]]) -> str:
    """`78% W4A16-INT4 g128, 20% BF16, 2% W8A16-INT8`."""
    return ", ".join(f"{100 * share:.3g}% {scheme}" for scheme, share in parts)


def ran_otherwise(stored: str, ran_as: str) -> bool:
    """Whether the scheme that ran differs from the headline's; False if unknown."""
    if stored.startswith(("mixed", NOT_KNOWN)) or re.match(r"\d+-bit", stored):
        return False
    own = re.split(r" \(|,| block", stored.removeprefix("GGUF "))[0]
    ran = re.split(r" \(|,| block", ran_as)[0]
    ran = re.sub(r"^(int|fp)(\d)wo", lambda word: f"W{word[2]}A16-{word[1].upper()}{word[2]}", ran)
    ran = re.sub(r"^8da(\d)w(f?)", lambda word: f"W{word[1]}A8-{'FP' if word[2] else 'INT'}{word[1]}", ran)
    return ran not in (own, own.partition(" g")[0])


def _weights(resolution: Resolution) -> str:
    matrices = [one for one in resolution.layers if one.layer.kind in (*MULTIPLY, "other") and one.shape]
    quantized, plain = Counter[Scheme](), Counter[str]()
    for one in resolution.layers:
        if one.scheme and one.scheme.is_float:
            plain[one.scheme.full] += one.parameters or 0
    for one in matrices or resolution.layers:
        if one.scheme and not one.scheme.is_float:
            quantized[one.scheme] += one.parameters or 0
    family = resolution.family.name if resolution.family else ""
    if family == "gguf":
        types = [(one.scheme, one.parameters or 0) for one in resolution.layers if one.scheme]
        return f"GGUF {_most(types)}"
    if not quantized:
        return plain.most_common(1)[0][0] if plain else NOT_KNOWN
    share = quantized.total() / (resolution.parameters or 1)
    main, *others = [scheme for scheme, _ in quantized.most_common()]
    others = [scheme for scheme in others if scheme.full != main.full]
    major = [scheme for scheme in others if quantized[scheme] >= MINOR * quantized.total()]
    if major:
        listed = ", ".join(_with_kinds(scheme, matrices, quantized, resolution) for scheme in (main, *major))
        mostly = f"; most of the weights are {plain.most_common(1)[0][0]}" if share < 0.5 and plain else ""
        return f"mixed: {listed}{mostly}"
    only = _only_kinds(matrices)
    if share < 0.5 and plain:
        most = plain.most_common(1)[0][0]
        if only:
            return f"{main.bits}-bit {' and '.join(only)} only: most of the weights are {most}"
        return f"{_named(main, family)} ({100 * share:.2g}% of the weights; most are {most})"
    return _named(main, *([family] if family else []), *only)


def _named(scheme: Scheme, *more: str) -> str:
    """`W4A16-INT4 g32 (awq)`, `W8A8-FP8, 2:4 sparse`."""
    weights, comma, sparse = scheme.full.partition(", ")
    words = ", ".join(word for word in more if word)
    return weights + (f" ({words})" if words else "") + comma + sparse


def _only_kinds(matrices: list[Resolved]) -> list[str]:
    """The kinds of quantized layers, if another kind isn't quantized at all."""
    kinds = dict.fromkeys(one.layer.kind for one in matrices if one.layer.kind in MULTIPLY)
    quantized = {one.layer.kind for one in matrices if one.scheme and not one.scheme.is_float}
    return [WORDS.get(kind, kind) for kind in kinds if kind in quantized] if set(kinds) - quantized else []


def _with_kinds(scheme: Scheme, matrices: list[Resolved], quantized: Counter[Scheme], resolution: Resolution) -> str:
    """A scheme with the kinds of layers that only have this scheme, else with its share of all weights."""
    kinds: dict[str, set[str]] = {}
    for one in matrices:
        if one.scheme and not one.scheme.is_float:
            kinds.setdefault(one.layer.kind, set()).add(one.scheme.full)
    own = [kind for kind, schemes in kinds.items() if scheme.full in schemes]
    if all(kinds[kind] == {scheme.full} for kind in own):
        return f"{scheme.label} ({', '.join(WORDS.get(kind, kind) for kind in own)})"
    return f"{scheme.label} ({100 * quantized[scheme] / (resolution.parameters or 1):.2g}%)"


def _most(types: list[tuple[Scheme, int]]) -> str:
    counted: Counter[str] = Counter()
    for scheme, parameters in types:
        counted[scheme.label] += parameters
    names = {"FP32": "F32", "FP16": "F16"}
    main = counted.most_common(1)[0][0]
    return names.get(main, main)
