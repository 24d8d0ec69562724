"""Checking that a candidate is quantized as stated, from its options, checkpoint, layers and label."""

from collections.abc import Collection

from fidelity.checkpoints import NOT_KNOWN, ran_otherwise
from fidelity.config import Compares, RecordedEngine
from fidelity.gate.conditions import is_float, kv_cache, options_of, weights_of
from fidelity.gate.labels import claim_of, contradict
from fidelity.gate.options import QUANTIZING
from fidelity.records import Sameness
from fidelity.store.manifests import RunManifest

CHANGED: dict[Compares, str] = {
    "quantization": "Quantization",
    "kv_cache": "The KV cache's format",
    "finetune": "Fine-tuning",
}
"""Kinds of comparison in which equal outputs mean that nothing changed, with their names in messages."""


def asked_to_quantize(manifest: RunManifest) -> bool:
    """Whether the engine was configured to quantize while loading."""
    torchao = getattr(manifest.config.engine, "torchao", None)
    return torchao is not None or any(options_of(manifest).get(name) for name in QUANTIZING)


def is_quantized(manifest: RunManifest) -> bool | None:
    """Whether a run should be quantized, from its options, checkpoint or label; None if none states it."""
    stored = manifest.checkpoint.format
    if stored is not None and stored.startswith(NOT_KNOWN):
        stored = None
    if asked_to_quantize(manifest) or (stored is not None and not is_float(stored)):
        return True
    claim = claim_of(manifest.label)
    if claim and claim.quantized:
        return True
    return None if stored is None and manifest.label is None else False


def real_format(manifest: RunManifest) -> str | None:
    """The checkpoint's format, the format that the kernels ran, and the KV cache, as far as known."""
    stored, ran = manifest.checkpoint.format, manifest.engine.ran_as
    formats = [form] if (form := stored or ran) else []
    if stored and ran and (ran_otherwise(stored, ran) or stored.startswith(NOT_KNOWN)):
        formats.append(f"ran as {ran}")
    return ", ".join([*formats, *_cache_format(manifest)]) or None


def format_that_ran(manifest: RunManifest) -> str | None:
    """The format that the kernels ran, else the checkpoint's or the label, and the KV cache; None if none is known.

    A BF16 checkpoint that is quantized while loading ran as W8A8-FP8, so copies of all models with this format agree.
    """
    stored = manifest.checkpoint.format
    known = stored if stored and not stored.startswith(NOT_KNOWN) else None
    ran = manifest.engine.ran_as or known or manifest.label or stored
    return ", ".join([ran, *_cache_format(manifest)]) if ran else None


def _cache_format(manifest: RunManifest) -> list[str]:
    """The KV cache's format where it is neither computed as usual nor stated by the checkpoint."""
    cache, stated = kv_cache(manifest), (manifest.checkpoint.kv_cache or "").lower()
    unusual = cache not in (None, "as computed") and not (stated and str(cache).startswith(stated))
    return [f"KV cache {cache}"] if unusual else []


def mislabeled(manifest: RunManifest) -> str:
    """Why a run's label is wrong, with what actually ran; empty if nothing contradicts it.

    A label can name the checkpoint's format or the format that the kernels ran.
    """
    claim = claim_of(manifest.label)
    if claim is None:
        return ""
    known = [form for form in (manifest.checkpoint.format, manifest.engine.ran_as) if form]
    layers = manifest.engine.quantized_layers
    if layers is not None and claim.quantized != bool(layers):
        known.append(f"{layers} quantized layers")
    elif not known or not all(contradict(claim, claim_of(form)) for form in known):
        return ""
    return f"{manifest.name} is labeled {manifest.label!r}, but what ran is {', '.join(dict.fromkeys(known))}"


