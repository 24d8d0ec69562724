"""Differences between two runs other than the compared one, which can't be separated from drift."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from fidelity.config import Compares
from fidelity.gate import conditions
from fidelity.gate.difference import Difference, alike, compared, difference
from fidelity.gate.options import option_differences
from fidelity.gate.quantization import is_quantized, real_format
from fidelity.records import PromptTokens
from fidelity.store.manifests import RunManifest

MOST_TOKENS = 8
"""The maximum number of tokens named in a sentence."""


def differences(
    baseline: RunManifest,
    other: RunManifest,
    prompts: PromptTokens | None = None,
    *,
    declared: Collection[Compares] = (),
) -> tuple[Difference, ...]:
    """Return all known differences between two runs except their weights and number format.

    An unknown value is not a difference: recordings can lack it, and older versions recorded less.

    Args:
        baseline: The baseline's manifest.
        other: The manifest of a control or a candidate.
        prompts: How both models read the prompts, if known.
        declared: The kinds of difference that the comparison is about; these are marked as declared. Without
            `quantization`, weights and formats are compared too.
    """
    runs = baseline, other
    differing = [*_engine(runs), *_spread(runs), *_numbers(runs), *_template(runs, prompts), *_context(runs)]
    differing += [*_environment(runs), *option_differences(*runs)]
    differing += _weights(runs) if "quantization" not in declared else ()
    return tuple(
        replace(d, declared="provider" in declared or not set(d.kinds).isdisjoint(declared)) for d in differing
    )


def in_words(differing: Collection[Difference]) -> str:
    """`mode is eager (the baseline's: compiled) and its hardware is ...`."""
    return " and its ".join(one.sentence for one in differing)


Runs = tuple[RunManifest, RunManifest]
"""The manifests of the baseline and of the other run."""


def _both(runs: Runs, read: Callable[[RunManifest], Any]) -> tuple[Any, Any]:
    return read(runs[0]), read(runs[1])


def _revealed(runs: Runs, key: str) -> tuple[Any, Any]:
    """Differences in what both engines report."""
    return _both(runs, lambda manifest: getattr(manifest.engine, key))


def _engine(runs: Runs) -> Iterator[Difference]:
    kinds = _both(runs, conditions.kind)
    yield from compared("engine", kinds, "engine")
    if alike(*kinds):
        yield from compared("version", _revealed(runs, "version"), "engine")
    yield from compared("mode", _revealed(runs, "mode"), "engine", "kernels")
    yield from compared("batching", _both(runs, conditions.batching), "engine")
    yield from compared("speculative decoding", _both(runs, conditions.proposals), "speculative")


def _spread(runs: Runs) -> Iterator[Difference]:
    """Differences in hardware and in the number of devices."""
    yield from compared("hardware", _revealed(runs, "device"), "hardware")
    yield from compared(
        "server", _both(runs, lambda manifest: manifest.identity.get("at")), "provider", "hardware", "engine"
    )
    for direction in ("tensor", "pipeline"):
        sizes = _both(runs, partial(conditions.parallel, direction=direction))
        yield from compared(f"{direction}-parallel size", sizes, "hardware")


def _numbers(runs: Runs) -> Iterator[Difference]:
    """Differences in compute type and attention. A backend that follows from another difference is not counted."""
    dtypes, caches = _both(runs, conditions.dtype), _both(runs, conditions.kv_cache)
    yield from compared("compute type", dtypes, "kernels", "engine")
    if not alike(*caches) and not conditions.kv_cache_follows_from_the_checkpoint(runs[1]):
        yield difference("KV cache", _both(runs, conditions.kv_cache_format), "kv_cache")
    same_engine = all(alike(*_revealed(runs, key)) for key in ("kind", "version", "device"))
    if same_engine and alike(*dtypes) and alike(*caches):
        yield from compared("attention backend", _both(runs, conditions.attention), "kernels", "engine")


def _template(runs: Runs, prompts: PromptTokens | None) -> Iterator[Difference]:
    """Differences in chat template and end tokens. Templates that give the same prompts are equal."""
    if prompts is None or not prompts.same:
        yield from compared("chat template", _revealed(runs, "chat_template"), "template", "finetune")
        yield from compared("number of BOS tokens", _revealed(runs, "bos_tokens"), "template", "finetune")
    if prompts and prompts.differing:
        yield difference("prompt", _prompts_in_words(prompts), "template", "finetune")
    baseline, other = _revealed(runs, "end_tokens")
    if baseline and other and _types(baseline) == _types(other) and set(baseline) != set(other):
        yield difference("set of end tokens", (_tokens(baseline), _tokens(other)), "template", "finetune")
    yield from compared("generation config", _revealed(runs, "generation_config"), "template", "finetune")


def _prompts_in_words(prompts: PromptTokens) -> tuple[str, str]:
    before, after = prompts.baseline_tokens, prompts.other_tokens
    counts = f"{after} tokens" if before != after else f"{after} other tokens"
    return f"{before} tokens", f"{counts} for {prompts.example}, one of {prompts.differing} that differ"


def _context(runs: Runs) -> Iterator[Difference]:
    """A difference in context length, if it is short enough to have cut an answer."""
    sizes, taken = _revealed(runs, "context"), _both(runs, conditions.longest_prompt_and_answer)
    if None in sizes:
        return
    stated = runs[1].config.engine.kind == "recorded"  # stated by the user, in `ran:`
    if stated if None in taken else min(sizes) < max(taken):
        yield from compared("context in tokens", sizes, "engine")


def _environment(runs: Runs) -> Iterator[Difference]:
    variables = _both(runs, conditions.environment)
    kinds = _both(runs, conditions.kind)
    if variables[0] is None or variables[1] is None or kinds[0] != kinds[1]:
        return
    for name in sorted({*variables[0], *variables[1]}):
        values = variables[0].get(name), variables[1].get(name)
        if values[0] != values[1]:
            yield difference(name, values, "kernels", "engine")


def _weights(runs: Runs) -> Iterator[Difference]:
    """Differences in quantization or weights, if the comparison is not about these."""
    baseline, other = runs
    if is_quantized(other) and not is_quantized(baseline):
        yield difference("format", (real_format(baseline), real_format(other) or other.label), "quantization")
        return
    hashes = conditions.weights_of(runs)
    yield from compared("hash of the weights", (hashes[0] and hashes[0][:12], hashes[1] and hashes[1][:12]), "finetune")


def _types(tokens: Collection[Any]) -> set[type]:
    return {type(token) for token in tokens}


def _tokens(tokens: Collection[Any]) -> str:
    few = ", ".join(map(str, sorted(tokens)[:MOST_TOKENS]))
    return few if len(tokens) <= MOST_TOKENS else f"{few} and {len(tokens) - MOST_TOKENS} more"