def why_not_engaged(
    candidate: RunManifest, baseline: RunManifest, same: Sameness, declared: Collection[Compares]
) -> str:
    """Why the candidate is not proven to be what is compared; empty if it is, or if no proof is needed.

    Comparisons of engines, kernels or hardware can have equal weights and equal outputs.
    """
    if _is_same_recording(candidate, baseline):
        return f"The candidate is the baseline: {candidate.name} is read from the baseline's own file."
    subject = next((kind for kind in CHANGED if kind in declared), None)
    if subject is None and is_quantized(candidate) and not is_quantized(baseline):
        subject = "quantization"  # a copy that isn't declared as one is still to be one
    if subject is None:
        return ""
    word = CHANGED[subject]
    if subject == "quantization" and is_quantized(candidate) and candidate.engine.quantized_layers == 0:
        too = " Its weights are the baseline's." if _same_weights(baseline, candidate) else ""
        return f"{word} was not active: the engine reports no quantized layer.{too}"
    if subject != "kv_cache" and _is_the_baseline(candidate, baseline):
        label = f" (labeled {candidate.label!r})" if candidate.label else ""
        return f"The candidate is the baseline: {candidate.name}{label} has its weights, and nothing quantizes them."
    if same.texts and same.token_ids is not False and same.logprobs:
        return f"{word} was not active: every text, token id and logprob equals the baseline's."
    if same.texts and same.token_ids is not False and same.logprobs is None:
        what = f"{word[0].lower()}{word[1:]}"
        return f"Unknown whether {what} was active: every text equals the baseline's, and there are no logprobs."
    return _not_quantized(candidate) if subject == "quantization" else ""


def _is_same_recording(candidate: RunManifest, baseline: RunManifest) -> bool:
    engines = candidate.config.engine, baseline.config.engine
    recorded = [engine.path.resolve() for engine in engines if isinstance(engine, RecordedEngine)]
    return len(recorded) == 2 and recorded[0] == recorded[1]


def why_not_of_a_copy(candidate: RunManifest, baseline: RunManifest, declared: Collection[Compares]) -> str:
    """What keeps a pass from being about a quantized copy of an unquantized model; empty where nothing does."""
    if "quantization" not in declared:
        return ""
    if is_quantized(baseline):
        return f"The baseline is quantized itself ({real_format(baseline) or baseline.label})."
    if is_quantized(candidate) or kv_cache(candidate) not in (None, "as computed"):
        return ""
    form = real_format(candidate) or candidate.label
    if form is None:
        return "It is unknown whether the candidate is quantized (label:, ran:)."
    return f"The candidate is not quantized ({form})."


def _is_the_baseline(candidate: RunManifest, baseline: RunManifest) -> bool:
    """Whether the weights are equal, and nothing quantizes them or the KV cache."""
    caches = kv_cache(candidate), kv_cache(baseline)
    another_cache = None not in caches and caches[0] != caches[1]
    return _same_weights(baseline, candidate) and not asked_to_quantize(candidate) and not another_cache


def _not_quantized(candidate: RunManifest) -> str:
    """Why a candidate is not a quantized copy: its weights are known, and nothing quantizes them; empty otherwise.

    Servers don't report layers, but `vllm-serve` has its checkpoint's files.
    """
    layers, read = candidate.engine.quantized_layers, candidate.checkpoint.weights is not None
    seen = candidate.checkpoint.bytes and (layers == 0 or (layers is None and read))
    if not seen or is_quantized(candidate) is not False or kv_cache(candidate) not in (None, "as computed"):
        return ""
    return (
        f"The candidate is not quantized: its checkpoint is {candidate.checkpoint.format}, and nothing quantizes it; "
        f"if the comparison is about something else, declare it (compares: finetune, engine, ...)."
    )


def _same_weights(baseline: RunManifest, candidate: RunManifest) -> bool:
    """Whether both checkpoints are known to have the same weights. Older runs only have a hash of all files."""
    runs = baseline, candidate
    weights: list[object] = list(weights_of(runs))
    if None in weights and all(manifest.checkpoint.bytes for manifest in runs):
        weights = [manifest.identity.get("model") for manifest in runs]
    return None not in weights and weights[0] == weights[1]
